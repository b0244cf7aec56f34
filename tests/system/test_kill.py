#!/usr/bin/python3
"""kill -9 of every process at any moment of an import loses nothing that was acknowledged.

Half of the kills come at random moments, half are aimed at a phase of a write that the worker's phase file shows (common/io.h). What
a kill truly fell into is read from that file after the death, printed, and each phase must have been hit."""
import collections
import mmap
import os
import random
import threading
import time
import unittest

import numpy

import cluster

PHASES = ["idle", "append", "sync", "segment write", "manifest rename"]
DIM = 24


class PhaseFile:
    """One byte a thread, written by a worker through GROVE_PHASE_FILE."""

    def __init__(self, path):
        self.path = path
        self.map = None

    def now(self):
        """The phases of the worker's threads that are not idle."""
        if self.map is None:
            try:
                with open(self.path, "rb") as f:
                    self.map = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
            except (OSError, ValueError):
                return set()
        return set(self.map[:64]) - {0}


class Kill(unittest.TestCase):
    def test_every_acknowledged_item_is_there_after_kills_at_any_moment(self):
        kills = 300 if cluster.FULL else 60
        chance = random.Random(cluster.SEED)
        c = cluster.Cluster(workers=0)
        phases = []
        for number in (1, 2):
            phases.append(PhaseFile(f"{c.folder}/phase-{number}"))
            # The dwell lets a kill fall between the two halves of an append, which would else take microseconds.
            c.add_worker(env={"GROVE_PHASE_FILE": phases[-1].path, "GROVE_PHASE_DWELL_US": "1000"})
        fell = collections.Counter()
        acknowledged = {}  # id -> version of the newest acknowledged write
        possible = collections.defaultdict(set)  # id -> versions that may have been applied since
        with c:
            with c.client() as client:
                client.create("log", dim=DIM, metric="euclidean", shards=4, trees=2, seed=1)
            version = 0
            for kill in range(kills):
                stop = threading.Event()
                writer = threading.Thread(target=self.write, args=(c, stop, chance.getrandbits(32), version, acknowledged, possible))
                builder = threading.Thread(target=self.build, args=(c, stop))
                version += 1_000_000
                writer.start()
                builder.start()
                self.aim(c, phases, chance, fell, kill)
                stop.set()
                writer.join()
                builder.join()
                for p in c.processes():
                    if not p.alive():
                        p.start()
                c.wait_ready(2)
                if kill % 10 == 9 or kill == kills - 1:
                    self.check(c, acknowledged, possible)
        print(f"\n| {kills} kills, seed {cluster.SEED}; fell inside: " + ", ".join(f"{PHASES[p]} {fell[p]}" for p in range(5)) +
              f"; {len(acknowledged)} items acknowledged, none lost")
        for phase in range(1, 5):
            self.assertGreater(fell[phase], 0, f"no kill fell inside {PHASES[phase]}: the test did not test it")

    def aim(self, c, phases, chance, fell, kill):
        """Kill one process, or all at once: at a random moment, or when a worker is seen in a phase."""
        victim = chance.randrange(2)
        wanted = (kill // 2) % 4 + 1 if kill % 2 else None
        time.sleep(chance.uniform(0.02, 0.3))
        if wanted:
            end = time.monotonic() + 1
            while wanted not in phases[victim].now() and time.monotonic() < end:
                pass
        everyone = kill % 5 == 4
        targets = c.processes() if everyone else [c.coordinator] if kill % 7 == 6 and not wanted else [c.workers[victim]]
        for p in targets:
            p.child.kill()
        for p in targets:
            p.child.wait()
        for worker, phase in zip(c.workers, phases):
            if worker in targets:
                seen = phase.now()
                for s in seen:
                    fell[s] += 1
                if not seen:
                    fell[0] += 1
                phase.map = None
                os.path.exists(phase.path) and os.unlink(phase.path)

    def vector(self, item, version):
        """The vector tells its id and version, so that half an item would be seen."""
        return numpy.random.default_rng(item * 1_000_003 + version).standard_normal(DIM).astype(numpy.float32)

    def write(self, c, stop, seed, version, acknowledged, possible):
        chance = random.Random(seed)
        with c.client() as client:
            while not stop.is_set():
                version += 1
                ids = chance.sample(range(3000), chance.randrange(1, 60))
                rows = numpy.stack([self.vector(i, version) for i in ids])
                payloads = [{"version": version, "item": i} for i in ids]
                for i in ids:
                    possible[i].add(version)
                try:
                    results = client.upsert("log", ids, rows, payloads=payloads, allow_failures=True, timeout_ms=1000, wait=1)
                except (cluster.Error, TimeoutError):
                    continue
                for i, result in zip(ids, results):
                    if result == "ok":
                        acknowledged[i] = version
                        possible[i] = {version}
                    elif result == "rejected":
                        possible[i].discard(version)

    def build(self, c, stop):
        with c.client() as client:
            while not stop.is_set():
                try:
                    client.build("log", timeout_ms=1000, wait=1)
                except (cluster.Error, TimeoutError):
                    stop.wait(0.05)

    def check(self, c, acknowledged, possible):
        with c.client() as client:
            cluster.wait_for("complete answers", 30, lambda: self.whole(client))
            ids = sorted(acknowledged)
            for item, got in zip(ids, client.get("log", ids)):
                where = f"item {item}, acknowledged at version {acknowledged[item]}, seed {cluster.SEED}"
                self.assertTrue(got["found"], f"lost: {where}")
                version = got["payload"]["version"]
                self.assertEqual(got["payload"]["item"], item, where)
                self.assertIn(version, possible[item] | {acknowledged[item]}, where)
                self.assertGreaterEqual(version, acknowledged[item], where)
                self.assertEqual(got["vector"].tobytes(), self.vector(item, version).tobytes(), f"half an item: {where}")

    def whole(self, client):
        try:
            return client.search("log", numpy.zeros((1, DIM), numpy.float32), k=1, exact=True, timeout_ms=2000)[0].complete
        except (cluster.Error, TimeoutError):
            return False


cluster.run()
