#!/usr/bin/python3
"""What the Python client costs: bench/python/client.py BUILD [--items N] [--part PART...]

Starts a coordinator (with an ipc endpoint) and a worker of one search thread from the build folder BUILD, and prints, by the clock and in
processor time of this process; PART is one of:
- one: a query at a time through AnnoyIndex.get_nns_by_vector, 40 dimensions, at an index of one item, where the time is everything but the
  search, and at one of N items. Beside it what it is made of: an empty round trip (`hello` by pyzmq alone, and through Client) and the worker's own
  time from the arrival of a search to its answer. First as the system schedules them, then with all processes on one core: waking a thread on
  another core, if that core sleeps, costs more than the work here (most of all in a virtual machine);
- add: adding from a Python loop of add_item, rows of numpy and lists;
- batches: Index.search beside the C client (bench/load) on the same index, queries and effort, in turns. 128 dimensions. A batch at a time, each
  one request; and one long search, of which Index.search keeps WINDOW requests under way that grow to 1,024 queries, beside as many of 1,024 from C.
The clock means something only on a machine that does nothing else; processor time also on a busy one."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import zmq

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
import grove  # noqa: E402  (after the path)
from grove import protocol  # noqa: E402
from grove.batches import WINDOW  # noqa: E402

PARTS = ("one", "add", "batches")
QUERIES = 2000
K, EFFORT = 10, 0.95  # of the searches in batches
BATCH, LONG, LONG_PART = 64, 8192, 1024
ROUNDS, SECONDS = 15, 0.3  # many short turns: what disturbs the machine then disturbs both sides


class Started:
    """A cluster in a folder of its own."""

    def __init__(self, build):
        self.build, self.whole = build, tempfile.TemporaryDirectory()
        self.folder = folder = self.whole.name
        self.endpoint = f"ipc://{folder}/ipc"
        port = grove.cluster._free_pair()
        commands = ([f"{build}/coordinator/grove-coordinator", "--data", f"{folder}/coordinator", "--listen", f"tcp://127.0.0.1:{port}",
                     "--workers-listen", f"tcp://127.0.0.1:{port + 1}", "--ipc", f"{folder}/ipc"],
                    [f"{build}/worker/grove-worker", "--data", f"{folder}/worker", "--coordinator", f"tcp://127.0.0.1:{port + 1}",
                     "--threads", "1"])
        with open(f"{folder}/log", "wb") as log:
            self.children = [subprocess.Popen(c, stdout=log, stderr=log, stdin=subprocess.DEVNULL) for c in commands]

    def __enter__(self):
        os.environ["GROVE_ENDPOINT"] = self.endpoint
        client = grove.Client(timeout=1)
        for _ in range(200):
            try:
                if client.status()["workers"]:
                    return self
            except grove.GroveError:
                pass  # not yet
            time.sleep(0.05)
        raise SystemExit("the cluster did not start")

    def stop(self):
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.wait(20)

    def __exit__(self, *_):
        self.stop()
        self.whole.cleanup()


class Clock:
    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


def p50(what):
    """Microseconds of what(0), what(1), ..."""
    taken = []
    for i in range(QUERIES):
        begun = time.perf_counter()
        what(i)
        taken.append(time.perf_counter() - begun)
    return 1e6 * statistics.median(taken)


def empty_round_trip(endpoint):
    """A `hello` and its answer without our client's code: pyzmq, and bytes that are packed already."""
    hello = protocol.header(protocol.pack_head({"v": 1, "op": "hello", "version_min": 1, "version_max": 1, "timeout_ms": 1000}), 1)
    with grove.channel.context().socket(zmq.DEALER) as socket:
        socket.connect(endpoint)

        def once(_):
            socket.send(hello)
            socket.recv_multipart()
        once(0)
        return p50(once)


def own_search_time(folder):
    """Of a worker that has stopped: microseconds from the arrival of a search to its answer, the mean."""
    with open(f"{folder}/worker/metrics.prom", encoding="ascii") as f:
        text = f.read()
    total, count = (float(re.search(rf"^grove_worker_search_seconds_{what}{{.*}} (\S+)$", text, re.M).group(1)) for what in ("sum", "count"))
    return 1e6 * total / count


def one_at_a_time(build, items, random, where):
    with Started(build) as cluster:
        index = grove.AnnoyIndex(40, "angular")
        for i, row in enumerate(random.standard_normal((items, 40)).astype("f4")):
            index.add_item(i, row)
        index.build(10)
        queries, client = random.standard_normal((QUERIES, 40)).astype("f4"), grove.Client()
        index.get_nns_by_vector(queries[0], 10)
        with Clock() as clock:
            query = p50(lambda i: index.get_nns_by_vector(queries[i], 10))
        bare, hello = empty_round_trip(cluster.endpoint), p50(lambda _: client.hello())
        del index
        cluster.stop()
        own = own_search_time(cluster.folder)
    print(f"get_nns_by_vector, {items} items, {where}: p50 {query:.0f} us, {query - own:.0f} more than the worker's own {own:.0f}; "
          f"processor time {1e6 * clock.cpu / QUERIES:.0f} us. Empty round trip: p50 {bare:.0f} us, through Client {hello:.0f}")


def run_on(cores):
    """This process, all its threads, and its children to come."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), cores)


def adding(rows, what):
    index = grove.AnnoyIndex(40, "angular")
    with Clock() as clock:
        for i, row in enumerate(rows):
            index.add_item(i, row)
        index.index  # until all is stored
    print(f"add_item, {what}: {len(rows) / clock.wall:,.0f} a second, processor time {clock.cpu / len(rows) * 1e6:.1f} us")


class FromC:
    """bench/load's client in a process of its own, which waits for its orders."""

    def __init__(self, cluster, index, queries):
        folder = cluster.folder
        numpy.save(f"{folder}/queries.npy", queries)
        with open(f"{folder}/set.json", "w", encoding="ascii") as f:
            json.dump({"metric": index.metric}, f)
        command = [f"{cluster.build}/bench/load/load_grove", folder, K, len(queries), f"{folder}/answers", cluster.endpoint, index.name]
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.queries = queries

    def measure(self, outstanding, batch):
        """(queries a second, microseconds of processor time a query)"""
        self.process.stdin.write(f"{outstanding} {batch} {SECONDS} recall={EFFORT}\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        return found["qps"], 1e6 * found["cpu_s"] / found["queries"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def from_python(index, queries, batch):
    done = 0
    with Clock() as clock:
        end = clock.wall + SECONDS
        while done < len(queries) or time.perf_counter() < end:
            start = done % len(queries)
            index.search(queries[start:start + batch], K, recall=EFFORT)
            done += batch
    return done / clock.wall, 1e6 * clock.cpu / done


def beside_c(items, random, cluster):
    index = grove.Index.create("batches", 128, "euclidean", client=grove.Client())
    index.add(range(items), random.standard_normal((items, 128)).astype("f4"))
    index.build()
    queries = random.standard_normal((LONG, 128)).astype("f4")
    c = FromC(cluster, index, queries)
    for what, batch, outstanding, part in ((f"batches of {BATCH}, one under way", BATCH, 1, BATCH),
                                           (f"{LONG:,} at once, {WINDOW} requests under way", LONG, WINDOW, LONG_PART)):
        rounds = [(c.measure(outstanding, part), from_python(index, queries, batch)) for _ in range(ROUNDS)]
        (c_rate, c_cpu), (rate, cpu) = ([statistics.median(turn[i] for turn in side) for i in (0, 1)] for side in zip(*rounds))
        share = statistics.median(mine[0] / other[0] for other, mine in rounds)
        print(f"Index.search, {items} items, {what}: {rate:,.0f} queries a second, C {c_rate:,.0f}, median of the turns' ratios {share:.2f}; "
              f"processor time {cpu:.2f} us a query, C {c_cpu:.2f}")
    c.close()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("build")
    arguments.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    arguments.add_argument("--items", type=int, default=100_000)
    given = arguments.parse_args()
    random = numpy.random.default_rng(1)
    if "one" in given.part:
        cores = os.sched_getaffinity(0)
        for mask, where in ((cores, "as scheduled"), ({min(cores)}, "on one core")):
            run_on(mask)
            for items in (1, given.items):
                one_at_a_time(given.build, items, random, where)
        run_on(cores)
    with Started(given.build) as cluster:
        if "add" in given.part:
            rows = random.standard_normal((2 * given.items, 40)).astype("f4")
            adding(rows, "rows of numpy")
            adding(rows.tolist(), "lists")
        if "batches" in given.part:
            beside_c(given.items // 5, random, cluster)


if __name__ == "__main__":
    main()
