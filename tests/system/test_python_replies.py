#!/usr/bin/python3
"""The Python client against a coordinator that is played by this test: busy, late, broken, and hostile replies."""
import os
import pickle
import signal
import sys
import threading
import time
import unittest
from unittest.mock import patch

import msgpack
import numpy
import zmq

import cluster

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
import grove  # noqa: E402  (after the path)
from grove.annoy_buffer import AddBuffer  # noqa: E402
from grove.batches import Pace  # noqa: E402


class Played:
    """A ROUTER that answers each request with what reply(request, frames) gives: a list of frames, or several lists, or nothing."""

    def __init__(self, reply):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.requests = []
        self.reply = reply
        self.stopping = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping:
            if not self.socket.poll(20):
                continue
            who, header, *frames = self.socket.recv_multipart()
            request = msgpack.unpackb(header)
            self.requests.append((request, frames))
            replies = self.reply(request, frames)
            for reply in replies if replies and isinstance(replies[0], list) else [replies]:
                if reply:
                    self.socket.send_multipart([who, *reply])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        self.socket.close()
        self.context.term()


def head(request, **fields):
    return msgpack.packb({"v": 1, "id": request["id"], "op": request["op"], "ok": True, **fields})


def failure(request, code, **fields):
    return head(request, ok=False, error=code, message=f"played {code}", **fields)


def rows_of_index(dim=2, metric="euclidean"):
    row = [1, "played", metric, dim, 1, 1, 10, 0, 0, 1, 0, 0, True, "a value of a later version"]
    return [b"\x90", msgpack.packb([row]), b"\x90"]


def index_at(played, **how):
    index = grove.Index.__new__(grove.Index)
    index._open(played.endpoint, "played", how.pop("timeout", 20.0))
    index.dim, index.metric = 2, "euclidean"
    return index


def written(request):
    return [head(request, n=request["n"], tokens=0), bytes(request["n"]), b""]


def interrupting(reply):
    """Instead of the first answer comes an interrupt, while it is waited for; the others are as reply() has them."""
    first = []

    def interrupt(request, frames):
        if first:
            return reply(request, frames)
        first.append(request)
        time.sleep(0.1)  # who sent it waits by now, most likely
        os.kill(os.getpid(), signal.SIGINT)
    return interrupt


class Replies(unittest.TestCase):
    def test_a_busy_cluster_is_asked_again_and_everything_arrives_once_in_order(self):
        stored, refused = {}, set()

        def reply(request, frames):
            if request["op"] == "upsert":
                ids = numpy.frombuffer(frames[0], "<u8").tolist()
                vectors = numpy.frombuffer(frames[1], "<f4").reshape(-1, 2)
                if len(stored) < 80_000 and len(refused) < 7 and request["id"] % 2:  # some, in the midst of others that pass
                    refused.add(request["id"])
                    return [failure(request, "busy")]
                stored.update(zip(ids, vectors[:, 0].tolist()))
                return written(request)
        with Played(reply) as played:
            index = index_at(played)
            buffer = AddBuffer(2, "euclidean", lambda: index)
            for i in range(100_000):
                buffer.put(i % 60_000, [i, 0])  # many are replaced by a later batch
            buffer.settle()
            self.assertGreater(len(refused), 2)
            self.assertEqual(stored, {i: float(i + 60_000 if i < 40_000 else i) for i in range(60_000)})
            stored.clear()
            refused.clear()
            index.add(numpy.arange(300_000) % 150_000, numpy.column_stack([numpy.arange(300_000), numpy.zeros(300_000)]))
            self.assertGreater(len(refused), 0)
            self.assertEqual(stored, {i: float(i + 150_000) for i in range(150_000)})

    def test_a_cluster_that_stays_busy_is_an_error_after_the_timeout(self):
        with Played(lambda request, frames: [failure(request, "busy")]) as played:
            index = index_at(played, timeout=0.3)
            start = time.monotonic()
            with self.assertRaises(grove.Busy):
                index.add([1], [[1, 2]])
            with self.assertRaises(grove.Busy):
                index.search([[1, 2]], 1)
            self.assertLess(time.monotonic() - start, 15)  # the default of others is more

    def test_buffered_items_outlive_a_failure(self):
        broken = [True]

        def reply(request, frames):
            return [failure(request, "io")] if broken[0] else written(request)
        with Played(reply) as played:
            index = index_at(played)
            buffer = AddBuffer(2, "euclidean", lambda: index)
            buffer.put(7, [1, 2])
            for _ in range(2):
                with self.assertRaises(grove.GroveError) as caught:
                    buffer.settle()
                self.assertEqual(caught.exception.code, "io")
            broken[0] = False
            buffer.settle()
            self.assertTrue(buffer.empty)
            self.assertEqual(numpy.frombuffer(played.requests[-1][1][0], "<u8").tolist(), [7])

    def test_an_interrupted_settling_can_be_repeated(self):
        with Played(interrupting(lambda request, frames: written(request))) as played:
            index = index_at(played)
            buffer = AddBuffer(2, "euclidean", lambda: index)
            buffer.put(7, [1, 2])
            with self.assertRaises(KeyboardInterrupt):
                buffer.settle()
            buffer.settle()
            self.assertTrue(buffer.empty)

    def test_each_item_of_a_failed_write_is_told(self):
        def reply(request, frames):
            results = bytes([0, 1, 2, 0])
            return [failure(request, "unknown", n=4, tokens=0), results, b""]
        with Played(reply) as played:
            with self.assertRaises(grove.WriteFailed) as caught:
                index_at(played).add([10, 11, 12, 13], numpy.zeros((4, 2)))
            self.assertEqual((caught.exception.code, caught.exception.ids, caught.exception.results), ("unknown", [11, 12], [1, 2]))

    def test_replies_of_others_and_rubbish_are_passed_over(self):
        def reply(request, frames):
            late = dict(request, id=request["id"] + 1000)
            return [[b"\xc1"], [b""], [msgpack.packb([1, 2])], [msgpack.packb({"ok": True})], [head(late), b"", b""],
                    [head(request), *rows_of_index()]]
        with Played(reply) as played:
            client = grove.Client(played.endpoint)
            self.assertEqual(client.describe("played")["name"], "played")
            self.assertEqual((client.channel().arrived, client.channel().waiting), ({}, set()))  # nothing of it is kept

    def test_a_reply_that_contradicts_itself_is_an_error_and_nothing_else(self):
        good = [numpy.array([2], "<u4").tobytes(), numpy.array([1, 2], "<u8").tobytes(), numpy.array([1, 2], "<f4").tobytes(), bytes(40)]
        random = numpy.random.default_rng(cluster.SEED)
        frames = [None]
        with Played(lambda request, _: [head(request, nq=1, total=2, missing=0, payloads=False), *frames[0]]) as played:
            index = index_at(played)
            frames[0] = good
            self.assertEqual(index.search([[1, 2]], 2).ids.tolist(), [[1, 2]])
            for which in range(4):
                for length in (0, 1, 3, len(good[which]) - 1, len(good[which]) + 1, len(good[which]) + 40):
                    frames[0] = [random.bytes(length) if i == which else f for i, f in enumerate(good)]
                    with self.assertRaises(grove.GroveError, msg=f"frame {which} of {length} bytes, seed {cluster.SEED}"):
                        index.search([[1, 2]], 2)
                    with self.assertRaises(grove.GroveError, msg=f"frame {which} of {length} bytes, seed {cluster.SEED}"):
                        index.search_one(bytes(8), 2, "f32")

    def test_single_queries_say_what_is_asked_however_often_and_from_wherever(self):
        """Their headers are packed once and kept."""
        found = [numpy.array([1], "<u4").tobytes(), numpy.array([7], "<u8").tobytes(), numpy.array([0.5], "<f4").tobytes(), bytes(40)]
        with Played(lambda request, _: [head(request, nq=1, total=1), *found]) as played:
            index = index_at(played)
            asked = [(row, k, how) for _ in range(2) for row in (b"a" * 8, b"b" * 8) for k in range(1, 50)
                     for how in ({"dtype": "f32"}, {"dtype": "f32", "mode": "forest", "search_k": k}, {"dtype": None})]
            for row, k, how in asked:
                hits = index.search_one(row, k, **how)
                self.assertEqual((hits.ids, hits.distances, int(hits.coverage["shards"])), ([7], [0.5], 0))
            sent = [({name: value for name, value in request.items() if name not in ("v", "id", "client")}, frames)
                    for request, frames in played.requests]
            kinds = {"f32": {"dtype": "f32", "dim": 2}, None: {"by_id": True}}
            self.assertEqual(sent, [(dict({n: v for n, v in how.items() if n != "dtype"}, **kinds[how["dtype"]], op="search", index="played", k=k,
                                          timeout_ms=20000), [row]) for row, k, how in asked])
            self.assertEqual(len({request["id"] for request, _ in played.requests}), len(asked))
            played.requests.clear()
            index.timeout = 3.0
            index.search_one(b"a" * 8, 1, "f32")
            again = pickle.loads(pickle.dumps(index))
            again.search_one(b"a" * 8, 1, "f32")
            child = os.fork()
            if child == 0:
                index.search_one(b"a" * 8, 1, "f32")
                os._exit(0)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            self.assertEqual([request["timeout_ms"] for request, _ in played.requests], [3000] * 3)
            self.assertEqual(len({request["client"] for request, _ in played.requests}), 3)  # a process and a client is one who writes

    def test_items_and_payloads_that_contradict_their_reply_are_an_error(self):
        good = [numpy.array([5], "<u8").tobytes(), bytes(8), b"\1", b"\1\0\0\0\x80", b"\0\0\0\0"]
        frames = [good]
        with Played(lambda request, _: [head(request, n=1, dim=2, dtype="f32", payloads=True, keys=True), *frames[0]]) as played:
            index = index_at(played)
            self.assertEqual(index.get([5]).payloads, [{}])
            for which in range(5):
                for bad in (good[which][:-1], good[which] + b"x", b"\xff\xff\xff\xff"):
                    frames[0] = [bad if i == which else f for i, f in enumerate(good)]
                    with self.assertRaises(grove.GroveError, msg=f"frame {which}: {bad!r}"):
                        index.get([5])

    def test_a_long_search_asks_for_less_at_once_when_answers_are_slow(self):
        pause = [0.0]

        def reply(request, frames):
            time.sleep(pause[0])
            n = request["nq"]
            ids = numpy.frombuffer(frames[0], "<f4")[::2].astype("<u8")  # the query's first number
            return [head(request, nq=n, total=n, missing=0, payloads=False), numpy.ones(n, "<u4").tobytes(), ids.tobytes(),
                    bytes(4 * n), bytes(40 * n)]
        with Played(reply) as played:
            index = index_at(played)
            X = numpy.column_stack([numpy.arange(10_000), numpy.zeros(10_000)])
            with patch.object(Pace, "QUICK_SECONDS", 60):  # however slow this machine is
                self.assertEqual(index.search(X, 1).ids[:, 0].tolist(), list(range(10_000)))
            sizes = [request["nq"] for request, _ in played.requests]
            self.assertEqual((sizes[0], max(sizes), sum(sizes)), (64, 1024, 10_000))
            self.assertLess(len(sizes), 25)
            played.requests.clear()
            pause[0] = 0.35  # four under way: more than a second each
            with patch.object(Pace, "SLOW_SHARE", 1 / index.timeout):
                self.assertEqual(index.search(X[:500], 1).ids[:, 0].tolist(), list(range(500)))
            self.assertEqual(played.requests[-2][0]["nq"], 16)

    def test_an_unknown_error_code_is_a_failure(self):
        with Played(lambda request, frames: [failure(request, "of_a_later_version")]) as played:
            with self.assertRaises(grove.GroveError) as caught:
                grove.Client(played.endpoint).hello()
            self.assertEqual((caught.exception.code, caught.exception.message), ("of_a_later_version", "played of_a_later_version"))

    def test_an_interrupted_wait_leaves_a_client_that_works(self):
        with Played(interrupting(lambda request, frames: [head(request, server="played", version=1)])) as played:
            client = grove.Client(played.endpoint, timeout=20)
            with self.assertRaises(KeyboardInterrupt):
                client.hello()
            self.assertEqual(client.hello(), "played")


if __name__ == "__main__":
    cluster.run()
