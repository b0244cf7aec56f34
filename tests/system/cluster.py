"""A Grove cluster of real processes for the system tests, and a client that speaks the protocol of proto/CLIENT.md by itself.

The client here shares no code with Grove: it is pyzmq, msgpack and numpy, so that a mistake in both codecs cannot hide."""
import fcntl
import glob
import gzip
import mmap
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import msgpack
import numpy
import zmq

BUILD = None  # the build folder, given to run()
SEED = int(os.environ.get("GROVE_SEED", "1"))
FULL = bool(os.environ.get("GROVE_FULL"))
SLOWER, GRACE = 6, 5  # how much slower than a quiet machine one may be; how many seconds an answer may be late
FASHION = "/usr/share/datasets/fashion-mnist"


def program(name):
    folder = {"grove": "client/cli", "grove-coordinator": "coordinator", "grove-worker": "worker"}[name]
    return os.path.join(BUILD, folder, name)


PORTS = range(10000, 20000)
ports_held = None  # the open file of locks, and the ports that this process has: kept until it ends


def free_ports(count):
    """Ports in a row that nobody listens on, for this process alone until it ends: each is a byte of a file that it has locked. They lie below those that the
    system gives to connections: else a server that is started again could find its port taken, or who tries it meanwhile be connected to itself."""
    global ports_held
    if ports_held is None:
        ports_held = open(os.path.join(tempfile.gettempdir(), f"grove-test-ports-{os.getuid()}"), "a+b"), set()
    file, own = ports_held
    start, found = int.from_bytes(os.urandom(2), "little"), []
    for step in range(len(PORTS)):
        port = PORTS[(start + step) % len(PORTS)]
        try:
            if port in own:
                raise BlockingIOError("our own")
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            own.add(port)
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
            found = found + [port] if port != PORTS[0] else [port]
        except OSError:
            found = []
        if len(found) == count:
            return found
    raise AssertionError(f"no {count} free ports in {PORTS}")


def fashion(kind):
    """'train' or 't10k': images as float32 [n x 784]."""
    with gzip.open(f"{FASHION}/{kind}-images-idx3-ubyte.gz") as f:
        return numpy.frombuffer(f.read()[16:], numpy.uint8).reshape(-1, 784)


def wait_for(what, seconds, question, pause=0.05):
    """question() until it is true; its value. Fails with `what` after so many seconds, and as many again as the machine may be slower than that."""
    end = time.monotonic() + SLOWER * seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)


class Stopwatch:
    """How long something took these processes and us: .took, less what the machine kept from them. That is the time that a thread could have run and waited for a
    processor, and by how much naps were overslept while the whole machine stood still. .wall: by the clock."""
    NAP, LATE = 0.01, 0.05

    def __init__(self, processes=()):
        self.processes = list(processes)

    def __enter__(self):
        self.waited, self.overslept, self.over = self.waiting(), 0.0, threading.Event()
        self.napper = threading.Thread(target=self.nap)
        self.napper.start()
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.wall = time.monotonic() - self.began
        self.over.set()
        self.napper.join()
        kept = sum(ns - self.waited.get(task, 0) for task, ns in self.waiting().items()) / 1e9
        self.took = self.wall - kept - self.overslept

    def waiting(self):
        """For each thread how long it was kept waiting for a processor, in ns."""
        found = {}
        for pid in (os.getpid(), *(p.pid for p in self.processes)):
            for task in glob.glob(f"/proc/{pid}/task/*"):
                try:
                    with open(f"{task}/schedstat", encoding="ascii") as f:
                        found[task] = int(f.read().split()[1])
                except (OSError, IndexError):  # it ended, or the kernel does not count that
                    pass
        return found

    def nap(self):
        while not self.over.is_set():
            began = time.monotonic()
            time.sleep(self.NAP)
            late = time.monotonic() - began - self.NAP
            self.overslept += late if late > self.LATE else 0


class Error(Exception):
    """An error reply: .code is the wire name, .reply the whole header, .frames what came with it."""

    def __init__(self, reply, frames=()):
        super().__init__(f"{reply['error']}: {reply.get('message')}")
        self.code, self.reply, self.frames = reply["error"], reply, frames


class Faults:
    """Faults inside the processes that are given .env: tests/support/process_faults.c. Use as a context manager."""

    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="grove-faults-")
        self.file.truncate(4096)
        self.map = mmap.mmap(self.file.fileno(), 4096)
        self.env = {"LD_PRELOAD": os.path.join(BUILD, "tests/support/libgrove_faults.so"), "GROVE_FAULTS": self.file.name}
        return self

    def __exit__(self, *_):
        self.map.close()
        self.file.close()

    def set_wall_clock(self, seconds):
        """The wall clock jumps to so many seconds from the true time; the monotonic clock goes on."""
        self.map[0:8] = struct.pack("<q", int(seconds * 1000000))

    def hang(self, what):
        """'search': search threads hang when they next begin a search; 'sync': whoever syncs a file next; None: they go on."""
        self.map[8:12] = struct.pack("<I", {None: 0, "search": 1, "sync": 2}[what])

    def hanging(self):
        """How many threads hang now."""
        return struct.unpack("<I", self.map[12:16])[0]


class Process:
    """One program of ours, its output in a file."""

    def __init__(self, name, arguments, log, env=None):
        self.name, self.arguments, self.log = name, arguments, log
        self.env = dict(os.environ, GROVE_LOG_FORMAT="text", **(env or {}))
        self.start()

    def start(self):
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen([program(self.name)] + self.arguments, stdout=out, stderr=out,
                                          stdin=subprocess.DEVNULL, env=self.env)

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self, seconds=20):
        """A clean stop; its exit code."""
        if self.alive():
            self.child.send_signal(signal.SIGCONT)
            self.child.send_signal(signal.SIGTERM)
        return self.child.wait(seconds)

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()


class Cluster:
    """One coordinator and some workers. Use as a context manager."""

    def __init__(self, workers=2, env=None, folder=None, threads=1, coordinator_data=None):
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="grove-test-")
        self.coordinator_data = coordinator_data or f"{self.folder}/coordinator"
        self.env = env or {}
        self.client_port, self.worker_port = free_ports(2)
        self.endpoint = f"tcp://127.0.0.1:{self.client_port}"
        self.threads = threads
        self.coordinator = None
        self.workers = []
        self.start_coordinator()
        for _ in range(workers):
            self.add_worker()

    def __enter__(self):
        self.wait_ready()
        return self

    def __exit__(self, kind, value, trace):
        if kind and not issubclass(kind, unittest.SkipTest):
            self.show_logs()
        self.close()

    def start_coordinator(self):
        self.coordinator = Process("grove-coordinator", ["--data", self.coordinator_data, "--listen", self.endpoint,
                                   "--workers-listen", f"tcp://127.0.0.1:{self.worker_port}"],
                                   f"{self.folder}/coordinator.log", self.env)

    def add_worker(self, env=None, data=None):
        number = len(self.workers) + 1
        worker = Process("grove-worker", ["--data", data or f"{self.folder}/worker-{number}", "--coordinator",
                         f"tcp://127.0.0.1:{self.worker_port}", "--threads", str(self.threads)],
                         f"{self.folder}/worker-{number}.log", dict(self.env, **(env or {})))
        self.workers.append(worker)
        return worker

    def processes(self):
        return [self.coordinator] + self.workers

    def wait_ready(self, workers=None, seconds=30):
        want = len(self.workers) if workers is None else workers
        with self.client() as client:
            wait_for(f"{want} workers alive", seconds, lambda: self.alive_workers(client) >= want)

    def alive_workers(self, client):
        try:
            return sum(w["state"] == "alive" for w in client.status()["workers"])
        except (Error, TimeoutError):
            return -1

    def stopwatch(self):
        return Stopwatch(p for p in self.processes() if p.alive())

    def client(self):
        return Client(self.endpoint)

    def grove(self, *arguments, check=None, text=None, timeout=300, env=None):
        """Run the grove program; check: the exit code it must have."""
        done = subprocess.run([program("grove"), *map(str, arguments)], env={**os.environ, "GROVE_ENDPOINT": self.endpoint, **(env or {})},
                              input=text, stdin=None if text is not None else subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=timeout)
        if check is not None and done.returncode != check:
            raise AssertionError(f"grove {' '.join(map(str, arguments))}: exit {done.returncode}, not {check}\n{done.stdout}{done.stderr}")
        return done

    def show_logs(self):
        for p in self.processes():
            print(f"--- {p.log}\n{p.text()[-3000:]}", file=sys.stderr)

    def close(self):
        for p in self.processes():
            try:
                p.stop()
            except subprocess.TimeoutExpired:
                p.kill()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


class OneCluster(unittest.TestCase):
    """Tests that share one cluster of WORKERS workers, `self.c`. A setUpClass() of their own begins with this one."""
    WORKERS = 2

    @classmethod
    def setUpClass(cls):
        cls.c = Cluster(workers=cls.WORKERS)
        cls.addClassCleanup(cls.c.close)
        cls.c.wait_ready()


class Client:
    """The client protocol, from its specification."""

    def __init__(self, endpoint):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        self.next_id = 1
        self.identity = random.getrandbits(63) | 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        self.context.term()

    def send(self, op, index=None, frames=(), **arguments):
        number, message = self.message(op, index, frames, **arguments)
        self.socket.send_multipart(message)
        return number

    def message(self, op, index=None, frames=(), **arguments):
        """The number of a request, and its frames."""
        request = {"v": 1, "id": self.next_id, "client": self.identity, "op": op, **arguments}
        if index is not None:
            request["index"] = index
        self.next_id += 1
        return request["id"], [msgpack.packb(request), *frames]

    def receive(self, seconds):
        """The next reply: (header, frames); frames that were left out at the end are empty."""
        if not self.socket.poll(int(seconds * 1000)):
            raise TimeoutError("no reply")
        frames = self.socket.recv_multipart()
        return msgpack.unpackb(frames[0]), frames[1:] + [b""] * (8 - len(frames))

    def call(self, op, index=None, frames=(), wait=None, **arguments):
        wanted = self.send(op, index, frames, **arguments)
        end = time.monotonic() + (wait or arguments.get("timeout_ms", 10000) / 1000 + GRACE)
        while True:
            header, more = self.receive(max(0.001, end - time.monotonic()))
            if header["id"] == wanted:
                break
        if not header["ok"]:
            raise Error(header, more)
        return header, more

    # ---- verbs ----

    def raw(self, op, index=None, frames=(), **arguments):
        return self.call(op, index, frames, **arguments)

    def create(self, name, dim, metric, shards=0, trees=0, seed=0):
        self.call("create", name, dim=dim, metric=metric, shards=shards, trees=trees, seed=seed)
        self.dims = dict(getattr(self, "dims", {}), **{name: (dim, metric)})

    def drop(self, name):
        self.call("drop", name)

    def shape(self, name):
        """(dim, metric) of an index."""
        known = getattr(self, "dims", {})
        if name not in known:
            header, frames = self.call("describe", name)
            [row] = msgpack.unpackb(frames[1])
            self.dims = known = dict(known, **{name: (row[3], row[2])})
        return known[name]

    def rows(self, name, vectors):
        """(dtype, dim, bytes, count) of an array: float32 or uint8 rows; packed bits for hamming."""
        dim, metric = self.shape(name)
        vectors = numpy.ascontiguousarray(vectors)
        if metric == "hamming":
            return "bits", dim, vectors.astype(numpy.uint8).tobytes(), len(vectors)
        if vectors.dtype == numpy.uint8:
            return "u8", dim, vectors.tobytes(), len(vectors)
        return "f32", dim, vectors.astype("<f4").tobytes(), len(vectors)

    def results(self, n, call, allow_failures):
        names = ["ok", "rejected", "unknown"]
        try:
            _, frames = call()
        except Error as e:
            if not allow_failures or not e.frames[0]:
                raise
            frames = e.frames
        found = [names[b] for b in frames[0]]
        assert len(found) == n
        return found

    def upsert(self, name, ids, vectors, payloads=None, allow_failures=False, timeout_ms=20000, wait=None):
        dtype, dim, data, n = self.rows(name, vectors)
        blobs = b""
        if payloads:
            packed = [msgpack.packb(p) for p in payloads]
            blobs = numpy.array([len(p) for p in packed], "<u4").tobytes() + b"".join(packed)
        frames = [numpy.asarray(ids, numpy.uint64).astype("<u8").tobytes(), data, blobs, b""]
        return self.results(n, lambda: self.call("upsert", name, frames, n=n, dim=dim, dtype=dtype, payloads=bool(payloads), timeout_ms=timeout_ms, wait=wait), allow_failures)

    def delete(self, name, ids, allow_failures=False):
        frames = [numpy.asarray(ids, numpy.uint64).astype("<u8").tobytes(), b""]
        return self.results(len(ids), lambda: self.call("delete", name, frames, n=len(ids)), allow_failures)

    def get(self, name, ids):
        """For each id: dict(found, vector, payload)."""
        out = []
        for start in range(0, len(ids), 1000):
            part = ids[start:start + 1000]
            header, frames = self.call("get", name, [numpy.asarray(part, numpy.uint64).astype("<u8").tobytes(), b""], n=len(part))
            width = {"f32": 4 * header["dim"], "u8": header["dim"], "bits": (header["dim"] + 7) // 8}[header["dtype"]]
            payloads = unpack_blobs(frames[3], len(part))
            for i in range(len(part)):
                row = numpy.frombuffer(frames[1][i * width:(i + 1) * width], "<f4" if header["dtype"] == "f32" else numpy.uint8)
                out.append({"found": bool(frames[2][i]), "vector": row, "payload": msgpack.unpackb(payloads[i]) if payloads[i] else None})
        return out

    def build(self, name, trees=0, timeout_ms=120000, wait=None):
        self.call("build", name, trees=trees, timeout_ms=timeout_ms, wait=wait)

    def search_arguments(self, name, queries, k, exact=False, mode=None, search_k=0, recall=None, min_coverage=None, timeout_ms=60000):
        """exact: mode exact. A search_k alone is forest's, as in Annoy; no mode and no effort at all: what the server does then."""
        dtype, dim, data, n = self.rows(name, queries)
        arguments = dict(k=k, nq=n, dim=dim, dtype=dtype, search_k=search_k, timeout_ms=timeout_ms)
        mode = mode or ("exact" if exact else "forest" if search_k else None)
        for field, value in (("mode", mode), ("recall", recall)):
            if value is not None:
                arguments[field] = value
        if min_coverage is not None:
            arguments["min_coverage"] = min_coverage
        return dict(op="search", index=name, frames=[data], **arguments)

    def search(self, name, queries, k, **how):
        """An Answer for each query; batches are cut so that nq x k stays within the limit."""
        step = max(1, min(1000, 2**20 // k))
        answers = []
        for start in range(0, len(queries), step):
            answers += parse_answers(*self.call(**self.search_arguments(name, queries[start:start + step], k, **how)))
        return answers

    def search_send(self, name, queries, k, **how):
        return self.send(**self.search_arguments(name, queries, k, **how))

    def search_receive(self, seconds):
        """The next reply to a search_send: (request id, answers), or an Error."""
        header, frames = self.receive(seconds)
        return (header["id"], parse_answers(header, frames)) if header["ok"] else Error(header, frames)

    def hits_of_error(self, error):
        return parse_answers(error.reply, error.frames)

    def missing_of_error(self, error):
        record = numpy.dtype([("shard", "<u4"), ("status", "<i4"), ("items", "<u8"), ("zero", "<u8")])
        return [{"shard": int(m["shard"]), "items": int(m["items"])} for m in numpy.frombuffer(error.frames[4], record)]

    def status(self):
        header, frames = self.call("status", timeout_ms=3000)
        names = ["id", "state", "pid", "endpoint", "items", "memory_bytes", "age_ms", "shards", "threads"]
        return {"workers": [dict(zip(names, w)) for w in msgpack.unpackb(frames[0])]}


class Answer:
    """One query's hits and coverage."""

    def __init__(self, ids, distances, coverage):
        self.ids, self.distances = ids, distances
        self.shards, self.answered, self.failed, self.late = (int(coverage[n]) for n in ("shards", "answered", "failed", "late"))
        self.items_total, self.items_searched, self.candidates = (int(coverage[n]) for n in ("total", "searched", "candidates"))
        assert self.shards == self.answered + self.failed + self.late

    @property
    def complete(self):
        return self.answered == self.shards


COVERAGE = numpy.dtype([("shards", "<u4"), ("answered", "<u4"), ("failed", "<u4"), ("late", "<u4"), ("total", "<u8"), ("searched", "<u8"),
                        ("candidates", "<u8")])


def unpack_blobs(frame, n):
    if not frame:
        return [b""] * n
    lengths = numpy.frombuffer(frame[:4 * n], "<u4")
    ends = 4 * n + numpy.cumsum(lengths)
    return [frame[int(end - size):int(end)] for size, end in zip(lengths, ends)]


def parse_answers(header, frames):
    counts = numpy.frombuffer(frames[0], "<u4")
    ids, distances = numpy.frombuffer(frames[1], "<u8"), numpy.frombuffer(frames[2], "<f4")
    assert len(counts) == header["nq"] and len(ids) == len(distances) == counts.sum() == header["total"]
    ends = numpy.cumsum(counts)
    return [Answer(ids[end - n:end], distances[end - n:end], coverage)
            for n, end, coverage in zip(counts, ends, numpy.frombuffer(frames[3], COVERAGE))]


def run():
    """Run the tests of the calling file: FILE BUILD [TEST...]."""
    global BUILD
    BUILD = os.path.abspath(sys.argv.pop(1))
    program = unittest.main(module="__main__", argv=sys.argv, exit=False, verbosity=2)
    sys.exit(0 if program.result.wasSuccessful() and program.result.testsRun else 1)
