#!/usr/bin/python3
"""What bench/ reckons with: the truth of a set, recall, and QPS at a recall."""
import math
import os
import pathlib
import sys
import tempfile
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "bench/data")]
import report
import sets

SEED = int(os.environ.get("GROVE_SEED", "1"))


def point(recall, qps):
    return {"build": "b", "search": "s", "recall": recall, "qps": qps}


def random_rows(metric, random, n):
    if metric == "hamming":
        return random.integers(0, 256, (n, 8), dtype=np.uint8)
    return random.standard_normal((n, 20)).astype(np.float32)


class Truth(unittest.TestCase):
    def test_truth_is_what_plain_sorting_finds(self):
        random = np.random.default_rng(SEED)
        for metric in ("euclidean", "manhattan", "angular", "dot", "hamming"):
            with self.subTest(metric=metric, seed=SEED):
                base, queries = random_rows(metric, random, 700), random_rows(metric, random, 5)
                ids, distances = sets.nearest(metric, base, queries, k=7)
                plain = sets.raw_distances(metric, queries, np.repeat(base[None], len(queries), axis=0))
                np.testing.assert_allclose(distances, np.sort(plain, axis=1)[:, :7])
                np.testing.assert_allclose(np.take_along_axis(plain, ids.astype(int), axis=1), distances)

    def test_blocks_do_not_change_the_truth(self):
        random = np.random.default_rng(SEED)
        base, queries = random_rows("euclidean", random, 500), random_rows("euclidean", random, 4)
        whole = sets.nearest("euclidean", base, queries, k=10)
        block, sets.BLOCK = sets.BLOCK, 64
        try:
            np.testing.assert_array_equal(sets.nearest("euclidean", base, queries, k=10)[0], whole[0])
        finally:
            sets.BLOCK = block

    def test_raw_distances_are_those_of_vec_h(self):
        a, b = np.array([[3, 4]], np.float32), np.array([[[4, 3], [0, 0]]], np.float32)
        np.testing.assert_allclose(sets.raw_distances("euclidean", a, b), [[2, 25]])
        np.testing.assert_allclose(sets.raw_distances("manhattan", a, b), [[2, 7]])
        np.testing.assert_allclose(sets.raw_distances("dot", a, b), [[-24, 0]])
        np.testing.assert_allclose(sets.raw_distances("angular", a, b), [[2 - 2 * 24 / 25, 2]])
        bits = sets.raw_distances("hamming", np.array([[0b1011]], np.uint8), np.array([[[0b0010]]], np.uint8))
        np.testing.assert_allclose(bits, [[2]])

    def test_queries_are_never_rows_of_the_base(self):
        rows = np.random.default_rng(SEED).integers(0, 4, (4000, 4)).astype(np.float32)
        base, queries = sets.hold_out(rows, seed=SEED, n=150, queries=50)
        self.assertEqual((len(base), len(queries)), (150, 50))
        self.assertEqual(len(np.unique(np.vstack([base, queries]), axis=0)), 200)


class Recall(unittest.TestCase):
    base = np.array([[0], [1], [1], [2], [9]], np.float32)

    def of(self, *rows):
        return sets.recall("euclidean", self.base, np.zeros((1, 1), np.float32), np.array([1.0]), np.array([rows]), 2)

    def test_an_equally_near_row_is_as_good(self):
        self.assertEqual((self.of(0, 1), self.of(0, 2)), (1, 1))

    def test_what_float32_cannot_tell_apart_is_equally_near(self):
        query, limit = np.array([[1, 0]], np.float32), np.array([1e-8])
        base = np.array([[1, 1e-4], [1, 2e-4], [1, 1e-2]], np.float32)
        recalls = [sets.recall("angular", base, query, limit, np.array([[row]]), 1) for row in range(3)]
        self.assertEqual(recalls, [1, 1, 0])
        self.assertEqual(self.of(0, 3), 0.5)

    def test_far_missing_and_unknown_rows_do_not_count(self):
        self.assertEqual((self.of(0, 4), self.of(0, -1), self.of(0, 77)), (0.5, 0.5, 0.5))

    def test_a_row_named_twice_counts_once(self):
        self.assertEqual(self.of(0, 0), 0.5)


class Table(unittest.TestCase):
    def test_front_leaves_out_what_is_beaten(self):
        points = [point(0.9, 100), point(0.95, 120), point(0.99, 50), point(0.98, 50)]
        self.assertEqual([(p["recall"], p["qps"]) for p in report.front(points)], [(0.95, 120), (0.99, 50)])

    def test_qps_between_two_points_is_interpolated_by_its_logarithm(self):
        qps, known = report.qps_at([point(0.9, 1000), point(1.0, 10)], 0.95)
        self.assertTrue(known and math.isclose(qps, 100))

    def test_the_best_of_several_builds_is_no_less_than_each(self):
        other = [{**point(0.9, 1000), "build": "other"}, {**point(0.98, 700), "build": "other"}, {**point(1.0, 90), "build": "other"}]
        points = [point(0.985, 720), point(0.985001, 690), *other, point(1.0, 100)]
        for recall in (0.92, 0.97, 0.983, 0.99):
            each = [found[0] for found in (report.qps_at(other, recall), report.qps_at(points, recall)) if found]
            self.assertGreaterEqual(report.best_at(points, recall)[0], max(each))
        self.assertIsNone(report.best_at([point(0.9, 10)], 0.95))

    def test_recall_that_was_not_reached_has_no_qps(self):
        self.assertIsNone(report.qps_at([point(0.9, 1000), point(0.97, 10)], 0.99))

    def test_recall_passed_by_the_least_effort_gives_a_bound(self):
        self.assertEqual(report.qps_at([point(0.97, 1000), point(0.99, 10)], 0.9), (1000, False))
        self.assertEqual(report.cell((1000.4, False)), "> 1,000")

    def test_exact_search_is_no_bound(self):
        self.assertEqual(report.qps_at([point(1.0, 70)], 0.9), (70, True))


class Written(unittest.TestCase):
    def test_a_set_written_is_whole_and_says_what_it_is(self):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["GROVE_BENCH_DATA"] = folder
            random = np.random.default_rng(SEED)
            sets.write("tiny", "hamming", random_rows("hamming", random, 300), random_rows("hamming", random, 3), "random bits")
            self.assertEqual(sorted(os.listdir(folder + "/tiny")), ["base.npy", "distances.npy", "queries.npy", "set.json", "truth.npy"])
            self.assertEqual(np.load(folder + "/tiny/truth.npy").shape, (3, 100))
            self.assertIn('"dim": 64', open(folder + "/tiny/set.json", encoding="utf-8").read())


unittest.main()
