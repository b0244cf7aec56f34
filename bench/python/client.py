#!/usr/bin/python3
"""What the Python client costs: bench/python/client.py BUILD [--items N]

Starts a coordinator (with an ipc endpoint) and a worker from the build folder BUILD, and prints, by the clock and in processor time of
this process:
- a query at a time through AnnoyIndex.get_nns_by_vector, 40 dimensions: at an index of one item, where the time is everything but
  the search, and at one of N items;
- adding from a Python loop of add_item, rows of numpy and lists;
- Index.search in batches, 128 dimensions.
The clock means something only on a machine that does nothing else; processor time also on a busy one."""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
import grove  # noqa: E402  (after the path)

QUERIES = 2000


def start(build, folder, port):
    endpoint = f"ipc://{folder}/ipc"
    commands = ([f"{build}/coordinator/grove-coordinator", "--data", f"{folder}/coordinator", "--listen", f"tcp://127.0.0.1:{port}",
                 "--workers-listen", f"tcp://127.0.0.1:{port + 1}", "--ipc", f"{folder}/ipc"],
                [f"{build}/worker/grove-worker", "--data", f"{folder}/worker", "--coordinator", f"tcp://127.0.0.1:{port + 1}",
                 "--threads", "1"])
    with open(f"{folder}/log", "wb") as log:
        return endpoint, [subprocess.Popen(c, stdout=log, stderr=log, stdin=subprocess.DEVNULL) for c in commands]


def wait_ready(endpoint):
    client = grove.Client(endpoint, timeout=1)
    for _ in range(200):
        try:
            if client.status()["workers"]:
                return
        except grove.GroveError:
            pass  # not yet
        time.sleep(0.05)
    raise SystemExit("the cluster did not start")


class Clock:
    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


def one_at_a_time(items, random):
    index = grove.AnnoyIndex(40, "angular")
    for i, row in enumerate(random.standard_normal((items, 40)).astype("f4")):
        index.add_item(i, row)
    index.build(10)
    queries, taken = random.standard_normal((QUERIES, 40)).astype("f4"), []
    index.get_nns_by_vector(queries[0], 10)
    with Clock() as clock:
        for query in queries:
            begun = time.perf_counter()
            index.get_nns_by_vector(query, 10)
            taken.append(time.perf_counter() - begun)
    print(f"get_nns_by_vector, {items} items: p50 {statistics.median(taken) * 1e6:.0f} us, "
          f"processor time {clock.cpu / QUERIES * 1e6:.0f} us")


def adding(rows, what):
    index = grove.AnnoyIndex(40, "angular")
    with Clock() as clock:
        for i, row in enumerate(rows):
            index.add_item(i, row)
        index.index  # until all is stored
    print(f"add_item, {what}: {len(rows) / clock.wall:,.0f} a second, processor time {clock.cpu / len(rows) * 1e6:.1f} us")


def batches(items, random, client):
    index = grove.Index.create("batches", 128, "euclidean", client=client)
    index.add(range(items), random.standard_normal((items, 128)).astype("f4"))
    index.build()
    queries = random.standard_normal((5 * QUERIES, 128)).astype("f4")
    with Clock() as clock:
        index.search(queries, 10)
    print(f"Index.search, {items} items: {len(queries) / clock.wall:,.0f} queries a second, "
          f"processor time {clock.cpu / len(queries) * 1e6:.2f} us a query")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("build")
    arguments.add_argument("--items", type=int, default=100_000)
    given = arguments.parse_args()
    random = numpy.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        endpoint, children = start(given.build, folder, grove.cluster._free_pair())
        try:
            wait_ready(endpoint)
            os.environ["GROVE_ENDPOINT"] = endpoint
            one_at_a_time(1, random)
            one_at_a_time(given.items, random)
            rows = random.standard_normal((2 * given.items, 40)).astype("f4")
            adding(rows, "rows of numpy")
            adding(rows.tolist(), "lists")
            batches(given.items // 5, random, grove.Client(endpoint))
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait(20)


if __name__ == "__main__":
    main()
