#!/usr/bin/python3
"""A full disk, for real: the data folder of the worker, then of the coordinator, on a small tmpfs. And a flipped bit in a file at rest."""
import glob
import json
import os
import random
import subprocess
import tempfile
import unittest

import numpy

import cluster

DIM = 256


class Full(unittest.TestCase):
    def small_disk(self, size):
        """self.mount: a file system of that size."""
        if os.geteuid() != 0:
            self.skipTest("mounting a small file system needs root")
        self.mount = tempfile.mkdtemp(prefix="grove-disk-")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.mount]).returncode != 0:
            self.skipTest("this machine does not let us mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", self.mount])

    def fill_disk(self):
        """Not a byte is left."""
        with open(f"{self.mount}/filler", "ab", buffering=0) as f:
            for block in (65536, 4096):
                try:
                    while True:
                        f.write(bytes(block))
                except OSError:
                    pass

    def refused_for_want_of_space(self, client, what, *arguments, **named):
        with self.assertRaises(cluster.Error) as caught:
            client.call(what, *arguments, **named)
        self.assertEqual(caught.exception.code, "disk_full")
        self.assertIn("free some space", caught.exception.reply["message"])

    def test_a_coordinator_on_a_full_disk_changes_no_map_and_serves_and_goes_on_when_there_is_space(self):
        self.small_disk("2m")
        with cluster.Cluster(workers=2, coordinator_data=f"{self.mount}/coordinator") as c, c.client() as client:
            rows = numpy.random.default_rng(cluster.SEED).standard_normal((500, 8)).astype(numpy.float32)
            for name in ("kept", "unwanted"):
                client.create(name, dim=8, metric="euclidean", shards=4)
                client.upsert(name, range(500), rows)
            self.fill_disk()
            spec = dict(dim=8, metric="dot", shards=2, trees=1, seed=0)
            # Until the log of the store needs one more block, which it may have.
            made = []
            for n in range(100):
                try:
                    client.call("create", f"more-{n}", **spec)
                    made.append(f"more-{n}")
                except cluster.Error:
                    break
            print(f"\n| {len(made)} indexes more were made before the coordinator's disk was full")
            for again in range(3):
                self.refused_for_want_of_space(client, "create", f"never-{again}", **spec)
                self.refused_for_want_of_space(client, "drop", "unwanted")
            # What needs no store goes on; for longer than the store's own retries would take.
            for n in range(20):
                self.assertEqual(set(client.upsert("kept", range(500 + n, 501 + n), rows[:1])), {"ok"})
                self.assertTrue(client.search("kept", rows[:5], k=3, exact=True)[0].complete)
            client.build("kept")
            self.assertEqual(client.call("search", frames=[rows[0].tobytes()], index="unwanted", k=1, nq=1, dim=8, dtype="f32", mode="exact", search_k=0)[0]["total"], 1)
            # A coordinator that starts on a full disk serves as well.
            c.coordinator.kill()
            c.coordinator.start()
            cluster.wait_for("complete answers", 15, lambda: self.complete(client, rows, "kept"))
            self.refused_for_want_of_space(client, "create", "never-0", **spec)
            pid = c.coordinator.pid
            os.unlink(f"{self.mount}/filler")
            for name in ("never-0", "after"):
                client.create(name, dim=8, metric="dot", shards=2)
                self.assertEqual(set(client.upsert(name, range(10), rows[:10])), {"ok"})
            client.drop("unwanted")
            self.assertEqual(c.coordinator.pid, pid)
            for start in (False, True):
                if start:
                    c.coordinator.kill()
                    c.coordinator.start()
                    cluster.wait_for("complete answers", 15, lambda: self.complete(client, rows, "kept"))
                listed = [json.loads(line) for line in c.grove("list", "--json", check=0).stdout.splitlines()]
                self.assertEqual(sorted(i["name"] for i in listed), sorted(["kept", "never-0", "after"] + made))
                self.assertTrue(all(f["found"] for f in client.get("kept", list(range(520)))))

    def test_a_full_disk_rejects_writes_loses_nothing_and_goes_on_when_there_is_space(self):
        self.small_disk("24m")
        with cluster.Cluster(workers=0) as c:
            c.add_worker(data=f"{self.mount}/worker")
            c.wait_ready()
            with c.client() as client:
                client.create("items", dim=DIM, metric="euclidean", shards=1, trees=2)
                rows = numpy.random.default_rng(cluster.SEED).standard_normal((40000, DIM)).astype(numpy.float32)
                acknowledged, refused = [], 0
                for start in range(0, len(rows), 500):
                    ids = range(start, start + 500)
                    results = client.upsert("items", list(ids), rows[start:start + 500], allow_failures=True)
                    acknowledged += [i for i, r in zip(ids, results) if r == "ok"]
                    refused += sum(r == "rejected" for r in results)
                    self.assertNotIn("unknown", results)
                    if refused > 2000:
                        break
                self.assertGreater(refused, 0)
                self.assertGreater(len(acknowledged), 1000)
                print(f"\n| 24 MiB disk: {len(acknowledged)} items acknowledged, {refused} rejected")
                with self.assertRaises(cluster.Error) as caught:
                    client.upsert("items", range(10**9, 10**9 + 1000), rows[:1000])
                self.assertEqual(caught.exception.code, "disk_full")
                # Reads and deletes go on.
                [answer] = client.search("items", rows[acknowledged[-1]:acknowledged[-1] + 1], k=1, exact=True)
                self.assertEqual(answer.ids.tolist(), acknowledged[-1:])
                client.delete("items", acknowledged[:10])
                # A build that cannot be written leaves everything as it was.
                try:
                    client.build("items", timeout_ms=60000)
                except cluster.Error as e:
                    self.assertEqual(e.code, "disk_full")
                # Space: writes go on by themselves.
                subprocess.run(["mount", "-o", "remount,size=200m", self.mount], check=True)
                cluster.wait_for("writes go on", 15, lambda: set(client.upsert("items", range(10**9, 10**9 + 1000), rows[:1000], allow_failures=True)) == {"ok"})
                c.workers[0].kill()
                c.workers[0].start()
                c.wait_ready()
                cluster.wait_for("complete answers", 15, lambda: self.complete(client, rows))
                kept = acknowledged[10:] + list(range(10**9, 10**9 + 1000))
                found = client.get("items", kept)
                self.assertTrue(all(f["found"] for f in found))
                for i, f in list(zip(kept, found))[:-1000:97]:
                    self.assertEqual(f["vector"].tobytes(), rows[i].tobytes())
                self.assertFalse(any(f["found"] for f in client.get("items", acknowledged[:10])))

    def complete(self, client, rows, name="items"):
        try:
            return client.search(name, rows[:1], k=1, exact=True)[0].complete
        except cluster.Error:
            return False


class Flipped(unittest.TestCase):
    def test_a_flipped_bit_in_a_segment_is_named_and_never_served(self):
        chance = random.Random(cluster.SEED)
        with cluster.Cluster(workers=1) as c:
            with c.client() as client:
                rows = numpy.random.default_rng(1).standard_normal((1000, 32)).astype(numpy.float32)
                client.create("items", dim=32, metric="euclidean", shards=2, trees=2)
                client.upsert("items", numpy.arange(1000), rows)
                client.build("items")
            for round in range(5):
                c.workers[0].stop()
                path = chance.choice(sorted(glob.glob(f"{c.folder}/worker-1/shards/*/seg-*.grove")))
                size = os.path.getsize(path)
                at, bit = chance.randrange(size), chance.randrange(8)
                self.flip(path, at, bit)
                c.workers[0].start()
                with c.client() as client:
                    c.wait_ready()
                    cluster.wait_for("the damage is seen", 10, lambda: self.answered(client, rows) == 1)
                    cluster.wait_for("the damaged file is named", 10, lambda: os.path.basename(path) in c.workers[0].text())
                    with self.assertRaises(cluster.Error) as caught:
                        client.search("items", rows, k=3, exact=True)
                    for a in client.hits_of_error(caught.exception):
                        self.assertFalse(a.complete)
                c.workers[0].stop()
                self.flip(path, at, bit)
                c.workers[0].start()
                with c.client() as client:
                    cluster.wait_for("healed", 10, lambda: self.answered(client, rows) == 2)

    def flip(self, path, at, bit):
        with open(path, "r+b") as f:
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 1 << bit]))

    def answered(self, client, rows):
        try:
            return client.search("items", rows[:1], k=1, exact=True)[0].answered
        except cluster.Error as e:
            hits = client.hits_of_error(e) if e.code == "incomplete" else []
            return hits[0].answered if hits else 0


cluster.run()
