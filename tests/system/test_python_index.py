#!/usr/bin/python3
"""grove.Index against a live cluster: numpy in and out, batches within the limits, failures item by item, handles in other processes."""
import io
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from contextlib import redirect_stderr

import numpy

import cluster

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
import grove  # noqa: E402  (after the path)
from grove import protocol  # noqa: E402


def nearest(index, vector, queue):
    queue.put(index.search([vector], 3).ids[0].tolist())


class PythonIndex(cluster.OneCluster):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = grove.Client(cls.c.endpoint)
        cls.random = numpy.random.default_rng(cluster.SEED)

    def index(self, name, dim=8, metric="euclidean", **options):
        index = grove.Index.create(name, dim, metric, client=self.client, **options)
        self.addCleanup(index.drop)
        return index

    def test_exact_search_is_what_numpy_computes_and_a_built_forest_finds_it(self):
        X, Q = self.random.standard_normal((5000, 8)).astype("f4"), self.random.standard_normal((1500, 8))
        index = self.index("plain", shards=3, trees=10)
        index.add(range(5000), X)
        cluster.wait_for("5000 items", 5, lambda: len(index) == 5000)
        expected = numpy.argsort(((X[None, :, :] - Q[:200, None, :]) ** 2).sum(axis=2), axis=1, kind="stable")[:, :7]
        ids, distances = index.search(Q, 7, exact=True)  # three batches
        self.assertEqual((ids.shape, ids.dtype, distances.dtype), ((1500, 7), numpy.uint64, numpy.float32))
        numpy.testing.assert_array_equal(ids[:200], expected)
        numpy.testing.assert_allclose(distances[:200], numpy.sqrt(((X[expected] - Q[:200, None]) ** 2).sum(axis=2)), rtol=1e-5)
        index.build()
        result = index.search(Q, 7, mode="forest", search_k=2000)
        recall = numpy.mean([len(set(a) & set(b)) / 7 for a, b in zip(result.ids.tolist(), ids.tolist())])
        self.assertGreater(recall, 0.9)
        self.assertTrue((result.coverage["candidates"] < 5000).all())
        self.assertTrue(result.complete)
        for effort in ({}, {"recall": 0.8}, {"mode": "graph", "search_k": 300}):
            result = index.search(Q, 7, **effort)
            recall = numpy.mean([len(set(a) & set(b)) / 7 for a, b in zip(result.ids.tolist(), ids.tolist())])
            self.assertGreater(recall, 0.7, effort)
            if "search_k" in effort:
                self.assertIsNone(result.predicted)
            else:
                self.assertAlmostEqual(result.predicted, recall, delta=0.2)
        with self.assertRaises(grove.BadRequest):
            index.search(Q, 7, recall=0.9, search_k=100)
        numpy.testing.assert_array_equal(index.search(Q, 7, exact=True).ids, ids)

    def test_fewer_hits_than_asked_are_filled_and_counted(self):
        for metric, farthest in (("euclidean", numpy.inf), ("dot", -numpy.inf)):
            index = self.index(f"few-{metric}", dim=2, metric=metric, shards=2)
            self.assertEqual(index.search([[1, 1]], 5).ids.shape, (1, 0))
            index.add([4, 2**64 - 2], [[1, 2], [3, 4]])
            result = index.search([[0.5, 1], [5, 5]], 5)
            self.assertEqual((result.counts.tolist(), result.ids.shape), ([2, 2], (2, 2)))
            self.assertEqual(len(index.search(numpy.zeros((0, 2)), 5)), 0)
        parts = [grove.results.Hits(numpy.array([1, 2], "<u4"), numpy.array([7, 8, 9], "<u8"), numpy.array([1, 2, 3], "<f4"),
                                    numpy.zeros(2, protocol.COVERAGE), None)]
        result = grove.results.result_of(parts, farthest)
        self.assertEqual(result.ids.tolist(), [[7, 2**64 - 1], [8, 9]])
        self.assertEqual(result.distances.tolist(), [[1, -numpy.inf], [2, 3]])

    def test_payloads_keys_get_and_delete(self):
        index = self.index("boots", dim=2, shards=2)
        index.add(["shoe-1", "späte"], [[0, 0], [9, 9]], payloads=[{"label": "boot", "sizes": [41, 42]}, None])
        index.add([5], [[1, 1]], payloads=[{"label": "five"}])
        index.add([6], [[1e6, 1e6]], payloads=[{"number": numpy.int64(2**40), "array": numpy.arange(3)}])
        self.assertEqual(index.get([6]).payloads, [{"number": 2**40, "array": [0, 1, 2]}])
        with self.assertRaises(grove.BadRequest):
            index.add([6], [[1, 1]], payloads=[{"set": {1}}])
        index.delete([6])
        ids, _ = index.search([[0, 0]], 1)
        self.assertEqual(ids.tolist(), [[11541013356493294786]])  # XXH3_64, as in CLIENT.md
        result = index.search([[0, 0], [8, 8]], 2, payloads=True)
        self.assertEqual(result.payloads, [[{"label": "boot", "sizes": [41, 42]}, {"label": "five"}], [None, {"label": "five"}]])
        items = index.get(["shoe-1", "nothing", "späte"])
        self.assertEqual(items.found.tolist(), [True, False, True])
        self.assertEqual(items.keys, [b"shoe-1", None, "späte".encode()])
        self.assertEqual(items.vectors.tolist(), [[0, 0], [0, 0], [9, 9]])
        index.delete(["shoe-1", "nothing"])
        index.delete(numpy.array([5]))
        self.assertEqual(index.get([5, 11541013356493294786]).found.tolist(), [False, False])
        cluster.wait_for("one item", 5, lambda: len(index) == 1)

    def test_all_items_come_again_in_pages_and_one_by_one(self):
        for metric, rows in (("euclidean", self.random.standard_normal((700, 8)).astype("f4")), ("hamming", self.random.integers(0, 2, (700, 8), dtype="u1"))):
            index = self.index(f"all-{metric}", metric=metric, shards=3)
            self.assertEqual(list(index.scan()), [])
            index.add(range(600), rows[:600], payloads=[{"i": i} if i % 2 else None for i in range(600)])
            index.build(2)
            index.add([f"k{i}" for i in range(100)], rows[600:])
            index.delete(range(5))
            pages = list(index.scan(page=50))
            self.assertTrue(all(0 < len(p.ids) <= 50 and p.found.all() for p in pages))
            items = {i.id: i for i in index.items()}
            self.assertEqual(sorted(items), sorted(int(i) for p in pages for i in p.ids))
            self.assertEqual(len(items), 695)
            for i in range(5, 600):
                self.assertEqual((items[i].vector.tolist(), items[i].payload, items[i].key), (rows[i].tolist(), {"i": i} if i % 2 else None, None))
            keyed = {i.key: i.vector.tolist() for i in items.values() if i.key}
            self.assertEqual(keyed, {b"k%d" % i: rows[600 + i].tolist() for i in range(100)})
            bare = list(index.items(vectors=False, payloads=False))
            self.assertEqual({(i.id, i.vector, i.payload) for i in bare}, {(i, None, None) for i in items})
            with self.assertRaises(grove.LimitExceeded):
                next(index.scan(page=0))

    def test_hits_whose_payloads_do_not_fit_into_one_reply_come_in_more(self):
        index = self.index("large", dim=2)
        index.add(range(400), self.random.standard_normal((400, 2)), payloads=[{"text": "x" * 60000}] * 400)  # 24 MB
        result = index.search(numpy.zeros((8, 2)), 100, payloads=True)  # 48 MB
        self.assertEqual([len(p) for p in result.payloads], [100] * 8)
        self.assertEqual(result.payloads[7][99], {"text": "x" * 60000})
        self.assertEqual(len(index.get(range(400)).payloads[399]["text"]), 60000)
        with self.assertRaises(grove.LimitExceeded):
            index.search(numpy.zeros((1, 2)), 400, payloads=True)

    def test_hamming_takes_numbers_booleans_and_packed_bits(self):
        index = self.index("bits", dim=70, metric="hamming", shards=2)
        bits = self.random.random((50, 70)) > 0.5
        index.add(range(50), bits)
        index.add(range(50, 100), bits.astype(float))
        index.add(range(100, 150), numpy.packbits(bits, axis=1, bitorder="little"))
        expected = (bits != bits[3]).sum(axis=1)
        result = index.search(bits[3:4], 150, exact=True)
        for id_, distance in zip(result.ids[0].tolist(), result.distances[0]):
            self.assertEqual(distance, expected[id_ % 50])
        numpy.testing.assert_array_equal(index.get([149]).vectors[0], bits[49])

    def test_bytes_travel_as_bytes_and_are_the_same_numbers(self):
        index = self.index("bytes", dim=4, metric="manhattan")
        index.add([1], numpy.array([[0, 255, 3, 4]], numpy.uint8))
        self.assertEqual(index.get([1]).vectors.tolist(), [[0, 255, 3, 4]])
        self.assertEqual(index.search(numpy.array([[0, 250, 3, 4]], numpy.uint8), 1).distances.tolist(), [[5]])

    def test_neighbours_of_items_and_scikit_plots_names(self):
        index = self.index("names", dim=4, shards=2)
        X = self.random.standard_normal((60, 4)).astype("f4")
        self.assertEqual(index.add_items(X[:40]).tolist(), list(range(40)))
        self.assertEqual(index.add_items(X[40:]).tolist(), list(range(40, 60)))
        self.assertEqual(index.search_ids([7, 9], 1).ids.tolist(), [[7], [9]])
        with self.assertRaises(grove.NotFound):
            index.search_ids([60], 1)
        all_ids, distances = index.query_by_item(7, 5, include_distances=True)
        self.assertEqual((all_ids[0], distances[0]), (7, 0))
        numpy.testing.assert_array_equal(index.query_by_item(7, 4, exclude_self=True), all_ids[1:])
        numpy.testing.assert_array_equal(index.query_by_vector(X[7], 3, exclude_item_ids=all_ids[:2]), all_ids[2:])
        numpy.testing.assert_array_equal(index.query_vectors_by_item(7, 5), X[all_ids])
        numpy.testing.assert_array_equal(index.to_numpy(), X)
        ids, distances = index.kneighbors(X[:3], 5)
        self.assertEqual((ids[:, 0].tolist(), distances.shape), ([0, 1, 2], (3, 5)))
        numpy.testing.assert_array_equal([v for _, v in index.iter_item_vectors([3, 5])], X[[3, 5]])
        again = grove.Index.from_json(index.to_json())
        self.assertEqual((again.name, again.dim, again.metric), ("names", 4, "euclidean"))
        cluster.wait_for("the items are counted", 5, lambda: len(again) == 60)
        with self.assertRaises(grove.BadRequest):  # that handle cannot know which ids are free
            again.add_items(X)

    def test_a_write_that_fails_says_which_items_are_not_stored(self):
        index = self.index("partly", dim=2)
        X = numpy.ones((700_000, 2), "f4")
        X[300_000, 1] = numpy.nan
        with self.assertRaises(ValueError) as caught:
            index.add(range(700_000), X)
        failed = set(caught.exception.ids)
        self.assertIn(300_000, failed)
        self.assertIn(699_999, failed)  # not even sent
        self.assertEqual(set(caught.exception.results), {1})
        cluster.wait_for("all others are stored", 5, lambda: len(index) == 700_000 - len(failed))

    def test_arguments_of_a_wrong_shape_are_refused_before_anything_is_sent(self):
        index = self.index("shapes", dim=3)
        good = [[1, 2, 3]]
        for ids, X, more in (([1], [[1, 2]], {}), ([1], [1, 2, 3], {}), ([1, 2], good, {}), ([-1], good, {}), ([1.5], good, {}),
                             (numpy.array([1.0]), good, {}), (None, good, {}), ([1], good, {"payloads": ["boot"]}),
                             ([1], good, {"payloads": [{"t": "x" * 70000}]}), ("key", good, {}), (["k" * 256], good, {})):
            with self.assertRaises(ValueError, msg=f"{ids} {X} {more}"):
                index.add(ids, X, **more)
        with self.assertRaises(ValueError):
            index.search([[1, 2]], 3)
        with self.assertRaises(ValueError):
            index.search([[1, 2, 3]], 0)
        self.assertEqual(len(index), 0)

    def test_arguments_come_in_numpys_types_and_wrong_ones_are_refused_however_often_right_ones_came(self):
        index = self.index(numpy.str_("kinds"), dim=numpy.int64(2), trees=numpy.int32(3))
        index.add(numpy.array(["one", "two", None], object)[:2], [[1, 1], [2, 2]])  # as pandas has strings
        index.add(numpy.array([7, 8], object), numpy.array([[3, 3], [4, 4]], object))
        for k in (2, numpy.int8(2), numpy.uint64(2)):
            self.assertEqual(index.search([[3, 3]], k).ids.tolist()[0][0], 7)
        index.search([[3, 3]], 2, mode="forest", search_k=100)
        self.assertEqual(index.search([[3, 3]], 2, recall=numpy.float32(0.9)).ids[0, 0], 7)
        self.assertEqual(index.search([[3, 3]], 2, mode="forest", search_k=numpy.int64(100)).ids[0, 0], 7)
        for wrong in ({"k": 2.0}, {"k": "2"}, {"k": None}, {"k": 0}, {"k": -1}, {"k": 2**64}, {"recall": 0}, {"recall": 1}, {"recall": float("nan")}, {"recall": "much"},
                      {"search_k": 0}, {"search_k": -1}, {"search_k": 100.0}, {"search_k": 2**31}, {"mode": "best"}, {"mode": numpy.array(1)}, {"timeout": 0}):
            with self.assertRaises((TypeError, ValueError), msg=str(wrong)):
                index.search([[3, 3]], **{"k": 2, **wrong})
        for rows in ([[1j, 0]], [["x", 0]], [[None, 0]], numpy.full((1, 2), numpy.datetime64("2020-01-01")), [[[1, 2]]], [1, 2], []):
            with self.assertRaises(ValueError, msg=str(rows)):
                index.search(rows, 1)
        for ids in (["key", 1], [1, "key"], [1.5], [-1], [2**64], [""], ["k" * 256], [None], "key", numpy.array([1.5])):
            with self.assertRaises(ValueError, msg=str(ids)):
                index.add(ids, numpy.ones((len(ids), 2)))
        self.assertEqual(sorted(item.id for item in index.items() if item.key is None), [7, 8])

    def test_what_a_search_gives_may_be_written_into(self):
        index = self.index("written", dim=2)
        index.add([1, 2], [[1, 1], [2, 2]])
        for rows in (1, 200):  # one request, and several
            result = index.search(numpy.ones((rows, 2)), 2)
            result.distances[:] *= 2
            result.ids[0, 0] = 9
            result.coverage["items"] += 1

    def test_an_incomplete_answer_is_an_error_that_carries_the_hits(self):
        index = self.index("halved", dim=2, shards=2)
        index.add(range(1000), self.random.standard_normal((1000, 2)))
        self.c.workers[0].signal(signal.SIGSTOP)
        try:
            with self.assertRaises(grove.Incomplete) as caught:
                index.search(numpy.zeros((600, 2)), 5, exact=True, timeout=5)
            result = caught.exception.result
            self.assertEqual(result.ids.shape, (600, 5))
            self.assertFalse(result.complete)
            self.assertEqual(index.search(numpy.zeros((3, 2)), 5, exact=True, timeout=5, min_coverage=0.2).ids.shape, (3, 5))
        finally:
            self.c.workers[0].signal(signal.SIGCONT)
        cluster.wait_for("both shards answer", 10, lambda: index.search([[0, 0]], 1, min_coverage=0).complete)

    def test_a_handle_is_pickled_and_used_by_children_and_threads(self):
        index = self.index("handle", dim=2)
        index.add(range(100), [[i, i] for i in range(100)])
        again = pickle.loads(pickle.dumps(index))
        self.assertEqual(again.search([[5, 5]], 1).ids.tolist(), [[5]])
        for method in ("fork", "spawn"):
            context = multiprocessing.get_context(method)
            queue = context.Queue()
            child = context.Process(target=nearest, args=(index, [7, 7], queue))
            child.start()
            self.assertEqual(queue.get(timeout=30)[0], 7)
            child.join(20)
        found = []
        threads = [threading.Thread(target=lambda i=i: found.append(index.search([[i, i]], 1).ids[0, 0] == i)) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(found, [True] * 16)
        with index as same:
            self.assertEqual(len(same), 100)

    def test_create_takes_the_one_that_is_there_only_if_it_is_alike(self):
        self.index("there", dim=2)
        with self.assertRaises(grove.Exists):
            grove.Index.create("there", 2, "euclidean", client=self.client)
        self.assertEqual(grove.Index.create("there", 2, "euclidean", client=self.client, exist_ok=True).name, "there")
        with self.assertRaises(grove.BadRequest):
            grove.Index.create("there", 3, "euclidean", client=self.client, exist_ok=True)
        with self.assertRaises(grove.NotFound):
            grove.Index("elsewhere", self.client)

    def test_progress_is_shown_or_told(self):
        index = self.index("shown", dim=2)
        told = []
        index.add(range(70_000), self.random.random((70_000, 2)), progress=lambda done, total: told.append((done, total)))
        self.assertEqual(told[-1], (70_000, 70_000))
        self.assertGreater(len(told), 1)
        shown = io.StringIO()
        with redirect_stderr(shown):
            index.build(2, progress=True)
        self.assertIn("build shown [####", shown.getvalue())


if __name__ == "__main__":  # a spawned child imports this file
    cluster.run()
