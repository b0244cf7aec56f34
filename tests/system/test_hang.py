#!/usr/bin/python3
"""Threads that hang inside a process that lives: nobody waits for it longer than a deadline, and it is missed no more when it goes on."""
import signal
import time
import unittest

import numpy

import cluster

DIM = 16
STALL_SEARCH, STALL_WRITER, DEAD = 2, 10, 3  # seconds: worker/liveness.h, coordinator/membership.h
STOP = 5  # worker/server.h, coordinator/server.h


class Hang(unittest.TestCase):
    def setUp(self):
        """Two workers; the threads of the second may hang."""
        self.faults = self.enterContext(cluster.Faults())
        self.c = cluster.Cluster(workers=0)
        self.c.add_worker()
        self.victim = self.c.add_worker(env=self.faults.env)
        self.enterContext(self.c)
        self.client = self.enterContext(self.c.client())
        self.rows = numpy.random.default_rng(cluster.SEED).standard_normal((4000, DIM)).astype(numpy.float32)
        self.client.create("items", dim=DIM, metric="euclidean", shards=4, seed=1)
        self.client.upsert("items", numpy.arange(4000), self.rows)
        self.client.build("items")
        cluster.wait_for("beats that tell the count", 5, lambda: sum(w["items"] for w in self.client.status()["workers"]) == 4000)

    def state(self):
        [worker] = [w for w in self.client.status()["workers"] if w["pid"] == self.victim.pid]
        return worker["state"]

    def wait_until_dead(self, since, stall):
        """The states that the coordinator shows on the way, in order; that it takes the time it should."""
        seen = [self.state()]
        while seen[-1] != "dead":
            self.assertLess(time.monotonic() - since, cluster.SLOWER * (stall + DEAD), f"the worker is still {seen[-1]}")
            time.sleep(0.02)
            state = self.state()
            if state != seen[-1]:
                seen.append(state)
        self.assertGreater(time.monotonic() - since, stall + DEAD - 0.5)
        self.assertEqual(seen[-3:], ["alive", "suspect", "dead"])

    def search_is_partial(self, timeout_ms, at_most):
        with self.c.stopwatch() as watch, self.assertRaises(cluster.Error) as caught:
            self.client.search("items", self.rows[:5], k=10, exact=True, timeout_ms=timeout_ms)
        self.assertLess(watch.took, at_most)
        self.assertEqual(caught.exception.code, "incomplete")
        for a in self.client.hits_of_error(caught.exception):
            self.assertEqual((a.shards, a.answered, len(a.ids)), (4, 2, 10))

    def is_complete(self):
        try:
            answers = self.client.search("items", self.rows[:5], k=10, exact=True, timeout_ms=2000)
        except cluster.Error:
            return False
        return all(a.complete and a.ids[0] == i for i, a in enumerate(answers))

    def goes_on(self):
        self.faults.hang(None)
        cluster.wait_for("complete answers", 10, self.is_complete)
        self.assertEqual(self.state(), "alive")
        self.assertTrue(all(p.alive() for p in self.c.processes()))
        self.assertEqual(set(self.client.upsert("items", range(9000, 9100), self.rows[:100])), {"ok"})

    def test_a_search_thread_that_hangs_makes_its_worker_missing_until_it_goes_on(self):
        self.faults.hang("search")
        began = time.monotonic()
        self.search_is_partial(700, at_most=0.95)  # not yet known: waits for its deadline
        self.assertEqual(self.faults.hanging(), 1)
        self.wait_until_dead(began, STALL_SEARCH)
        self.search_is_partial(5000, at_most=0.5)
        self.assertIn("search thread 0 has hung", self.victim.text())
        self.goes_on()
        self.assertIn("beating again", self.victim.text())

    def test_a_shards_writer_that_hangs_holds_up_writes_then_makes_its_worker_missing_until_it_goes_on(self):
        self.faults.hang("sync")
        began = time.monotonic()
        ids = numpy.arange(5000, 5100)
        with self.c.stopwatch() as watch:
            results = self.client.upsert("items", ids, self.rows[:100] + 100, allow_failures=True, timeout_ms=1000)
        self.assertLess(watch.took, 1.3)
        self.assertEqual(set(results), {"ok", "unknown"})
        self.assertEqual(self.faults.hanging(), 2)
        # A slow disk is no hung worker yet: searches go on, and nothing unsynced is seen.
        while time.monotonic() - began < STALL_WRITER - 3:
            self.assertTrue(self.is_complete())
            self.assertEqual(self.state(), "alive")
            found = [f["found"] for f in self.client.get("items", ids)]
            self.assertEqual(found, [r == "ok" for r in results])
            time.sleep(0.5)
        self.wait_until_dead(began, STALL_WRITER)
        self.search_is_partial(5000, at_most=0.5)
        self.assertIn("has hung", self.victim.text())
        self.goes_on()
        self.assertTrue(all(f["found"] for f in self.client.get("items", ids)), "what was written at last is there")

    def stops_by_force(self, process, number):
        """A process with a thread that hangs ends all the same, after the time of a clean stop, and says so."""
        with cluster.Stopwatch([process]) as watch:
            process.signal(number)
            self.assertEqual(process.child.wait(cluster.SLOWER * STOP), 1)
        self.assertGreater(watch.wall, STOP - 0.5)
        self.assertLess(watch.took, STOP + 1)
        self.assertIn(f"{process.name}: the clean stop took longer than {STOP} s: stopped at once; nothing acknowledged is lost", process.text())

    def nothing_is_lost(self, ids, rows, answered):
        """All that was acknowledged is there once the hung process was started again."""
        self.faults.hang(None)
        cluster.wait_for("complete answers", 10, self.is_complete)
        for i, row, result, found in zip(ids, rows, answered, self.client.get("items", list(ids))):
            if result == "ok":
                self.assertTrue(found["found"])
            if found["found"]:
                self.assertEqual(found["vector"].tobytes(), row.tobytes(), f"item {i}")

    def test_a_worker_is_stopped_by_force_where_a_search_hangs(self):
        ids, rows = range(5000, 5100), self.rows[:100] + 100
        answered = self.client.upsert("items", ids, rows)
        self.faults.hang("search")
        self.search_is_partial(300, at_most=0.5)
        self.stops_by_force(self.victim, signal.SIGTERM)
        self.victim.start()
        self.nothing_is_lost(ids, rows, answered)

    def test_a_worker_is_stopped_by_force_where_a_sync_hangs(self):
        ids, rows = range(5000, 5200), self.rows[:200] + 100
        answered = self.client.upsert("items", ids[:100], rows[:100])
        self.faults.hang("sync")
        answered += self.client.upsert("items", ids[100:], rows[100:], allow_failures=True, timeout_ms=500)
        self.assertEqual(set(answered[100:]), {"ok", "unknown"})
        self.stops_by_force(self.victim, signal.SIGINT)
        self.faults.hang(None)  # else opening would hang as well
        self.victim.start()
        self.nothing_is_lost(ids, rows, answered)


class Store(unittest.TestCase):
    def test_a_coordinator_whose_store_hangs_serves_and_is_stopped_by_force(self):
        with cluster.Faults() as faults, cluster.Cluster(workers=0, env=faults.env) as c:
            c.env = {}
            c.add_worker()
            c.wait_ready()
            with c.client() as client:
                rows = numpy.random.default_rng(cluster.SEED).standard_normal((500, DIM)).astype(numpy.float32)
                client.create("items", dim=DIM, metric="euclidean", shards=2)
                client.upsert("items", range(500), rows)
                faults.hang("sync")
                with self.assertRaises(cluster.Error) as caught:
                    client.call("create", "second", dim=DIM, metric="dot", shards=1, trees=1, seed=0, timeout_ms=500)
                self.assertEqual(caught.exception.code, "unknown")
                self.assertEqual(faults.hanging(), 1)
                # What needs no store goes on.
                self.assertTrue(client.search("items", rows[:1], k=1, exact=True)[0].complete)
                self.assertEqual(set(client.upsert("items", range(500, 600), rows[:100])), {"ok"})
                Hang.stops_by_force(self, c.coordinator, signal.SIGTERM)
                faults.hang(None)
                c.coordinator.start()
                cluster.wait_for("complete answers", 10, lambda: self.is_complete(client, rows))
                self.assertTrue(all(f["found"] for f in client.get("items", list(range(600)))))
                # Whatever became of it, it is whole: there and usable, or free to be made.
                try:
                    client.create("second", dim=DIM, metric="dot", shards=1)
                except cluster.Error as e:
                    self.assertEqual(e.code, "exists")
                client.dims["second"] = (DIM, "dot")
                cluster.wait_for("the second index to take items", 10, lambda: self.takes_items(client, "second", rows[:10]))

    def takes_items(self, client, name, rows):
        """An index that was there already may still be on its way to be made: it says so, and to try again."""
        try:
            return set(client.upsert(name, range(len(rows)), rows)) == {"ok"}
        except cluster.Error as e:
            self.assertEqual(e.code, "unavailable")
            return False

    def is_complete(self, client, rows):
        try:
            return client.search("items", rows[:1], k=1, exact=True, timeout_ms=2000)[0].complete
        except (cluster.Error, TimeoutError):
            return False


cluster.run()
