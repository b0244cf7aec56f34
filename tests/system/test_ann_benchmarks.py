#!/usr/bin/python3
"""The adapter for ann-benchmarks, called as that project calls it (bench/ann-benchmarks/drive.py), on real images."""
import os
import re
import subprocess
import sys
import tarfile
import tempfile

import numpy

import cluster

ADAPTER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bench", "ann-benchmarks")
sys.path[:0] = [os.path.join(ADAPTER, "..", "..", "client", "python"), ADAPTER]
import drive  # noqa: E402  (after the path)
import grove  # noqa: E402

TRAIN, TEST = (20000, 500) if cluster.FULL else (2000, 50)
METRICS = {"angular": "float", "euclidean": "float", "hamming": "bit"}


class AnnBenchmarks(cluster.OneCluster):
    WORKERS = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = grove.Client(cls.c.endpoint)

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="grove-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.environ["GROVE_ENDPOINT"] = self.c.endpoint
        os.environ["GROVE_PROGRAM"] = cluster.program("grove")
        drive.package(self.folder)
        self.addCleanup(sys.path.remove, self.folder)

    def definitions(self, metric):
        """By mode, the fewest trees first."""
        found = {}
        for definition in drive.definitions(METRICS[metric], metric, 784):
            self.assertEqual(definition.arguments[0], metric)
            found.setdefault(definition.arguments[1], []).append(definition)
        self.assertEqual(sorted(found), ["exact", "forest", "graph"])
        return found

    def outcomes(self, metric, definition, groups=slice(None)):
        X, queries = drive.images("train", TRAIN, metric), drive.images("t10k", TEST, metric)
        for outcome in drive.run(definition, X, queries, metric, groups):
            print(f"| {metric}: {outcome.name}: recall {outcome.recall:.4f}", file=sys.stderr)
            self.assertTrue(outcome.batch_equal, outcome.name)
            self.assertGreaterEqual(outcome.additional["dist_comps"], drive.COUNT * TEST)
            yield outcome
        self.assertEqual(self.client.indexes(), [])

    def check_metric(self, metric):
        modes = self.definitions(metric)
        [exact] = self.outcomes(metric, modes["exact"][0])
        self.assertEqual((exact.name, exact.recall), ("Grove(exact)", 1.0))
        for mode, groups in (("graph", slice(0, None, 4)), ("forest", slice(0, None, 2))):
            steps = list(self.outcomes(metric, modes[mode][0], groups))
            recalls = [step.recall for step in steps]
            self.assertEqual(recalls, sorted(recalls))
            self.assertGreater(recalls[-1], 0.99)
            self.assertLess(recalls[0], 1)
            self.assertEqual(len({step.name for step in steps}), len(steps))
            self.assertTrue(all(step.name.startswith(f"Grove({mode}") and "search_k=" in step.name for step in steps))

    def test_angular(self):
        self.check_metric("angular")

    def test_euclidean(self):
        self.check_metric("euclidean")

    def test_hamming(self):
        self.check_metric("hamming")

    def test_without_a_cluster_it_has_one_of_its_own_and_ends_it(self):
        del os.environ["GROVE_ENDPOINT"]
        os.environ["TMPDIR"], tempfile.tempdir = self.folder, None
        try:
            for outcome in self.outcomes("euclidean", self.definitions("euclidean")["graph"][0], slice(2, 3)):
                self.assertTrue([name for name in os.listdir(self.folder) if name.startswith("grove-local-")])
                self.assertGreater(outcome.index_kilobytes, TRAIN * 784 * 4 / 1024)
        finally:
            del os.environ["TMPDIR"]
            tempfile.tempdir = None
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("grove-local-")], [])

    def test_what_cannot_be_stored_is_an_error_and_leaves_nothing(self):
        X = drive.images("train", 100, "euclidean").copy()
        X[50, 3] = numpy.nan
        with self.assertRaises(ValueError):
            list(drive.run(self.definitions("euclidean")["graph"][0], X, X[:1], "euclidean"))
        self.assertEqual(self.client.indexes(), [])

    def test_the_driver_sees_wrong_answers(self):
        X, queries = drive.images("train", 500, "angular"), drive.images("t10k", 10, "angular")
        right = [numpy.argsort(drive.distances("angular", X, q))[:drive.COUNT].tolist() for q in queries]
        self.assertEqual(drive.recall("angular", X, queries, right), 1)
        self.assertLess(drive.recall("angular", X, queries, right[1:] + right[:1]), 0.7)

    def test_it_is_installed_in_the_layout_of_that_project(self):
        checkout = f"{self.folder}/checkout"
        os.makedirs(f"{checkout}/ann_benchmarks/algorithms")
        with open(f"{checkout}/run_algorithm.py", "w"):
            pass
        subprocess.run([f"{ADAPTER}/install", checkout], check=True, stdout=subprocess.DEVNULL, timeout=60)
        there = f"{checkout}/ann_benchmarks/algorithms/grove"
        self.assertEqual(sorted(os.listdir(there)), ["Dockerfile", "config.yml", "grove.tar.gz", "module.py"])
        with tarfile.open(f"{there}/grove.tar.gz") as tar:
            self.assertLess({"deploy/packages", "meson.build", "client/python/pyproject.toml"}, set(tar.getnames()))
        with open(f"{there}/Dockerfile") as f:
            for source in re.findall(r"^COPY (\S+)", f.read(), re.M):
                self.assertTrue(os.path.exists(f"{checkout}/{source}"), source)
        for metric in METRICS:
            for definition in drive.definitions(METRICS[metric], metric, 784):
                self.assertEqual(definition[:4], ("grove", "ann_benchmarks.algorithms.grove", "Grove", "ann-benchmarks-grove"))


if __name__ == "__main__":
    cluster.run()
