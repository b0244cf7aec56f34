#!/usr/bin/python3
"""grove.AnnoyIndex behaves as Annoy 1.17.3: every call, every error with its text, every semantic, with 1 and with 4 shards.

The expectations were taken from running Annoy 1.17.3; where Grove differs on purpose (client/python/grove/annoy.py lists it) the test
says so."""
import array
import copy
import os
import pathlib
import pickle
import sys
import tempfile
import threading
import unittest
import warnings

import numpy

import cluster

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
import grove  # noqa: E402  (after the path)

METRICS = ["angular", "euclidean", "manhattan", "hamming", "dot"]


def setUpModule():
    global CLUSTER
    CLUSTER = cluster.Cluster(workers=2)
    CLUSTER.wait_ready()
    os.environ["GROVE_ENDPOINT"] = CLUSTER.endpoint
    os.environ["GROVE_PROGRAM"] = cluster.program("grove")


def tearDownModule():
    CLUSTER.close()


def true_distances(metric, X, q):
    X, q = X.astype(numpy.float64), numpy.asarray(q, numpy.float64)
    if metric == "angular":
        norms = numpy.sqrt((X * X).sum(axis=1) * (q * q).sum())
        return numpy.sqrt(numpy.maximum(0, 2 - 2 * (X @ q) / norms))
    return {"euclidean": lambda: numpy.sqrt(((X - q) ** 2).sum(axis=1)), "manhattan": lambda: numpy.abs(X - q).sum(axis=1),
            "dot": lambda: X @ q, "hamming": lambda: ((X > 0.5) != (q > 0.5)).sum(axis=1)}[metric]()


class Conformance:
    """The claims; the classes below run them."""

    def setUp(self):
        self.kind = type("AnnoyIndex", (grove.AnnoyIndex,), {"shards": self.SHARDS})
        self.folder = tempfile.TemporaryDirectory(prefix="grove-test-")
        self.addCleanup(self.folder.cleanup)
        self.random = numpy.random.default_rng(cluster.SEED)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def filled(self, n=3, f=3, metric="euclidean", trees=5):
        index = self.kind(f, metric)
        X = self.random.standard_normal((n, f)).astype("f4")
        for i in range(n):
            index.add_item(i, X[i])
        if trees:
            index.build(trees)
        return index, X

    def says(self, kind, text, call, *arguments, **keywords):
        """The call raises exactly this type with exactly this text."""
        with self.assertRaises(kind) as caught:
            call(*arguments, **keywords)
        self.assertIs(type(caught.exception), kind)
        self.assertEqual(str(caught.exception), text)
        return caught.exception

    # ---- the table of calls ----

    def test_constructor(self):
        for metric in METRICS:
            self.assertEqual(self.kind(f=3, metric=metric).f, 3)
        with self.assertWarns(FutureWarning) as caught:
            index = self.kind(3)
        self.assertEqual(str(caught.warning), "The default argument for metric will be removed in future version of Annoy. "
                                              "Please pass metric='angular' explicitly.")
        self.assertEqual(caught.filename, __file__)
        index.add_item(0, [1, 0, 0])
        index.add_item(1, [0, 2, 0])
        self.assertAlmostEqual(index.get_distance(0, 1), 2**0.5, 6)  # angular
        for metric in ("cosine", "", "ANGULAR"):
            self.says(ValueError, "No such metric", self.kind, 3, metric)
        for f, metric in ((3, None), (3, 5), (3.0, "dot"), ("3", "dot"), (None, "dot")):
            with self.assertRaises(TypeError):
                self.kind(f, metric)
        with self.assertRaises(TypeError):
            self.kind()
        self.assertEqual(self.kind(0, "dot").f, 0)
        index.f = 7
        self.assertEqual(index.f, 7)

    def test_results_of_calls_are_of_annoys_types(self):
        index = self.kind(2, "euclidean")
        self.assertIsNone(index.add_item(i=0, vector=[1, 2]))
        self.assertIsNone(index.add_item(numpy.int64(1), numpy.array([4, 6])))
        self.assertIsNone(index.set_seed(3))
        self.assertIs(index.verbose(1), True)
        self.assertIs(index.build(n_trees=2, n_jobs=1), True)
        self.assertEqual(index.get_nns_by_item(i=0, n=2, search_k=-1, include_distances=False), [0, 1])
        found = index.get_nns_by_vector(vector=[1, 2], n=numpy.int64(2), search_k=-1, include_distances=True)
        self.assertEqual(found, ([0, 1], [0.0, 5.0]))
        self.assertIs(type(found), tuple)
        self.assertEqual([type(x) for x in found[0] + found[1]], [int, int, float, float])
        self.assertEqual(index.get_nns_by_item(0, 2, -1, True), found)
        self.assertEqual(index.get_nns_by_item(0, 2, include_distances=1), found)
        self.assertEqual(index.get_item_vector(1), [4.0, 6.0])
        self.assertEqual(index.get_distance(0, 1), 5.0)
        self.assertEqual((index.get_n_items(), index.get_n_trees()), (2, 2))
        self.assertIs(index.unbuild(), True)
        self.assertIs(index.build(2), True)
        self.assertIs(index.save(fn=self.path("a"), prefault=True), True)
        self.assertIs(index.load(fn=self.path("a"), prefault=False), True)
        self.assertIs(index.unload(), True)
        self.assertIs(index.on_disk_build(fn=self.path("b")), True)
        labels = numpy.array(["a", "b"])
        self.assertEqual(labels[found[0]].tolist(), ["a", "b"])  # the result indexes a numpy array

    def test_positional_only_methods_and_the_name_of_the_query(self):
        index, _ = self.filled()
        self.says(TypeError, "Annoy.get_distance() takes no keyword arguments", index.get_distance, i=0, j=1)
        self.says(TypeError, "Annoy.get_item_vector() takes no keyword arguments", index.get_item_vector, i=0)
        for call, keywords in ((index.set_seed, {"q": 1}), (index.verbose, {"flag": 1}),
                               (index.get_nns_by_vector, {"v": [1, 2, 3], "n": 1})):
            with self.assertRaises(TypeError):
                call(**keywords)
        with self.assertRaises(TypeError):
            index.build()

    # ---- the list of errors ----

    def test_errors_of_add_item(self):
        index = self.kind(3, "euclidean")
        index.add_item(0, [1, 2, 3])
        self.says(IndexError, "Item index can not be negative", index.add_item, -1, [1, 2, 3])
        self.says(OverflowError, "signed integer is greater than maximum", index.add_item, 2**31, [1, 2, 3])
        self.says(TypeError, "'float' object cannot be interpreted as an integer", index.add_item, 1.0, [1, 2, 3])
        self.says(IndexError, "Vector has wrong length (expected 3, got 2)", index.add_item, 0, [1, 2])
        self.says(IndexError, "Vector has wrong length (expected 3, got 4)", index.add_item, 0, numpy.zeros(4))
        self.says(TypeError, "object of type 'generator' has no len()", index.add_item, 0, (x for x in [1, 2, 3]))
        self.says(TypeError, "object of type 'NoneType' has no len()", index.add_item, 0, None)
        self.says(TypeError, "'set' object is not subscriptable", index.add_item, 0, {1, 2, 3})
        for vector in ("abc", ["x", 2, 3], (1, 2, "3")):
            self.says(TypeError, "must be real number, not str", index.add_item, 0, vector)

        class Broken:
            def __len__(self):
                return 3

            def __getitem__(self, i):
                raise ZeroDivisionError("mine")
        self.says(ZeroDivisionError, "mine", index.add_item, 0, Broken())
        for bad in (float("nan"), float("inf"), -float("inf"), 1e39):  # Annoy takes them, and misbehaves
            for vector in ([1, bad, 3], numpy.array([1, bad, 3])):
                with self.assertRaises(ValueError), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    index.add_item(0, vector)
        self.assertEqual(index.get_item_vector(0), [1, 2, 3])  # a failed add leaves the item as it was
        self.assertEqual(index.get_n_items(), 1)
        index.build(1)
        index.save(self.path("a"))
        self.says(Exception, "You can't add an item to a loaded index", index.add_item, 1, [1, 2, 3])

    def test_errors_of_build_unbuild_and_seed(self):
        index, _ = self.filled()
        self.says(Exception, "You can't build a built index", index.build, 3)
        index.save(self.path("a"))
        self.says(Exception, "You can't build a loaded index", index.build, 3)
        self.says(Exception, "You can't unbuild a loaded index", index.unbuild)
        self.says(OverflowError, "signed integer is greater than maximum", index.set_seed, 2**31)
        for call in (lambda: index.set_seed(1.0), lambda: self.kind(3, "dot").build("3"), lambda: self.kind(3, "dot").build(1, 2.0)):
            with self.assertRaises(TypeError):
                call()

    def test_errors_of_save_and_load(self):
        index, _ = self.filled(trees=0)
        self.says(OSError, "You can't save an index that hasn't been built", index.save, self.path("a"))
        index.build(1)
        for call in (index.save, index.load, index.on_disk_build):
            error = self.says(OSError, "Unable to open: No such file or directory (2)", call, self.path("none/a"))
            self.assertEqual((error.errno, len(error.args)), (None, 1))
        open(self.path("empty"), "w").close()
        with self.assertRaisesRegex(OSError, "^Size of file is zero: "):
            index.load(self.path("empty"))
        for call in (index.save, index.load, index.on_disk_build):
            for path in (b"bytes", None, 3):
                with self.assertRaises(TypeError):
                    call(path)
        self.assertTrue(index.save(pathlib.Path(self.path("a"))))  # Annoy takes str alone
        for other in (self.kind(4, "euclidean"), self.kind(3, "angular")):  # Annoy searches rubbish with another metric
            with self.assertRaisesRegex(OSError, "^Index size is not a multiple of vector size. Ensure you are opening using the same "
                                                 "metric you used to create the index."):
                other.load(self.path("a"))
        with open(self.path("text"), "w") as f:
            f.write("hello")
        with self.assertRaises(OSError):
            index.load(self.path("text"))
        self.assertEqual(len(index.get_nns_by_item(0, 3)), 3)  # what it held is still there

    def test_errors_of_get(self):
        index, _ = self.filled()
        for call in (index.get_item_vector, lambda i: index.get_nns_by_item(i, 1), lambda i: index.get_distance(i, 0),
                     lambda i: index.get_distance(0, i)):
            self.says(IndexError, "Item index can not be negative", call, -1)
            self.says(IndexError, "Item index larger than the largest item index", call, 3)
            self.says(TypeError, "'float' object cannot be interpreted as an integer", call, 1.0)
        self.says(IndexError, "Vector has wrong length (expected 3, got 2)", index.get_nns_by_vector, [1, 2], 1)
        with self.assertRaises(TypeError):
            index.get_nns_by_vector([1, 2, 3], 1.0)

    def test_vectors_of_every_kind_are_taken(self):
        class Sequence:
            def __len__(self):
                return 3

            def __getitem__(self, i):
                return [1, 2, 3][i]
        index = self.kind(3, "euclidean")
        kinds = [[1, 2, 3], (1, 2, 3), {0: 1, 1: 2, 2: 3}, b"\1\2\3", array.array("i", [1, 2, 3]), Sequence(), range(1, 4),
                 numpy.array([[1.0], [2.0], [3.0]])]
        kinds += [numpy.array([1, 2, 3], t) for t in ("f2", "f4", "f8", "i1", "i8", "u8", object)]
        for i, vector in enumerate(kinds):
            index.add_item(i, vector)
        index.add_item(len(kinds), [True, numpy.float32(0.1), numpy.int8(5)])
        for i in range(len(kinds)):
            self.assertEqual(index.get_item_vector(i), [1.0, 2.0, 3.0], type(kinds[i]))
        self.assertEqual(index.get_item_vector(len(kinds)), [1.0, float(numpy.float32(0.1)), 5.0])  # float32, widened

    # ---- the list of semantics ----

    def test_holes_are_zeros_and_never_found(self):
        index = self.kind(2, "euclidean")
        index.add_item(2, [3, 4])
        index.add_item(5, [6, 8])
        self.assertEqual(index.get_n_items(), 6)
        index.build(3)
        self.assertEqual(index.get_item_vector(0), [0, 0])
        self.assertEqual(index.get_nns_by_item(0, 10, include_distances=True), ([2, 5], [5.0, 10.0]))  # near the zero vector
        self.assertEqual(index.get_distance(0, 5), 10.0)
        self.assertEqual(index.get_nns_by_vector([6, 8], 10), [5, 2])

    def test_items_are_replaced_silently_and_counted_before_they_are_sent(self):
        index = self.kind(2, "euclidean")
        for _ in range(4):
            index.add_item(index.get_n_items(), [1, 1])
        self.assertEqual(index.get_n_items(), 4)
        index.add_item(1, [9, 9])
        self.assertEqual(index.get_item_vector(1), [9, 9])
        index.build(2)
        index.add_item(1, [5, 5])  # live, after the build
        self.assertEqual(index.get_item_vector(1), [5, 5])
        self.assertEqual(index.get_nns_by_vector([5, 5], 1), [1])
        index.add_item(7, [2, 2])
        self.assertEqual((index.get_n_items(), index.get_n_trees()), (8, 2))

    def test_distances_and_order_of_every_metric(self):
        for metric in METRICS:
            index, X = self.filled(n=60, f=10, metric=metric, trees=10)
            q = self.random.standard_normal(10)
            expected = true_distances(metric, X, q.astype("f4"))
            ids, distances = index.get_nns_by_vector(q, 60, search_k=100000, include_distances=True)
            self.assertEqual(sorted(ids), list(range(60)), metric)
            numpy.testing.assert_allclose(distances, expected[ids], rtol=1e-5, atol=1e-6)
            keys = [(-d if metric == "dot" else d, i) for i, d in zip(ids, distances)]
            self.assertEqual(keys, sorted(keys), metric)  # dot is in descending order; ties by the lower id
            for i, j in ((0, 1), (5, 5), (59, 3)):
                self.assertAlmostEqual(index.get_distance(i, j), true_distances(metric, X[i:i + 1], X[j])[0], 4, metric)
            if metric == "hamming":
                self.assertEqual(index.get_item_vector(3), (X[3] > 0.5).astype(float).tolist())
        index = self.kind(2, "angular")
        index.add_item(0, [0, 0])
        index.add_item(1, [1, 0])
        self.assertAlmostEqual(index.get_distance(0, 1), 2**0.5, 6)

    def test_hamming_cuts_above_a_half(self):
        index = self.kind(4, "hamming")
        index.add_item(0, [0.5, 0.51, -3, 1])
        self.assertEqual(index.get_item_vector(0), [0.0, 1.0, 0.0, 1.0])
        index.add_item(1, [0, 0, 0, 0])
        index.build(1)
        self.assertEqual(index.get_nns_by_vector([0.4, 1, 0, 7], 2, include_distances=True), ([0, 1], [0.0, 2.0]))

    def test_n_and_search_k(self):
        index, X = self.filled(n=500, f=8, trees=4)
        everything = list(range(500))
        self.assertEqual(index.get_nns_by_item(0, 0), [])
        self.assertEqual(index.get_nns_by_item(0, 5, 0), [])
        self.assertEqual(index.get_nns_by_item(0, 5, search_k=0, include_distances=True), ([], []))
        self.assertEqual(sorted(index.get_nns_by_item(0, -1)), everything)
        self.assertEqual(sorted(index.get_nns_by_item(0, 1000)), everything)
        self.assertEqual(len(index.get_nns_by_item(0, 100)), 100)
        large, X = self.filled(n=3000, f=20, trees=1)
        missed = 0
        for i in range(0, 3000, 100):
            exact = numpy.argsort(true_distances("euclidean", X, X[i]), kind="stable")[:10].tolist()
            self.assertEqual(large.get_nns_by_item(i, 10, search_k=-2), exact)  # unlimited
            self.assertEqual(large.get_nns_by_item(i, 10, search_k=10**6), exact)
            missed += large.get_nns_by_item(i, 10) != exact
        self.assertGreater(missed, 0)  # one tree and ten candidates are not enough
        self.assertEqual(index.get_nns_by_item(7, 1), [7])
        self.assertGreaterEqual(len(index.get_nns_by_item(7, 5, search_k=1)), 1)

    def test_before_the_build_and_without_trees_or_items_nothing_is_found(self):
        index, _ = self.filled(trees=0)
        self.assertEqual(index.get_nns_by_item(0, 3), [])
        self.assertEqual(index.get_nns_by_vector([1, 2, 3], 3, include_distances=True), ([], []))
        self.assertGreater(index.get_distance(0, 1), 0)  # this works
        self.assertTrue(index.build(0))
        self.assertEqual((index.get_n_trees(), index.get_nns_by_item(0, 3)), (0, []))
        self.assertTrue(index.unbuild())
        self.assertTrue(index.build(2))
        self.assertEqual(len(index.get_nns_by_item(0, 3)), 3)
        self.assertTrue(index.unbuild())
        self.assertEqual((index.get_n_trees(), index.get_nns_by_item(0, 3)), (0, []))
        empty = self.kind(3, "dot")
        self.assertEqual((empty.get_n_items(), empty.get_n_trees(), empty.unbuild()), (0, 0, True))
        self.assertTrue(empty.build(3))
        self.assertEqual(empty.get_nns_by_vector([1, 2, 3], 3), [])
        self.assertTrue(empty.save(self.path("empty")))
        self.assertEqual(empty.get_n_items(), 0)

    def test_minus_one_tree_is_a_reasonable_number(self):
        index, _ = self.filled(n=100, f=8, trees=-1)
        self.assertIn(index.get_n_trees(), range(2, 20))
        index = self.kind(8, "euclidean")
        with self.assertRaises(ValueError):  # Annoy runs for ever
            index.build(-2)

    def test_the_same_seed_gives_the_same_results_and_another_seed_others(self):
        X = self.random.standard_normal((3000, 16)).astype("f4")

        def found(seed, late=False):
            index = self.kind(16, "angular")
            if seed is not None and not late:
                index.set_seed(seed)
            for i in range(3000):
                index.add_item(i, X[i])
            if late:
                index.get_distance(0, 1)  # the items are in the cluster before the seed is set
                index.set_seed(seed)
            index.build(2)
            return [index.get_nns_by_item(i, 10, search_k=40) for i in range(0, 3000, 100)]
        first = found(7)
        self.assertEqual(first, found(7))
        self.assertEqual(first, found(7, late=True))
        self.assertNotEqual(first, found(8))
        self.assertEqual(found(None), found(None))
        self.assertEqual(found(-5), found(-5))

    def test_the_number_of_jobs_does_not_change_the_results(self):
        X = self.random.standard_normal((1500, 12)).astype("f4")
        found = []
        for n_jobs in (1, 3, -1):
            index = self.kind(12, "angular")
            for i in range(1500):
                index.add_item(i, X[i])
            self.assertTrue(index.build(2, n_jobs))
            found.append([index.get_nns_by_item(i, 10, search_k=40) for i in range(0, 1500, 100)])
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0], found[2])

    def test_unload_save_and_load_bring_the_first_seed_back(self):
        X = self.random.standard_normal((2000, 16)).astype("f4")
        index = self.kind(16, "angular")

        def found():
            for i in range(2000):
                index.add_item(i, X[i])
            index.build(2)
            return [index.get_nns_by_item(i, 10, search_k=40) for i in range(0, 2000, 100)]
        first = found()
        index.unload()
        self.assertIsNone(index.set_seed(0))
        self.assertNotEqual(found(), first)
        index.save(self.path("a"))
        index.unload()
        index.set_seed(5)
        index.unload()
        self.assertEqual(found(), first)
        index.unload()
        index.load(self.path("a"))
        index.unload()
        self.assertEqual(found(), first)
        grove.annoy_files.discard(self.path("a"))

    def test_distances_before_the_build_are_those_after_it(self):
        for metric in METRICS:
            index, X = self.filled(n=20, f=7, metric=metric, trees=0)
            for i, j in ((0, 1), (5, 5), (19, 3)):
                self.assertAlmostEqual(index.get_distance(i, j), true_distances(metric, X[i:i + 1], X[j])[0], 4, metric)

    def test_equal_distances_are_in_the_order_of_ids(self):
        for metric in METRICS:
            index = self.kind(3, metric)
            for i in (5, 3, 8, 1):
                index.add_item(i, [1, 2, 0])
            index.add_item(2, [1, 1, 1])
            index.build(3)
            self.assertEqual([i for i in index.get_nns_by_vector([1, 2, 0], 9) if i != 2], [1, 3, 5, 8], metric)

    def test_vectors_that_are_not_finite_are_refused_for_every_metric(self):
        for metric in METRICS:
            index, _ = self.filled(metric=metric)
            for bad in (float("nan"), float("inf")):  # Annoy: undefined; in hamming NaN is 0
                with self.assertRaises(ValueError, msg=metric):
                    index.get_nns_by_vector([1, bad, 3], 1)
                with self.assertRaises(ValueError, msg=metric):
                    index.add_item(0, [1, bad, 3])

    def test_as_many_trees_as_a_script_may_ask_for(self):
        index, _ = self.filled(n=5, trees=10000)  # build(10000) is seen in scripts
        self.assertEqual((index.get_n_trees(), len(index.get_nns_by_item(0, 5))), (10000, 5))
        with self.assertRaisesRegex(ValueError, "10000"):
            self.filled(n=5, trees=10001)

    def test_what_annoys_class_is_and_is_not(self):
        index, X = self.filled(trees=0)
        for call in (len, iter, lambda i: i[0], pickle.dumps):  # to be pickled it has to be built
            with self.assertRaises(TypeError):
                call(index)
        for wrong in ("x", 1.0, None):
            with self.assertRaises(TypeError):
                index.verbose(wrong)
        self.says(OverflowError, "signed integer is less than minimum", index.set_seed, -2**31 - 1)

        class Mine(grove.AnnoyIndex):
            shards = self.SHARDS

            def __init__(self, name):
                super().__init__(3, "euclidean")
                self.name = name
        mine = Mine("shoes")
        for i in range(3):
            mine.add_item(i, X[i])
        mine.build(2)
        index.build(2)
        for one in (copy.copy(mine), copy.deepcopy(mine)):  # Annoy has neither, nor pickles (of a class of a module)
            self.assertEqual((one.name, type(one), one.get_nns_by_item(1, 3)), ("shoes", Mine, mine.get_nns_by_item(1, 3)))
            self.says(Exception, "You can't add an item to a loaded index", one.add_item, 1, X[0])

    def test_save_leaves_a_file_that_was_there_to_whom_has_it_open(self):
        index, _ = self.filled()
        for save_format in ("ticket", "ann", "copy"):
            with open(self.path("a"), "w") as f:
                f.write("old")
            os.link(self.path("a"), self.path("b"))
            index, _ = self.filled()
            index.save_format = save_format
            index.save(self.path("a"))
            with open(self.path("b")) as f:
                self.assertEqual(f.read(), "old", save_format)
            self.assertEqual(len(index.get_nns_by_item(0, 3)), 3)
            grove.annoy_files.discard(self.path("a"))
            os.unlink(self.path("b"))

    # ---- files and life ----

    def test_what_is_saved_is_loaded_by_another_object_in_every_format(self):
        for save_format in ("ticket", "ann", "copy"):
            for metric in ("angular", "hamming"):
                index, X = self.filled(n=400, f=20, metric=metric, trees=6)
                index.add_item(500, X[3])  # with holes, and after the build
                index.save_format = save_format
                before = [index.get_nns_by_item(i, 10, search_k=5000, include_distances=True) for i in range(0, 400, 40)]
                path = self.path(f"{save_format}-{metric}")
                index.save(path)
                other = self.kind(20, metric)
                other.add_item(0, X[0])  # what it held is given up
                other.load(path)
                self.assertEqual([other.get_nns_by_item(i, 10, search_k=5000, include_distances=True) for i in range(0, 400, 40)], before)
                self.assertEqual((other.get_n_items(), other.get_n_trees()), (501, 6))
                self.says(Exception, "You can't add an item to a loaded index", other.add_item, 1, X[0])
                other.unload()
                self.assertEqual(index.get_nns_by_item(0, 1), other.load(path) and other.get_nns_by_item(0, 1))
                grove.annoy_files.discard(path)
                self.assertFalse(os.path.exists(path))

    def test_unload_makes_the_object_as_new(self):
        index, X = self.filled()
        self.assertTrue(index.unload())
        self.assertEqual((index.get_n_items(), index.get_n_trees(), index.get_nns_by_vector(X[0], 3)), (0, 0, []))
        index.add_item(0, X[1])  # Annoy could never build it again
        self.assertTrue(index.build(2))
        self.assertEqual(index.get_nns_by_vector(X[0], 3), [0])

    def test_on_disk_build_writes_the_file_by_build(self):
        index = self.kind(2, "euclidean")
        path = self.path("disk")
        index.on_disk_build(path)
        self.assertEqual((os.path.getsize(path), os.stat(path).st_mode & 0o777), (0, 0o600))
        index.add_item(0, [1, 2])
        index.build(2)
        other = self.kind(2, "euclidean")
        other.load(path)
        self.assertEqual(other.get_nns_by_vector([1, 2], 1), [0])
        self.assertTrue(index.save(self.path("nothing")))
        self.assertFalse(os.path.exists(self.path("nothing")))
        grove.annoy_files.discard(path)

    def test_damaged_files_are_refused_at_every_length(self):
        index, _ = self.filled(n=20, trees=1)
        index.save_format = "copy"
        index.save(self.path("whole"))
        with open(self.path("whole"), "rb") as f:
            whole = f.read()
        for length in range(0, len(whole)):
            with open(self.path("cut"), "wb") as f:
                f.write(whole[:length])
            with self.assertRaises(OSError, msg=f"{length} of {len(whole)} bytes"):
                self.kind(3, "euclidean").load(self.path("cut"))
        with open(self.path("long"), "wb") as f:
            f.write(whole + b"x")
        with self.assertRaises(OSError):
            self.kind(3, "euclidean").load(self.path("long"))

    def test_queries_from_many_threads_at_once(self):
        index, X = self.filled(n=1000, f=8)
        wrong = []

        def work(start):
            for i in range(start, 1000, 50):
                if index.get_nns_by_item(i, 1) != [i]:
                    wrong.append(i)
        threads = [threading.Thread(target=work, args=(s,)) for s in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])

    def test_adds_from_many_threads_at_once(self):
        index = self.kind(2, "euclidean")

        def work(start):
            for i in range(start, 4000, 8):
                index.add_item(i, [i, i])
        threads = [threading.Thread(target=work, args=(s,)) for s in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        index.build(2)
        self.assertEqual(index.get_n_items(), 4000)
        self.assertEqual([index.get_item_vector(i) for i in (0, 1777, 3999)], [[0, 0], [1777, 1777], [3999, 3999]])
        self.assertEqual(index.get_nns_by_vector([1777, 1777], 1), [1777])

    def test_graph_mode_is_one_attribute_away(self):
        index, X = self.filled(n=1000, f=8, trees=2)
        index.mode = "graph"
        exact = [set(index.get_nns_by_item(i, 10, search_k=-2)) for i in range(0, 1000, 20)]
        found = [index.get_nns_by_item(i, 10) for i in range(0, 1000, 20)]
        self.assertGreater(numpy.mean([len(e & set(f)) / 10 for e, f in zip(exact, found)]), 0.85)
        self.assertEqual(len(index.get_nns_by_item(0, 10, search_k=50)), 10)


class OneShard(Conformance, unittest.TestCase):
    SHARDS = 1


class FourShards(Conformance, unittest.TestCase):
    SHARDS = 4


if __name__ == "__main__":
    cluster.run()
