#!/usr/bin/python3
"""The Python package's protocol client: operations, errors, threads, forks, timeouts, against a live cluster."""
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time

import cluster

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
import grove  # noqa: E402  (after the path)


def names_seen(client, queue):
    queue.put([row["name"] for row in client.indexes()])


class PythonClient(cluster.OneCluster):
    WORKERS = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = grove.Client(cls.c.endpoint)

    def setUp(self):
        for row in self.client.indexes():
            self.client.drop(row["name"])

    def test_an_index_is_made_described_listed_and_dropped(self):
        self.assertIn("grove-coordinator", self.client.hello())
        row = self.client.create("shoes", dim=3, metric="manhattan", shards=2, trees=4, seed=2**64 - 1)
        self.assertEqual([row[k] for k in ("name", "metric", "dim", "shards", "trees", "seed")], ["shoes", "manhattan", 3, 2, 4, 2**64 - 1])
        self.assertEqual([r["name"] for r in self.client.indexes()], ["shoes"])
        self.assertEqual(sorted(s["number"] for s in self.client.describe("shoes")["shard_rows"]), [0, 1])
        self.assertEqual([w["state"] for w in self.client.status()["workers"]], ["alive"])
        self.client.drop("shoes")
        self.assertEqual(self.client.indexes(), [])

    def test_errors_have_a_code_a_sentence_and_a_class(self):
        with self.assertRaises(grove.NotFound) as caught:
            self.client.describe("nowhere")
        self.assertEqual(caught.exception.code, "not_found")
        self.assertIsInstance(caught.exception, LookupError)
        self.client.create("twice", dim=3, metric="dot")
        with self.assertRaises(grove.Exists):
            self.client.create("twice", dim=3, metric="dot")
        with self.assertRaises(grove.LimitExceeded) as caught:
            self.client.create("large", dim=65537, metric="dot")
        self.assertIsInstance(caught.exception, ValueError)
        with self.assertRaises(grove.GroveError) as caught:
            self.client.call("dance", index="twice")
        self.assertEqual(caught.exception.code, "unsupported")
        with self.assertRaises(grove.LimitExceeded):
            self.client.call("list", timeout=601)

    def test_errors_survive_pickling(self):
        error = grove.WriteFailed("two items", "io")
        error.ids = [1, 2]
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(again), str(again), again.code, again.ids), (grove.WriteFailed, "two items", "io", [1, 2]))

    def test_replies_find_their_requests_in_any_order(self):
        pending = [self.client.begin("hello", version_min=1, version_max=1) for _ in range(50)]
        for p in reversed(pending):
            self.assertEqual(self.client.finish(p).header["id"], p.id)

    def test_every_thread_has_its_own_socket(self):
        sockets, errors = set(), []

        def work():
            try:
                for _ in range(20):
                    self.client.indexes()
                sockets.add(self.client.channel())
            except Exception as e:  # shown by the assertion below
                errors.append(e)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(errors, [])
        self.assertEqual(len(sockets), 8)

    def test_children_use_the_client_after_fork_and_after_spawn(self):
        self.client.create("seen", dim=2, metric="dot")
        for method in ("fork", "spawn"):
            context = multiprocessing.get_context(method)
            queue = context.Queue()
            children = [context.Process(target=names_seen, args=(self.client, queue)) for _ in range(2)]
            for child in children:
                child.start()
            self.assertEqual([queue.get(timeout=30) for _ in children], [["seen"]] * 2, method)
            for child in children:
                child.join(20)
                self.assertEqual(child.exitcode, 0)
            self.assertEqual([r["name"] for r in self.client.indexes()], ["seen"])  # the parent's socket is unharmed

    def test_a_child_that_leaves_by_itself_harms_nothing(self):
        self.client.indexes()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                self.client.indexes()
                self.client.close()
                code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.client.indexes()

    def test_a_silent_coordinator_is_a_timeout_and_for_a_change_an_unknown_outcome(self):
        client = grove.Client(self.c.endpoint, timeout=0.3)
        client.indexes()
        self.c.coordinator.signal(signal.SIGSTOP)
        try:
            start = time.monotonic()
            with self.assertRaises(grove.Timeout) as caught:
                client.indexes()
            self.assertLess(time.monotonic() - start, 3)
            self.assertIsInstance(caught.exception, TimeoutError)
            with self.assertRaises(grove.OutcomeUnknown):
                client.drop("anything")
            self.assertEqual(client.channel().waiting, set())  # given up
        finally:
            self.c.coordinator.signal(signal.SIGCONT)
        client.timeout = 10
        self.assertEqual(client.indexes(), [])  # late replies are not taken for this one's

    def test_nobody_at_the_endpoint_is_said_so(self):
        [port] = cluster.free_ports(1)
        client = grove.Client(f"tcp://127.0.0.1:{port}", timeout=0.5)
        with self.assertRaises(grove.Unavailable) as caught:
            client.drop("anything")
        self.assertIn("grove up", str(caught.exception))
        with self.assertRaises(grove.Unavailable):
            grove.Client("nonsense").hello()

    def test_the_connection_heals_when_the_coordinator_comes_back(self):
        self.client.create("kept", dim=2, metric="dot")
        self.c.coordinator.stop()
        self.c.coordinator.start()
        self.assertIn("kept", [row["name"] for row in self.client.indexes()])


if __name__ == "__main__":  # a spawned child imports this file
    cluster.run()
