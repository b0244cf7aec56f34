#!/usr/bin/python3
"""Bad input of every kind gets one clear sentence and an error, and loses nothing."""
import json
import os
import random
import resource
import socket
import struct
import subprocess
import time
import unittest

import msgpack
import numpy
import zmq

import cluster


def one_item_and_a_socket(c):
    """An index `items` of one item; a ZeroMQ context and a socket of it, not yet connected."""
    with c.client() as client:
        client.create("items", dim=3, metric="euclidean", shards=2)
        client.upsert("items", [1], numpy.ones((1, 3), numpy.float32))
    context = zmq.Context()
    s = context.socket(zmq.DEALER)
    s.setsockopt(zmq.LINGER, 0)
    return context, s


class CommandLine(cluster.OneCluster):
    """Each misuse: an exit code, one sentence on stderr, nothing on stdout."""

    WORKERS = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.c.grove("create", "items", "--dim", 3, "--metric", "euclidean", check=0)
        cls.c.grove("put", "items", "--id", 1, "--vector", "[1,2,3]", check=0)

    def refused(self, *arguments, code=None, sentence=""):
        done = self.c.grove(*arguments)
        self.assertNotEqual(done.returncode, 0, arguments)
        if code is not None:
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
        self.assertIn(sentence, done.stderr, arguments)
        self.assertLessEqual(len(done.stderr.strip().splitlines()), 3, done.stderr)
        self.assertEqual(done.stdout, "", arguments)

    def file(self, name, content):
        path = os.path.join(self.c.folder, name)
        with open(path, "wb") as f:
            f.write(content)
        return path

    def test_wrong_requests(self):
        self.refused("create", "items", "--dim", 3, "--metric", "euclidean", sentence="exists")
        self.refused("create", "other", "--dim", 3, "--metric", "cosine", sentence="cosine")
        self.refused("create", "other", "--dim", 0, "--metric", "dot", sentence="dim")
        self.refused("create", "other", "--dim", 65537, "--metric", "dot", sentence="65536")
        self.refused("create", "Bad_Name!", "--dim", 3, "--metric", "dot", sentence="name")
        self.refused("create", "other", "--dim", 3, "--metric", "dot", "--shards", 4097, sentence="4096")
        self.refused("create", "other", "--dim", 3, "--metric", "dot", "--trees", 10001, sentence="10000")
        self.refused("search", "nowhere", "--id", 1, "-k", 1, code=3, sentence="nowhere")
        self.refused("search", "items", "--id", 99, "-k", 1, code=3, sentence="99")
        self.refused("search", "items", "--vector", "[1,2]", "-k", 1, sentence="3")
        self.refused("search", "items", "--vector", "[1,2,NaN]", "-k", 1)
        self.refused("search", "items", "--vector", "[1,2,1e39]", "-k", 1)
        self.refused("search", "items", "--vector", "nonsense", "-k", 1)
        self.refused("search", "items", "--vector", "[1,2,3]", "-k", 0)
        self.refused("search", "items", "--vector", "[1,2,3]", "-k", 1048577, sentence="1048576")
        self.refused("search", "items", "-k", 1, code=2)
        self.refused("put", "items", "--id", 5, "--vector", "[1,2]", sentence="3")
        self.refused("put", "items", "--id", -1, "--vector", "[1,2,3]")
        self.refused("put", "items", "--id", 2**64, "--vector", "[1,2,3]")
        self.refused("put", "items", "--key", "", "--vector", "[7,7,7]", code=2, sentence="key")
        self.refused("get", "items", "--id", 0, code=3)
        self.refused("get", "items", "--id", 77, code=3)
        self.refused("serch", code=2, sentence="search")
        self.refused("--endpoint", "tcp://127.0.0.1:1", "list", "--timeout", 500, code=69)
        self.assertEqual(json.loads(self.c.grove("get", "items", "--id", 1, "--json", check=0).stdout)["vector"], [1, 2, 3])

    def test_the_limits_themselves_are_allowed(self):
        self.c.grove("create", "wide", "--dim", 65536, "--metric", "dot", check=0)
        self.c.grove("create", "n" * 63, "--dim", 1, "--metric", "dot", check=0)
        self.refused("create", "n" * 64, "--dim", 1, "--metric", "dot", sentence="63")
        self.c.grove("search", "items", "--vector", "[1,2,3]", "-k", 1048576, "--exact", check=0)
        for item in (2**53 + 1, 2**64 - 1):
            self.c.grove("put", "items", "--id", item, "--vector", "[9,9,9]", check=0)
            shown = self.c.grove("search", "items", "--id", item, "-k", 1, "--exact", "--json", check=0).stdout
            self.assertIn(json.loads(shown)["ids"][0], (2**53 + 1, 2**64 - 1))
            self.c.grove("delete", "items", "--id", item, check=0)
            self.refused("get", "items", "--id", item, code=3)

    def test_broken_files_of_every_format(self):
        good = {
            "a.npy": b"\x93NUMPY\x01\x00\x76\x00" + (b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }").ljust(117) + b"\n" + struct.pack("<6f", *range(6)),
            "a.fvecs": struct.pack("<i3fi3f", 3, 1, 2, 3, 3, 4, 5, 6),
            "a.idx": b"\x00\x00\x08\x02" + struct.pack(">II", 2, 3) + bytes(range(6)),
            "a.csv": b"1,2,3\n4,5,6\n",
            "a.bvecs": struct.pack("<i3Bi3B", 3, 1, 2, 3, 3, 4, 5, 6),
            "a.fbin": struct.pack("<II6f", 2, 3, *range(6)),
            "a.u8bin": struct.pack("<II6B", 2, 3, *range(6)),
            "a.jsonl": b'{"vector": [1, 2, 3]}\n{"vector": [4, 5, 6]}',
        }
        for name, content in good.items():
            self.c.grove("import", "items", self.file(name, content), "--start-id", 1000, check=0)
            if not name.endswith("csv"):
                self.refused("import", "items", self.file("cut-" + name, content[:-2]))
                self.refused("import", "items", self.file("head-" + name, content[:3]))
            self.refused("import", "items", self.file("empty-" + name, b""))
        self.refused("import", "items", self.file("ragged.csv", b"1,2,3\n4,5\n"), sentence="2")
        self.refused("import", "items", self.file("words.csv", b"1,2,3\na,b,c\n"), sentence="2")
        self.refused("import", "items", self.file("nan.csv", b"1,2,nan\n"))
        self.refused("import", "items", self.file("dim.fvecs", struct.pack("<i2f", 2, 1, 2)), sentence="3")
        self.refused("import", "items", self.file("mixed.fvecs", struct.pack("<i3fi2f", 3, 1, 2, 3, 2, 4, 5)))
        self.refused("import", "items", self.file("huge.npy", good["a.npy"].replace(b"(2, 3)", b"(9999999999999, 3)")))
        self.refused("import", "items", os.path.join(self.c.folder, "missing.npy"))
        self.refused("import", "items", self.file("a.unknown", b"what is this"))


class Wire(unittest.TestCase):
    """Garbage on every socket; the cluster goes on answering others."""

    def works(self, c):
        with c.client() as client:
            [answer] = client.search("items", numpy.ones((1, 3), numpy.float32), k=1, exact=True)
            self.assertEqual(answer.ids.tolist(), [1])

    def test_a_bundle_is_answered_request_by_request_and_a_broken_one_is_refused(self):
        def bundle(*messages):
            sizes = b"".join(struct.pack(f"<I{len(m)}I", len(m), *map(len, m)) for m in messages)
            return [struct.pack("<II", 0, len(messages)) + sizes, b"".join(b"".join(m) for m in messages)]

        def opened(frames):
            if frames[0][:1] != b"\0":
                return [frames]
            at, start, messages = 8, 0, []
            for _ in range(struct.unpack_from("<I", frames[0], 4)[0]):
                count, = struct.unpack_from("<I", frames[0], at)
                sizes = struct.unpack_from(f"<{count}I", frames[0], at + 4)
                at += 4 + 4 * count
                messages.append([frames[1][start + sum(sizes[:i]):start + sum(sizes[:i + 1])] for i in range(count)])
                start += sum(sizes)
            return messages

        def request(number, op, *frames, **fields):
            return [msgpack.packb({"v": 1, "id": number, "op": op, **fields}), *frames]

        def replies(s, count):
            found = []
            while len(found) < count:
                self.assertTrue(s.poll(10000), f"{len(found)} of {count} replies came")
                found += [(msgpack.unpackb(m[0]), m[1:]) for m in opened(s.recv_multipart())]
            self.assertEqual(len(found), count)
            return found

        with cluster.Cluster(workers=1) as c:
            context, s = one_item_and_a_socket(c)
            s.connect(c.endpoint)
            s.send_multipart(request(1, "hello", version_min=1, version_max=1, bundles=True))
            self.assertIs(replies(s, 1)[0][0]["bundles"], True)
            s.send_multipart(request(2, "hello", version_min=1, version_max=1))
            self.assertNotIn("bundles", replies(s, 1)[0][0])
            one = numpy.ones(3, numpy.float32).tobytes()
            searches = [request(n, "search", one, index="items", k=1, dim=3) for n in range(10, 30)]
            s.send_multipart(bundle(*searches, request(30, "list"), [b"\xc1", b"no request"]))
            found = replies(s, 22)
            self.assertEqual(sorted(header["id"] for header, _ in found), [0, *range(10, 31)])
            for header, frames in found:
                self.assertEqual(header["ok"], header["id"] != 0, header)
                if 10 <= header["id"] < 30:
                    self.assertEqual(frames[1], struct.pack("<Q", 1))
            # The limit on requests under way holds for each of a bundle. Those it holds are answered too.
            s.send_multipart(bundle(*[request(n, "search", one, index="items", k=1, dim=3) for n in range(100, 200)]))
            busy = [header for header, _ in replies(s, 100) if not header["ok"]]
            self.assertEqual({header["error"] for header in busy}, {"busy"})
            self.assertEqual(len(busy), 36)
            whole = bundle(*searches)
            broken = [[whole[0]], [whole[0], whole[1][:-1]], [whole[0], whole[1] + b"x"], [whole[0][:-1], whole[1]], [whole[0], whole[1], b""],
                      bundle(), [struct.pack("<II", 0, 1025), b""], [struct.pack("<III", 0, 1, 9), b""], [b"\0" * 8, b""], [b"\0", b"\0"],
                      [struct.pack("<IIII", 0, 1, 1, 2**32 - 1), b"x"]]
            for frames in broken:
                s.send_multipart(frames)
                header, _ = replies(s, 1)[0]
                self.assertEqual((header["id"], header["error"]), (0, "bad_request"), frames)
            s.close()
            context.term()
            self.works(c)

    def test_garbage_on_every_socket_disturbs_nobody(self):
        chance = random.Random(cluster.SEED)
        with cluster.Cluster(workers=1) as c:
            with c.client() as client:
                client.create("items", dim=3, metric="euclidean", shards=2)
                client.upsert("items", [1], numpy.ones((1, 3), numpy.float32))
            valid = msgpack.packb({"v": 1, "id": 5, "op": "search", "index": "items", "k": 1})
            frames = [b"", b"\xdd\x0f\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x81" * 60, b"\x91" * 60000, valid[:-1], valid + b"x",
                      msgpack.packb([1]), msgpack.packb({"v": 2, "id": 1, "op": "hello"}), msgpack.packb({"v": 1, "id": 1, "op": "explode"}),
                      msgpack.packb({"v": 1, "id": 1, "op": "search", "index": "items", "k": 1, "timeout_ms": 2**40}),
                      b"\x00" * 70000, b"\xff" * 100]
            context = zmq.Context()
            for port in (c.client_port, c.worker_port):
                s = context.socket(zmq.DEALER)
                s.setsockopt(zmq.LINGER, 0)
                s.connect(f"tcp://127.0.0.1:{port}")
                for frame in frames:
                    s.send_multipart([frame])
                    s.send_multipart([frame, b"abc", b""])
                for _ in range(2000):
                    mutated = bytearray(valid)
                    mutated[chance.randrange(len(mutated))] = chance.randrange(256)
                    s.send_multipart([bytes(mutated), bytes(chance.randrange(256) for _ in range(chance.randrange(40)))])
                s.send_multipart([valid] * 30)
                s.send_multipart([b""] * 9)
                # Raw TCP: not even ZeroMQ.
                with socket.create_connection(("127.0.0.1", port)) as raw:
                    raw.sendall(bytes(chance.randrange(256) for _ in range(1000)))
                with socket.create_connection(("127.0.0.1", port)) as raw:
                    raw.sendall(b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + b"\x00" * 48)
                time.sleep(0.2)
                s.close()
            # One frame past the limit: the connection ends, the server does not.
            s = context.socket(zmq.DEALER)
            s.setsockopt(zmq.LINGER, 0)
            s.connect(c.endpoint)
            s.send_multipart([valid, b"\x00" * (17 << 20)])
            time.sleep(0.3)
            s.close()
            context.term()
            self.works(c)
            self.assertTrue(all(p.alive() for p in c.processes()))

    def test_malformed_requests_are_answered_with_a_code_and_a_sentence(self):
        with cluster.Cluster(workers=1) as c, c.client() as client:
            client.create("items", dim=3, metric="euclidean", shards=2)
            row = numpy.ones(3, numpy.float32).tobytes()
            cases = [
                ("unsupported", dict(op="explode")),
                ("not_found", dict(op="search", index="nowhere", k=1, dim=3, frames=[row])),
                ("bad_request", dict(op="search", index="items", k=1, dim=3, frames=[row[:-1]])),
                ("bad_request", dict(op="search", index="items", k=1, dim=3, frames=[numpy.array([1, 2, numpy.nan], numpy.float32).tobytes()])),
                ("limit", dict(op="search", index="items", k=2**20 + 1, dim=3, frames=[row])),
            ]
            for code, case in cases:
                with self.assertRaises(cluster.Error) as caught:
                    client.raw(**case)
                self.assertEqual(caught.exception.code, code, caught.exception)
                self.assertGreater(len(caught.exception.reply["message"]), 10)

    def test_a_client_that_never_reads_harms_nobody(self):
        with cluster.Cluster(workers=1) as c:
            context, s = one_item_and_a_socket(c)
            s.setsockopt(zmq.RCVHWM, 1)
            s.setsockopt(zmq.RCVBUF, 4096)
            s.connect(c.endpoint)
            request = msgpack.packb({"v": 1, "id": 1, "op": "status"})
            for _ in range(20000):
                try:
                    s.send(request, zmq.NOBLOCK)
                except zmq.Again:
                    time.sleep(0.0005)
            self.works(c)
            s.close()
            context.term()

    def memory(self, process, what):
        with open(f"/proc/{process.pid}/status") as f:
            return next(int(line.split()[1]) >> 10 for line in f if line.startswith(what))

    def test_a_client_that_never_reads_costs_a_bounded_amount_of_memory(self):
        requests, dim = 60 if not cluster.FULL else 250, 3900
        with cluster.Cluster(workers=1) as c, c.client() as filler:
            rows = numpy.random.default_rng(cluster.SEED).standard_normal((1000, dim)).astype(numpy.float32)
            filler.create("items", dim=dim, metric="euclidean", shards=1)
            for start in range(0, 1000, 500):
                filler.upsert("items", range(start, start + 500), rows[start:start + 500])
            before = self.memory(c.coordinator, "VmRSS")
            client = c.client()
            client.socket.close()
            client.socket = client.context.socket(zmq.DEALER)
            client.socket.setsockopt(zmq.LINGER, 0)
            client.socket.setsockopt(zmq.RCVHWM, 1)
            client.socket.setsockopt(zmq.RCVBUF, 65536)
            client.socket.connect(c.endpoint)
            ids = numpy.arange(1000, dtype="<u8").tobytes()
            for n in range(requests):  # 15.6 MB each
                client.send("get", "items", [ids, b""], n=1000, timeout_ms=60000)
                filler.get("items", [0])  # goes the same way behind it: it is at the coordinator now
                if n % 20 == 0:
                    self.works_for(filler, rows)
            self.works_for(filler, rows)
            peak = self.memory(c.coordinator, "VmHWM") - before
            # It reads at last: each request has its answer, whole or `busy`.
            outcomes = {"ok": 0, "busy": 0}
            for _ in range(requests):
                header, frames = client.receive(20)
                if header["ok"]:
                    self.assertEqual(frames[1], rows.tobytes())
                    outcomes["ok"] += 1
                else:
                    self.assertIn("read them", header["message"])
                    outcomes[header["error"]] += 1
            print(f"\n| {requests} answers of 15 MiB to a client that does not read: {outcomes}, the coordinator grew by {peak} MiB")
            self.assertGreater(outcomes["busy"], requests // 3)
            self.assertGreater(outcomes["ok"], 4)
            self.assertLess(peak, 400)
            client.close()

    def works_for(self, client, rows):
        [answer] = client.search("items", rows[:1], k=1, exact=True)
        self.assertTrue(answer.complete and answer.ids[0] == 0)

    def test_more_than_the_bound_is_busy_and_the_rest_is_whole(self):
        with cluster.Cluster(workers=1) as c, c.client() as client:
            random = numpy.random.default_rng(cluster.SEED)
            rows = random.standard_normal((20000, 64)).astype(numpy.float32)
            client.create("items", dim=64, metric="euclidean", shards=2)
            for start in range(0, len(rows), 5000):
                client.upsert("items", numpy.arange(start, start + 5000), rows[start:start + 5000])
            outcomes = {"busy": 0, "ok": 0}
            for round in range(20):  # one that is slow to send may meet no bound
                if round >= 4 and outcomes["busy"] > 0:
                    break
                sent = [client.search_send("items", rows[i:i + 1], k=5, exact=True, timeout_ms=30000) for i in range(150)]
                for _ in sent:
                    reply = client.search_receive(30)
                    if isinstance(reply, cluster.Error):
                        self.assertEqual(reply.code, "busy")
                        outcomes["busy"] += 1
                    else:
                        number, [answer] = reply
                        self.assertTrue(answer.complete)
                        self.assertEqual(answer.ids[0], sent.index(number), "a poorer answer called complete")
                        outcomes["ok"] += 1
            print("\n| 150 searches at once, four times or more:", outcomes)
            self.assertGreater(outcomes["busy"], 0)
            self.assertGreater(outcomes["ok"], 0)

    def test_overload_keeps_recall(self):
        """Graph searches from many connections, each past its bound: what is called complete is to the bit what a calm cluster answers."""
        k, clients, each, rounds = 10, 24, 100, 3
        with cluster.Cluster(workers=2) as c, c.client() as client:
            random = numpy.random.default_rng(cluster.SEED)
            rows = (random.standard_normal((20200, 6)) @ random.standard_normal((6, 48))).astype(numpy.float32)
            rows, queries = rows[200:], rows[:200]
            client.create("items", dim=48, metric="euclidean", shards=2)
            for start in range(0, len(rows), 5000):
                client.upsert("items", numpy.arange(start, start + 5000), rows[start:start + 5000])
            client.build("items", timeout_ms=120000)
            truth = client.search("items", queries, k, exact=True)
            calm = [client.search("items", queries[i:i + 1], k)[0] for i in range(len(queries))]
            recall = numpy.mean([len(set(a.ids) & set(t.ids)) / k for a, t in zip(calm, truth)])
            self.assertGreaterEqual(recall, 0.9)
            outcomes = {"ok": 0, "busy": 0, "incomplete": 0}
            found = []
            others = [c.client() for _ in range(clients)]
            for _ in range(rounds):
                # Made first, so that they are sent faster than any cluster answers.
                asked, messages = [], []
                for other in others:
                    wanted = random.integers(len(queries), size=each)
                    made = [other.message(**other.search_arguments("items", queries[q:q + 1], k, timeout_ms=60000)) for q in wanted]
                    asked.append({number: q for (number, _), q in zip(made, wanted)})
                    messages.append([message for _, message in made])
                for other, several in zip(others, messages):
                    for message in several:
                        other.socket.send_multipart(message)
                for other, sent in zip(others, asked):
                    while sent:
                        reply = other.search_receive(60)
                        if isinstance(reply, cluster.Error):
                            self.assertIn(reply.code, ("busy", "incomplete"))
                            sent.pop(reply.reply["id"])
                            outcomes[reply.code] += 1
                            continue
                        number, [answer] = reply
                        q = sent.pop(number)
                        self.assertTrue(answer.complete)
                        self.assertEqual(list(answer.ids), list(calm[q].ids), "a poorer answer called complete")
                        found.append(len(set(answer.ids) & set(truth[q].ids)) / k)
                        outcomes["ok"] += 1
            print(f"\n| {rounds} x {clients} x {each} graph searches at once: {outcomes}, recall {recall:.4f} calm, {numpy.mean(found):.4f} in the flood")
            self.assertEqual(sum(outcomes.values()), rounds * clients * each)
            self.assertGreater(outcomes["ok"], 100)
            self.assertGreater(outcomes["busy"], 100)
            self.assertGreater(numpy.mean(found), recall - 0.02)
            for other in others:
                other.close()
            self.assertTrue(all(a.complete for a in client.search("items", queries, k)))


class Limits(unittest.TestCase):
    """What the system denies a process is an error with a sentence, not its end."""

    def test_a_file_size_limit_ends_no_process(self):
        with cluster.Cluster(workers=1) as c, c.client() as client:
            client.create("items", dim=1024, metric="euclidean", shards=1)
            client.upsert("items", [1], numpy.ones((1, 1024), numpy.float32))
            worker = c.workers[0]
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
            with self.assertRaises(cluster.Error):
                for start in range(100, 20000, 100):
                    client.upsert("items", range(start, start + 100), numpy.ones((100, 1024), numpy.float32))
            self.assertTrue(worker.alive(), "a limit of the file size ended the worker")
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            worker.stop()
            worker.start()
            cluster.wait_for("the item that was acknowledged", 30, lambda: c.grove("get", "items", "--id", 1).returncode == 0)

    def test_more_connections_than_the_soft_limit_of_open_files(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 2000:
            self.skipTest("the hard limit of open files is below 2000 here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
        try:
            c = cluster.Cluster(workers=1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1000), hard))
        with c:
            held = [socket.create_connection(("127.0.0.1", c.client_port), 5) for _ in range(400)]
            try:
                c.grove("create", "items", "--dim", 2, "--metric", "dot", "--shards", 200, check=0)
                c.grove("put", "items", "--id", 1, "--vector", "[1,2]", check=0)
                c.grove("search", "items", "--id", 1, check=0)
            finally:
                for s in held:
                    s.close()
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_a_coordinator_outlives_the_reader_of_its_log(self):
        with cluster.Cluster(workers=1) as c:
            c.coordinator.stop()
            reader, writer = os.pipe()
            child = subprocess.Popen([cluster.program("grove-coordinator"), *c.coordinator.arguments], stdout=writer, stderr=writer)
            try:
                os.close(writer)
                os.read(reader, 1)
                os.close(reader)
                c.wait_ready()  # a worker that joins is logged
                c.add_worker()
                c.wait_ready()
                self.assertIsNone(child.poll(), "the coordinator ended with its log's reader")
            finally:
                child.terminate()
                child.wait(20)


cluster.run()
