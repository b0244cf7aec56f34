#!/usr/bin/python3
"""Workers that stop, die, and come back; coordinators that are restarted; who is let in."""
import os
import signal
import subprocess
import time
import unittest

import numpy

import cluster

DIM = 16


def filled(c, client, name="items", shards=4, n=4000, build=True):
    random = numpy.random.default_rng(cluster.SEED)
    rows = random.standard_normal((n, DIM)).astype(numpy.float32)
    client.create(name, dim=DIM, metric="euclidean", shards=shards, seed=1)
    client.upsert(name, numpy.arange(n), rows)
    if build:
        client.build(name)
    cluster.wait_for("beats that tell the count", 5, lambda: sum(w["items"] for w in client.status()["workers"]) == n)
    return rows


class Missing(unittest.TestCase):
    def check_partial(self, c, client, rows, timeout_ms):
        with c.stopwatch() as watch, self.assertRaises(cluster.Error) as caught:
            client.search("items", rows[:5], k=10, exact=True, timeout_ms=timeout_ms)
        self.assertEqual(caught.exception.code, "incomplete")
        self.assertLess(watch.took, timeout_ms / 1000 + 0.25)
        answers = client.hits_of_error(caught.exception)
        for a in answers:
            self.assertFalse(a.complete)
            self.assertEqual(a.shards, 4)
            self.assertEqual(a.answered, 2)
            self.assertEqual(a.items_total, len(rows))
            self.assertGreater(a.items_searched, len(rows) // 4)
            self.assertLess(a.items_searched, 3 * len(rows) // 4)
            self.assertEqual(len(a.ids), 10)
        missing = client.missing_of_error(caught.exception)
        self.assertEqual(len(missing), 2)
        self.assertEqual(sum(m["items"] for m in missing), len(rows) - answers[0].items_searched)
        # Who allows it gets the partial answer as an answer.
        allowed = client.search("items", rows[:5], k=10, exact=True, min_coverage=0.2, timeout_ms=timeout_ms)
        self.assertFalse(allowed[0].complete)
        return watch.took

    def check_complete_again(self, c, client, rows):
        cluster.wait_for("complete answers", 20, lambda: self.complete(client, rows))

    def complete(self, client, rows):
        try:
            return all(a.complete and a.ids[0] == i for i, a in enumerate(client.search("items", rows[:5], k=10, exact=True, timeout_ms=2000)))
        except cluster.Error:
            return False

    def test_a_stopped_worker_gives_a_partial_answer_by_the_deadline_and_is_missed_no_more_when_it_goes_on(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            rows = filled(c, client)
            for round in range(2):
                c.workers[1].signal(signal.SIGSTOP)
                self.check_partial(c, client, rows, timeout_ms=700)  # not yet known to be gone: waits for its deadline
                cluster.wait_for("the worker is seen as dead", 10, lambda: "dead" in [w["state"] for w in client.status()["workers"]])
                took = self.check_partial(c, client, rows, timeout_ms=5000)
                self.assertLess(took, 1.0, "a worker known to be dead is not waited for")
                c.workers[1].signal(signal.SIGCONT)
                self.check_complete_again(c, client, rows)

    def test_an_item_whose_shard_is_late_is_unavailable_and_not_called_missing(self):
        with cluster.Cluster(workers=1) as c, c.client() as client:
            filled(c, client, shards=1, n=100, build=False)
            c.workers[0].signal(signal.SIGSTOP)
            try:  # at once, before the worker is known to be dead, and afterwards: the same codes
                for state in ("late", "dead"):
                    if state == "dead":
                        cluster.wait_for("the worker is seen as dead", 10, lambda: "dead" in [w["state"] for w in client.status()["workers"]])
                    done = c.grove("get", "items", "--id", 7, "--timeout", 300, check=69)
                    self.assertEqual(done.stdout, "")
                    self.assertTrue(done.stderr.strip())
                    done = c.grove("search", "items", "--id", 7, "-k", 3, "--timeout", 300, check=69)
                    self.assertEqual(done.stdout, "")
            finally:
                c.workers[0].signal(signal.SIGCONT)
            cluster.wait_for("the item is there again", 10, lambda: c.grove("get", "items", "--id", 7).returncode == 0)
            c.grove("get", "items", "--id", 10**9, check=3)

    def test_a_killed_worker_is_missing_until_it_is_started_again(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            rows = filled(c, client, build=False)
            c.workers[0].kill()
            cluster.wait_for("the worker is seen as dead", 10, lambda: "dead" in [w["state"] for w in client.status()["workers"]])
            self.check_partial(c, client, rows, timeout_ms=2000)
            shown = c.grove("search", "items", "--id", 1, "-k", 3, "--exact", "--json")
            self.assertIn(shown.returncode, (4, 69))
            results = client.upsert("items", numpy.arange(100), rows[:100], allow_failures=True)
            self.assertEqual(set(results), {"ok", "rejected"})
            c.workers[0].start()
            self.check_complete_again(c, client, rows)

    def test_the_coordinator_may_be_killed_and_restarted_under_its_workers(self):
        with cluster.Cluster(workers=2) as c:
            with c.client() as client:
                rows = filled(c, client)
                c.coordinator.kill()
                c.start_coordinator()
                self.check_complete_again(c, client, rows)
                client.upsert("items", [10**18], rows[:1])
                self.assertEqual(client.get("items", [10**18])[0]["found"], True)

    def test_workers_may_start_before_the_coordinator(self):
        c = cluster.Cluster(workers=0)
        with c:
            c.coordinator.stop()
            c.add_worker()
            c.add_worker()
            time.sleep(0.5)
            c.start_coordinator()
            c.wait_ready()
            with c.client() as client:
                rows = filled(c, client)
                self.assertTrue(self.complete(client, rows))

    def test_everything_comes_back_after_all_are_killed(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            rows = filled(c, client)
            client.delete("items", numpy.arange(2000, 2100))
            for p in c.processes():
                p.kill()
            for p in c.processes():
                p.start()
            self.check_complete_again(c, client, rows)
            answers = client.search("items", rows[2000:2100], k=5, exact=True)
            returned = {i for a in answers for i in a.ids.tolist()}
            self.assertFalse(returned & set(range(2000, 2100)), "deleted ids returned")
            self.assertEqual(answers[0].items_total, len(rows) - 100)


class Entrance(unittest.TestCase):
    def refused(self, name, *arguments, sentence):
        done = subprocess.run([cluster.program(name), *arguments], capture_output=True, text=True, timeout=20, env=dict(os.environ, GROVE_LOG_FORMAT="text"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(sentence, done.stderr)

    def test_an_address_beyond_loopback_needs_insecure(self):
        with cluster.Cluster(workers=0) as c:
            self.refused("grove-coordinator", "--data", f"{c.folder}/x", "--listen", "tcp://0.0.0.0:17999", sentence="--insecure")
            self.refused("grove-worker", "--data", f"{c.folder}/y", "--coordinator", "tcp://192.0.2.1:7601", sentence="--insecure")

    def test_a_data_folder_in_use_is_refused(self):
        with cluster.Cluster(workers=1) as c:
            port = cluster.free_ports(2)
            self.refused("grove-worker", "--data", f"{c.folder}/worker-1", "--coordinator", f"tcp://127.0.0.1:{c.worker_port}", sentence="in use")
            self.refused("grove-coordinator", "--data", f"{c.folder}/coordinator", "--listen", f"tcp://127.0.0.1:{port[0]}",
                         "--workers-listen", f"tcp://127.0.0.1:{port[1]}", sentence="in use")

    def test_a_port_in_use_is_named(self):
        with cluster.Cluster(workers=0) as c:
            self.refused("grove-coordinator", "--data", f"{c.folder}/other", "--listen", c.endpoint, sentence=str(c.client_port))

    def test_a_worker_of_another_cluster_is_refused(self):
        with cluster.Cluster(workers=1) as c, cluster.Cluster(workers=0) as other:
            c.wait_ready()
            c.workers[0].stop()
            stray = cluster.Process("grove-worker", ["--data", f"{c.folder}/worker-1", "--coordinator", f"tcp://127.0.0.1:{other.worker_port}"],
                                    f"{c.folder}/stray.log")
            cluster.wait_for("the refusal is said", 10, lambda: "cluster" in stray.text())
            time.sleep(1)
            with other.client() as client:
                self.assertEqual(other.alive_workers(client), 0)
            stray.kill()


cluster.run()
