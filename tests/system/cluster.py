"""A Grove cluster of real processes for the system tests, and a client that speaks the protocol of proto/CLIENT.md by itself.

The client here shares no code with Grove: it is pyzmq, msgpack and numpy, so that a mistake in both codecs cannot hide."""
import gzip
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import msgpack
import numpy
import zmq

BUILD = None  # the build folder, given to run()
SEED = int(os.environ.get("GROVE_SEED", "1"))
FULL = bool(os.environ.get("GROVE_FULL"))
FASHION = "/usr/share/datasets/fashion-mnist"


def program(name):
    folder = {"grove": "client/cli", "grove-coordinator": "coordinator", "grove-worker": "worker"}[name]
    return os.path.join(BUILD, folder, name)


def free_ports(count):
    """Ports that nobody listens on now."""
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def fashion(kind):
    """'train' or 't10k': images as float32 [n x 784]."""
    with gzip.open(f"{FASHION}/{kind}-images-idx3-ubyte.gz") as f:
        return numpy.frombuffer(f.read()[16:], numpy.uint8).reshape(-1, 784)


def wait_for(what, seconds, question, pause=0.05):
    """question() until it is true; its value. Fails with `what` after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)


class Error(Exception):
    """An error reply: .code is the wire name, .reply the whole header, .frames what came with it."""

    def __init__(self, reply, frames=()):
        super().__init__(f"{reply['error']}: {reply.get('text')}")
        self.code, self.reply, self.frames = reply["error"], reply, frames


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

    def __init__(self, workers=2, env=None, folder=None, threads=1):
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="grove-test-")
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
        self.coordinator = Process("grove-coordinator", ["--data", f"{self.folder}/coordinator", "--listen", self.endpoint,
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

    def client(self):
        return Client(self.endpoint)

    def grove(self, *arguments, check=None, text=None, timeout=300):
        """Run the grove program; check: the exit code it must have."""
        done = subprocess.run([program("grove"), *map(str, arguments)], env=dict(os.environ, GROVE_ENDPOINT=self.endpoint),
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
        request = {"v": 1, "id": self.next_id, "client": self.identity, "op": op, **arguments}
        if index is not None:
            request["index"] = index
        self.next_id += 1
        self.socket.send_multipart([msgpack.packb(request), *frames])
        return request["id"]

    def receive(self, seconds):
        """The next reply: (header, frames)."""
        if not self.socket.poll(int(seconds * 1000)):
            raise TimeoutError("no reply")
        frames = self.socket.recv_multipart()
        return msgpack.unpackb(frames[0]), frames[1:]

    def call(self, op, index=None, frames=(), wait=None, **arguments):
        wanted = self.send(op, index, frames, **arguments)
        end = time.monotonic() + (wait or arguments.get("timeout_ms", 10000) / 1000 + 2)
        while True:
            header, more = self.receive(max(0.001, end - time.monotonic()))
            if header["id"] == wanted:
                break
        if not header["ok"]:
            raise Error(header, more)
        return header, more
