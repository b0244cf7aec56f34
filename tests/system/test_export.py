#!/usr/bin/python3
"""What was put in comes out again, bit for bit: scans over the wire and `grove export`, with real processes."""
import json
import os
import signal
import subprocess
import threading
import unittest

import msgpack
import numpy

import cluster

CURSOR = numpy.dtype([("index", "<u8"), ("shard", "<u4"), ("zero", "<u4"), ("id", "<u8")])


def scan(client, name, limit=None, vectors=True, payloads=True):
    """All pages: (ids, rows as bytes, payloads, keys, page sizes)."""
    ids, rows, bodies, keys, sizes, cursor = [], [], [], [], [], b""
    while True:
        arguments = dict(with_vector=vectors, with_payload=payloads, cursor=bool(cursor), **({"limit": limit} if limit else {}))
        header, frames = client.call("scan", name, [cursor] if cursor else [], **arguments)
        n = header["n"]
        page = numpy.frombuffer(frames[0], "<u8")
        assert len(page) == n and (n < 2 or (page[1:] > page[:-1]).all())
        width = len(frames[1]) // n if n else 0
        ids += [int(i) for i in page]
        rows += [frames[1][i * width:(i + 1) * width] for i in range(n)]
        bodies += [msgpack.unpackb(p) if p else None for p in cluster.unpack_blobs(frames[2], n)]
        keys += cluster.unpack_blobs(frames[3], n)
        sizes.append((n, sum(map(len, frames[:4]))))
        cursor = frames[4]
        assert len(cursor) == (24 if header["cursor"] else 0)
        if not cursor:
            return ids, rows, bodies, keys, sizes


class Model:
    """Items put, replaced and deleted, partly built and partly not, and what must come out."""

    def __init__(self, client, name, metric, shards, dim=13, n=1500):
        self.random = numpy.random.default_rng(cluster.SEED + shards)
        self.client, self.name, self.metric, self.dim = client, name, metric, dim
        self.items = {}
        client.create(name, dim=dim, metric=metric, shards=shards, seed=3)
        ids = self.random.permutation(numpy.concatenate([numpy.arange(n - 3, dtype=numpy.uint64), numpy.array([2**53 + 1, 2**63, 2**64 - 1], numpy.uint64)]))
        self.put(ids[:n // 2])
        client.build(name, trees=2)
        self.put(ids[n // 2:])
        self.put(ids[::7])
        self.delete(ids[::11])
        self.put(ids[::44])

    def rows(self, n):
        rows = self.random.standard_normal((n, self.dim)).astype(numpy.float32)
        rows[0, :4] = [1e-45, -0.0, 3.4028235e38, 0.1]
        return numpy.packbits(rows > 0, axis=1, bitorder="little") if self.metric == "hamming" else rows

    def put(self, ids):
        rows = self.rows(len(ids))
        bodies = [{"n": int(i) % 1000, "text": "späte \"Rose\"\n"} if int(i) % 3 == 0 else {} for i in ids]
        self.client.upsert(self.name, ids, rows, payloads=bodies)
        self.items.update({int(i): (r.tobytes(), p) for i, r, p in zip(ids, rows, bodies)})

    def delete(self, ids):
        self.client.delete(self.name, ids)
        for i in ids:
            self.items.pop(int(i), None)


class Scan(unittest.TestCase):
    def test_pages_hold_every_item_once_as_it_was_put(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            for metric, shards in (("euclidean", 1), ("angular", 4), ("hamming", 3)):
                model = Model(client, metric, metric, shards)
                for limit in (7, 1000, None):
                    ids, rows, bodies, keys, sizes = scan(client, metric, limit)
                    self.assertEqual(sorted(ids), sorted(model.items))
                    self.assertEqual({i: (r, p) for i, r, p in zip(ids, rows, bodies)}, model.items)
                    self.assertFalse(any(keys))
                    self.assertLessEqual(max(n for n, _ in sizes), limit or 4096)
                ids, rows, bodies, keys, _ = scan(client, metric, vectors=False, payloads=False)
                self.assertEqual((sorted(ids), any(rows), any(bodies)), (sorted(model.items), False, False))

    def test_a_page_is_bounded_in_bytes(self):
        with cluster.Cluster(workers=1) as c, c.client() as client:
            client.create("wide", dim=20000, metric="dot", shards=1)
            for start in (0, 100):
                client.upsert("wide", numpy.arange(start, start + 100), numpy.ones((100, 20000), numpy.float32),
                              payloads=[{"x": "y" * 60000}] * 100)
            ids, _, _, _, sizes = scan(client, "wide")
            self.assertEqual(ids, list(range(200)))
            self.assertLessEqual(max(size for _, size in sizes), 1024 * 1024)
            self.assertGreater(max(size for _, size in sizes), 900 * 1024)

    def test_a_page_may_be_empty_and_not_the_last(self):
        with cluster.Cluster(workers=1) as c, c.client() as client:
            client.create("gone", dim=8, metric="hamming", shards=1)
            for start in range(0, 600000, 60000):  # deleted and not built away: more than a page looks at
                client.upsert("gone", numpy.arange(start, start + 60000), numpy.zeros((60000, 1), numpy.uint8))
                client.delete("gone", numpy.arange(start, start + 60000))
            client.upsert("gone", [7, 2**64 - 1], numpy.full((2, 1), 5, numpy.uint8))
            ids, rows, _, _, sizes = scan(client, "gone")
            self.assertEqual((ids, rows), ([7, 2**64 - 1], [b"\5", b"\5"]))
            self.assertEqual([n for n, _ in sizes], [1, 0, 1])
            self.assertEqual(c.grove("export", "gone", "-", check=0).stdout.count("\n"), 2)

    def test_a_shard_that_is_away_is_an_error_and_a_made_up_cursor_too(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            model = Model(client, "x", "euclidean", 2)
            cursor = numpy.zeros(1, CURSOR)
            codes = set()
            c.workers[1].kill()
            cluster.wait_for("a worker is known to be dead", 20, lambda: c.alive_workers(client) == 1)
            for shard in (0, 1, 2):
                cursor["shard"] = shard
                try:
                    client.call("scan", "x", [cursor.tobytes()], cursor=True)
                    codes.add("ok")
                except cluster.Error as e:
                    codes.add(e.code)
            self.assertEqual(codes, {"ok", "unavailable", "bad_request"})
            with self.assertRaises(cluster.Error) as caught:
                scan(client, "x")
            self.assertEqual(caught.exception.code, "unavailable")
            for frames, arguments in (([b"x" * 24], dict(cursor=False)), ([b"x" * 23], dict(cursor=True)), ([], dict(cursor=True)), ([], dict(limit=0))):
                with self.assertRaises(cluster.Error) as caught:
                    client.call("scan", "x", frames, **arguments)
                self.assertIn(caught.exception.code, ("bad_request", "limit"))
            self.assertTrue(model.items)


class Export(unittest.TestCase):
    def export_npy(self, c, name, *more):
        path = f"{c.folder}/{name}"
        done = c.grove("export", name, f"{path}.npy", "--ids", f"{path}.ids.npy", *more, check=0)
        return numpy.load(f"{path}.ids.npy"), numpy.load(f"{path}.npy"), done

    def test_npy_and_jsonl_hold_the_items_in_the_order_of_ids(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            for metric, shards in (("euclidean", 1), ("dot", 4), ("hamming", 2)):
                model = Model(client, metric, metric, shards)
                ids, rows, _ = self.export_npy(c, metric)
                self.assertEqual([int(i) for i in ids], sorted(model.items))
                self.assertEqual(rows.dtype, numpy.uint8 if metric == "hamming" else numpy.float32)
                self.assertEqual([r.tobytes() for r in rows], [model.items[int(i)][0] for i in ids])
                c.grove("export", metric, f"{c.folder}/{metric}.jsonl", check=0)
                with open(f"{c.folder}/{metric}.jsonl", encoding="utf-8") as file:
                    lines = [json.loads(line) for line in file]
                self.assertEqual([line["id"] for line in lines], sorted(model.items))
                for line in lines:
                    row = numpy.array(line["vector"], numpy.float32)
                    if metric == "hamming":
                        row = numpy.packbits(row > 0, bitorder="little")
                    self.assertEqual((row.tobytes(), line.get("payload", {})), model.items[line["id"]])
                    self.assertLessEqual(set(line), {"id", "vector", "payload"})
                self.assertEqual(c.grove("export", metric, "-", check=0).stdout.count("\n"), len(model.items))
                self.assertEqual(sorted(f for f in os.listdir(c.folder) if f.endswith(".tmp")), [])

    def test_an_import_of_what_was_exported_gives_the_same_items(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            for metric, shards in (("euclidean", 4), ("angular", 1), ("hamming", 2)):
                model = Model(client, metric, metric, shards)
                c.grove("put", metric, "--key", "boot-42", "--vector", json.dumps([1, 0] * 6 + [1]), "--payload", '{"a": [1, "b"]}', check=0)
                ids, rows, _ = self.export_npy(c, metric)
                c.grove("export", metric, f"{c.folder}/{metric}.jsonl", check=0)
                want = scan(client, metric)
                for form, (source, more) in {"npy": (f"{metric}.npy", ["--ids", f"{c.folder}/{metric}.ids.npy"]), "jsonl": (f"{metric}.jsonl", [])}.items():
                    name = f"{metric}-{form}"
                    client.create(name, dim=13, metric=metric, shards=3)
                    c.grove("import", name, f"{c.folder}/{source}", *more, check=0)
                    if form == "npy":
                        again, vectors, _ = self.export_npy(c, name)
                        self.assertEqual((again.tobytes(), vectors.tobytes()), (ids.tobytes(), rows.tobytes()))
                        continue
                    got = scan(client, name)
                    by_id = [{i: (r, p or {}, k) for i, r, p, k in zip(*page[:4])} for page in (want, got)]
                    self.assertEqual(by_id[0], by_id[1])
                    self.assertEqual(len(by_id[0]), len(model.items) + 1)
            numpy.save(f"{c.folder}/bits.npy", numpy.full((3, 2), 255, numpy.uint8))
            self.assertIn("past the 13", c.grove("import", "hamming", f"{c.folder}/bits.npy", check=1).stderr)

    def test_keys_and_an_empty_index(self):
        with cluster.Cluster(workers=1) as c, c.client() as client:
            client.create("keys", dim=2, metric="euclidean", shards=2)
            ids, rows, _ = self.export_npy(c, "keys")
            self.assertEqual((ids.shape, rows.shape), ((0,), (0, 2)))
            self.assertEqual(c.grove("export", "keys", "-", check=0).stdout, "")
            c.grove("put", "keys", "--key", "boot-42", "--vector", "[1, 0]", check=0)
            c.grove("put", "keys", "--id", 5, "--vector", "[0.5, 0]", "--payload", '{"a": 1}', check=0)
            lines = [json.loads(line) for line in c.grove("export", "keys", "-", check=0).stdout.splitlines()]
            self.assertEqual(lines[0], {"id": 5, "vector": [0.5, 0], "payload": {"a": 1}})
            self.assertEqual((lines[1]["key"], lines[1]["vector"]), ("boot-42", [1, 0]))
            done = c.grove("export", "keys", f"{c.folder}/k.npy", check=0)
            self.assertIn("--ids", done.stderr)
            self.assertIn("jsonl has", done.stderr)
            self.assertEqual(json.loads(c.grove("export", "keys", f"{c.folder}/k.npy", "--json", check=0).stdout)["items"], 2)
            # A key that is no text cannot stand in JSON: its item has the id, and it is told.
            client.call("upsert", "keys", [b"", bytes(8), b"", (2).to_bytes(4, "little") + b"\xff\0"], n=1, dim=2, keys=True)
            done = c.grove("export", "keys", "-", check=0)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual((len(lines), sum("key" in line for line in lines)), (3, 1))
            self.assertIn("1 keys are no UTF-8 text", done.stderr)

    def test_a_link_is_followed_and_what_is_no_file_is_written_to(self):
        with cluster.Cluster(workers=1) as c, c.client() as client:
            Model(client, "x", "euclidean", 1)
            want = c.grove("export", "x", "-", check=0).stdout
            os.symlink(f"{c.folder}/target.jsonl", f"{c.folder}/link.jsonl")
            self.assertIn("link", c.grove("export", "x", f"{c.folder}/link.jsonl", check=1).stderr)
            with open(f"{c.folder}/target.jsonl", "wb"):
                pass
            c.grove("export", "x", f"{c.folder}/link.jsonl", check=0)
            self.assertTrue(os.path.islink(f"{c.folder}/link.jsonl"))
            with open(f"{c.folder}/target.jsonl", encoding="utf-8") as file:
                self.assertEqual(file.read(), want)
            os.mkfifo(f"{c.folder}/pipe.jsonl")
            with open(f"{c.folder}/read.jsonl", "wb") as out:
                reader = subprocess.Popen(["cat", f"{c.folder}/pipe.jsonl"], stdout=out)
            c.grove("export", "x", f"{c.folder}/pipe.jsonl", check=0, timeout=30)
            self.assertEqual(reader.wait(20), 0)
            with open(f"{c.folder}/read.jsonl", encoding="utf-8") as file:
                self.assertEqual(file.read(), want)
            self.assertIn("ordinary file", c.grove("export", "x", f"{c.folder}/pipe.jsonl", "--format", "npy", check=2).stderr)

    def test_what_stays_is_exported_once_while_others_write_and_build(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            model = Model(client, "busy", "euclidean", 4, n=4000)
            stay = sorted(i for i in model.items if i % 2 == 0)
            ended = threading.Event()
            wrong = []

            def write():
                random, one = numpy.random.default_rng(5), numpy.uint64(1)
                with c.client() as other:
                    while not ended.is_set():
                        some = random.integers(0, 5000, 200, dtype=numpy.uint64)
                        even = numpy.intersect1d(some - some % numpy.uint64(2), numpy.array(stay, numpy.uint64))
                        put = numpy.unique(numpy.concatenate([even, some | one]))
                        other.upsert("busy", put, numpy.zeros((len(put), 13), numpy.float32))
                        other.delete("busy", numpy.unique(some[:50] | one))

            def build():
                with c.client() as other:
                    while not ended.is_set():
                        try:
                            other.build("busy", trees=1)
                        except cluster.Error as e:
                            wrong.append(str(e))

            threads = [threading.Thread(target=write), threading.Thread(target=build)]
            for thread in threads:
                thread.start()
            try:
                for _ in range(6):
                    ids, rows, _ = self.export_npy(c, "busy")
                    self.assertTrue((ids[1:] > ids[:-1]).all())
                    self.assertEqual([int(i) for i in ids if int(i) % 2 == 0], stay)
                    for i, row in zip(ids, rows):
                        self.assertIn(row.tobytes(), (bytes(4 * 13), model.items.get(int(i), (None,))[0]))
            finally:
                ended.set()
                for thread in threads:
                    thread.join()
            self.assertEqual(wrong, [])

    def test_failures_leave_no_file_and_the_old_one_as_it_was(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            Model(client, "x", "euclidean", 2)
            path = f"{c.folder}/x.npy"
            with open(path, "w", encoding="utf-8") as file:
                file.write("old")
            for code, arguments in ((3, ("nothing", path)), (2, ("x", "x.unknown")), (2, ("x", path, "--format", "xls")), (2, ("x", "-", "--format", "npy")),
                                    (2, ("x", f"{c.folder}/x.jsonl", "--ids", "i")), (1, ("x", f"{c.folder}/none/x.npy")), (1, ("x", "/dev/full", "--format", "jsonl")),
                                    (2, ("x", "-", "--json")), (2, ("x",))):
                done = c.grove("export", *arguments, check=code)
                self.assertTrue(done.stderr.startswith("grove"), done.stderr)
            c.workers[0].kill()
            done = c.grove("export", "x", path, "--timeout", "2000", check=69)
            self.assertIn("shard", done.stderr)
            self.assertIn("asking again for 2 s", done.stderr)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(file.read(), "old")
            self.assertEqual([f for f in os.listdir(c.folder) if f.endswith(".tmp") or f.endswith(".jsonl")], [])
            self.assertTrue(os.path.exists("/dev/full"))

    def test_an_export_outlives_a_worker_that_restarts(self):
        with cluster.Cluster(workers=1) as c, c.client() as client:
            model = Model(client, "x", "euclidean", 2)
            c.workers[0].kill()
            path = f"{c.folder}/x.npy"
            export = subprocess.Popen([cluster.program("grove"), "export", "x", path, "--timeout", "30000"], env=dict(os.environ, GROVE_ENDPOINT=c.endpoint),
                                      stderr=subprocess.DEVNULL)
            cluster.wait_for("the file is begun", 20, lambda: any(f.startswith("x.npy.") for f in os.listdir(c.folder)))
            c.workers[0].start()
            self.assertEqual(export.wait(60), 0)
            self.assertEqual(len(numpy.load(path)), len(model.items))

    def test_an_export_outlives_a_coordinator_that_restarts_and_a_scan_goes_on(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            model = Model(client, "x", "euclidean", 4)
            header, frames = client.call("scan", "x", limit=100)
            seen, cursor = [int(i) for i in numpy.frombuffer(frames[0], "<u8")], frames[4]
            c.coordinator.kill()
            c.coordinator.start()
            with c.client() as again:
                cluster.wait_for("both workers are back", 30, lambda: c.alive_workers(again) == 2)
                while cursor:
                    header, frames = again.call("scan", "x", [cursor], limit=100, cursor=True)
                    seen += [int(i) for i in numpy.frombuffer(frames[0], "<u8")]
                    cursor = frames[4]
            self.assertEqual((len(seen), sorted(seen)), (len(model.items), sorted(model.items)))
            c.workers[0].signal(signal.SIGSTOP)  # pages are under way when the coordinator goes
            path = f"{c.folder}/x.npy"
            export = subprocess.Popen([cluster.program("grove"), "export", "x", path], env=dict(os.environ, GROVE_ENDPOINT=c.endpoint), stderr=subprocess.DEVNULL)
            cluster.wait_for("the file is begun", 20, lambda: any(f.startswith("x.npy.") for f in os.listdir(c.folder)))
            c.coordinator.kill()
            c.workers[0].signal(signal.SIGCONT)
            c.coordinator.start()
            self.assertEqual(export.wait(60), 0)
            self.assertEqual(len(numpy.load(path)), len(model.items))

    def test_what_stays_is_exported_once_while_a_worker_is_killed_again_and_again(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            model = Model(client, "x", "euclidean", 4, n=6000)
            stay = sorted(i for i in model.items if i % 2 == 0)
            ended = threading.Event()

            def write():  # odd ids come and go, some are built; refusals and unknown outcomes are part of it
                random = numpy.random.default_rng(6)
                with c.client() as other:
                    while not ended.is_set():
                        odd = numpy.unique(random.integers(0, 6000, 100, dtype=numpy.uint64) | numpy.uint64(1))
                        for change in (lambda: other.upsert("x", odd, numpy.zeros((len(odd), 13), numpy.float32)), lambda: other.delete("x", odd[:40]),
                                       lambda: other.build("x", trees=1, timeout_ms=1000)):
                            try:
                                change()
                            except (cluster.Error, TimeoutError):
                                pass

            thread = threading.Thread(target=write)
            thread.start()
            try:
                for round in range(4):
                    export = subprocess.Popen([cluster.program("grove"), "export", "x", f"{c.folder}/x.npy", "--ids", f"{c.folder}/x.txt", "--timeout", "60000"],
                                              env=dict(os.environ, GROVE_ENDPOINT=c.endpoint), stderr=subprocess.DEVNULL)
                    if round % 2:
                        cluster.wait_for("it has begun", 20, lambda: export.poll() is not None or any(f.endswith(".tmp") for f in os.listdir(c.folder)), pause=0.001)
                    c.workers[round % 2].kill()
                    c.workers[round % 2].start()
                    self.assertEqual(export.wait(120), 0)
                    with open(f"{c.folder}/x.txt", encoding="utf-8") as file:
                        ids = [int(line) for line in file]
                    self.assertEqual(ids, sorted(set(ids)))
                    self.assertEqual([i for i in ids if i % 2 == 0], stay)
                    for i, row in zip(ids, numpy.load(f"{c.folder}/x.npy")):
                        if i % 2 == 0:
                            self.assertEqual(row.tobytes(), model.items[i][0])
            finally:
                ended.set()
                thread.join()

    def test_one_index_is_copied_into_another_through_a_pipe(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            model = Model(client, "from", "angular", 3)
            client.create("to", dim=13, metric="angular", shards=2)
            grove = cluster.program("grove")
            done = subprocess.run(f"set -o pipefail; {grove} export from - | {grove} import to -", shell=True, executable="/bin/bash",
                                  env=dict(os.environ, GROVE_ENDPOINT=c.endpoint), capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            ids, rows, bodies, _, _ = scan(client, "to")
            self.assertEqual({i: (r, p or {}) for i, r, p in zip(ids, rows, bodies)}, model.items)

    def test_an_interrupted_export_takes_its_file_away(self):
        with cluster.Cluster(workers=1) as c, c.client() as client:
            Model(client, "x", "euclidean", 1)
            c.workers[0].signal(signal.SIGSTOP)
            for number in (signal.SIGINT, signal.SIGTERM):
                export = subprocess.Popen([cluster.program("grove"), "export", "x", f"{c.folder}/x.npy", "--ids", f"{c.folder}/i.txt"],
                                          env=dict(os.environ, GROVE_ENDPOINT=c.endpoint))
                cluster.wait_for("the files are begun", 20, lambda: sum(f.endswith(".tmp") for f in os.listdir(c.folder)) == 2)
                export.send_signal(number)
                self.assertEqual(export.wait(20), -number)
                self.assertEqual([f for f in os.listdir(c.folder) if f.startswith(("x.npy", "i.txt"))], [])
            c.workers[0].signal(signal.SIGCONT)


cluster.run()
