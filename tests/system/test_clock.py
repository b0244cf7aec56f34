#!/usr/bin/python3
"""The wall clock of every process jumps by days, and nothing notices: deadlines, liveness and waits are monotonic (promise P16)."""
import datetime
import random
import re
import signal
import threading
import time
import unittest

import numpy

import cluster

DIM = 32
DAY = 86400


class Clock(unittest.TestCase):
    def filled(self, client, n=4000):
        rows = numpy.random.default_rng(cluster.SEED).standard_normal((n, DIM)).astype(numpy.float32)
        client.create("items", dim=DIM, metric="euclidean", shards=4, trees=3, seed=1)
        client.upsert("items", numpy.arange(n), rows)
        client.build("items")
        return rows

    def days_shown(self, process):
        """The differences in days between today and the dates in a process's log."""
        today = datetime.datetime.now(datetime.timezone.utc).date()
        dates = re.findall(r"^(\d{4}-\d\d-\d\d)T", process.text(), re.M)
        return {(datetime.date.fromisoformat(d) - today).days for d in dates}

    def test_jumps_disturb_neither_searches_nor_writes_nor_builds_nor_liveness(self):
        chance = random.Random(cluster.SEED)
        with cluster.Faults() as faults, cluster.Cluster(workers=2, env=faults.env) as c, c.client() as client:
            rows = self.filled(client)
            stop, troubles, done = threading.Event(), [], {"search": 0, "write": 0, "build": 0}

            def repeat(what, act):
                with c.client() as mine:
                    mine.shape("items")
                    while not stop.is_set():
                        began = time.monotonic()
                        try:
                            act(mine, done[what])
                        except Exception as e:  # any at all is a finding
                            troubles.append(f"{what}: {e!r}")
                            return
                        if time.monotonic() - began > 30:  # a clock that a deadline believes makes it days, or nothing
                            troubles.append(f"{what} took {time.monotonic() - began:.1f} s")
                        done[what] += 1

            def search(mine, n):
                for i, a in enumerate(mine.search("items", rows[:200], k=10, exact=n % 2 == 0, timeout_ms=20000)):
                    assert a.complete and a.ids[0] == i, (i, a.ids, a.answered, a.failed, a.late)

            def write(mine, n):
                mine.upsert("items", numpy.arange(10000 + 50 * n, 10050 + 50 * n), rows[:50] + 100)

            def build(mine, n):
                mine.build("items")
                stop.wait(0.5)

            threads = [threading.Thread(target=repeat, args=a) for a in (("search", search), ("write", write), ("build", build))]
            for t in threads:
                t.start()
            end, jumps = time.monotonic() + (60 if cluster.FULL else 8), 0
            while time.monotonic() < end and not troubles:
                # Now and then long enough for a silence to be taken for a death, else often enough to fall into everything.
                faults.set_wall_clock(chance.choice([DAY, -DAY, 0, 3600, -5, 400 * DAY]))
                jumps += 1
                time.sleep(chance.choice([0.02, 0.05, 0.1, 0.1, 0.2, 0.2, 2]))
                states = [w["state"] for w in client.status()["workers"]]
                if states != ["alive", "alive"]:
                    troubles.append(f"the workers are {states}")
            stop.set()
            for t in threads:
                t.join()
            print(f"\n| {jumps} jumps of the wall clock during {done['search']} searches, {done['write']} writes, {done['build']} builds")
            self.assertEqual(troubles, [])
            self.assertTrue(all(n > 0 for n in done.values()), done)
            written = client.get("items", list(range(10000, 10000 + 50 * done["write"])))
            self.assertTrue(all(w["found"] for w in written))
            self.assertFalse(any("silent" in p.text() or "hung" in p.text() for p in c.processes()))

    def test_deadlines_and_silences_are_as_long_as_ever(self):
        with cluster.Faults() as faults, cluster.Cluster(workers=2, env=faults.env) as c, c.client() as client:
            rows = self.filled(client)
            for days in (1, -1):
                faults.set_wall_clock(0)
                c.workers[1].signal(signal.SIGSTOP)
                began = time.monotonic()
                with c.stopwatch() as watch:
                    client.search_send("items", rows[:1], k=3, exact=True, timeout_ms=1200)
                    time.sleep(0.3)
                    faults.set_wall_clock(days * DAY)
                    reply = client.search_receive(20)
                self.assertIsInstance(reply, cluster.Error)
                self.assertEqual(reply.code, "incomplete")
                self.assertGreater(watch.wall, 1.0)
                self.assertLess(watch.took, 1.5)
                # The client library's clock as well: nobody listens there, so that it waits for its own timeout.
                jump = threading.Timer(0.3, faults.set_wall_clock, [0])
                jump.start()
                asked = time.monotonic()
                c.grove("--endpoint", f"tcp://127.0.0.1:{cluster.free_ports(1)[0]}", "--timeout", 1000, "list", check=69, env=faults.env)
                self.assertGreater(time.monotonic() - asked, 0.9)
                self.assertLess(time.monotonic() - asked, 20, "a wait of a day, or another's timeout")
                jump.join()
                cluster.wait_for("the worker is seen as dead", 5, lambda: "dead" in [w["state"] for w in client.status()["workers"]])
                self.assertGreater(time.monotonic() - began, 2.5, "dead sooner than a silence of 3 s")
                c.workers[1].signal(signal.SIGCONT)
                cluster.wait_for("complete answers", 10, lambda: self.complete(client, rows))

    def test_restarts_at_another_date_find_everything(self):
        with cluster.Faults() as faults, cluster.Cluster(workers=2, env=faults.env) as c, c.client() as client:
            rows = self.filled(client)
            for round, days in enumerate((1, -1, -400)):
                faults.set_wall_clock(days * DAY)
                for p in (c.workers[round % 2], c.coordinator):
                    p.kill() if round else p.stop()
                    p.start()
                cluster.wait_for("complete answers", 15, lambda: self.complete(client, rows))
                client.upsert("items", [10**9 + round], rows[:1])
                client.create(f"more-{round}", dim=2, metric="dot", shards=2)
            client.drop("more-1")
            self.assertTrue(all(f["found"] for f in client.get("items", [10**9, 10**9 + 1, 10**9 + 2])))
            # The control: the jumps did reach the processes, what they show is of that day.
            self.assertTrue({0, 1, -1} <= self.days_shown(c.coordinator), self.days_shown(c.coordinator))
            self.assertTrue({0, 1, -400} <= self.days_shown(c.workers[0]), self.days_shown(c.workers[0]))

    def complete(self, client, rows):
        try:
            return all(a.complete and a.ids[0] == i for i, a in enumerate(client.search("items", rows[:5], k=10, exact=True, timeout_ms=2000)))
        except (cluster.Error, TimeoutError):
            return False


cluster.run()
