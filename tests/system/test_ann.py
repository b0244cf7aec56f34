#!/usr/bin/python3
"""Index files of Annoy, through the program: items come in with their ids, an index is made where none is, and it is built;
what is exported is such a file (tests/unit/cli_ann_annoy_test.cpp: for Annoy, too)."""
import json
import os

import numpy

import cluster

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fuzz/corpus/dataset_ann")  # dim 3, 30 ids, of which 1, 6, 11 ... are gaps
METRICS = ("angular", "euclidean", "manhattan", "hamming", "dot")


class Import(cluster.OneCluster):
    def file(self, layout, name="items.ann"):
        """The file of a seed of the fuzzer, without the metric and dimension before it."""
        path = os.path.join(self.c.folder, name)
        with open(os.path.join(CORPUS, layout), "rb") as seed, open(path, "wb") as f:
            f.write(seed.read()[2:])
        return path

    def described(self, name):
        return json.loads(self.c.grove("describe", name, "--json", check=0).stdout)

    def test_every_metric_is_imported_with_its_ids_and_built_with_as_many_trees(self):
        for metric in METRICS:
            done = self.c.grove("import", metric, self.file(metric), "--metric", metric, "--dim", 3, "--json", check=0)
            self.assertEqual(json.loads(done.stdout)["ok"], 24)
            index = self.described(metric)
            self.assertEqual([index[name] for name in ("metric", "dim", "trees", "items")], [metric, 3, 2, 24])
            shown = [json.loads(line) for line in self.c.grove("get", metric, "--id", 0, 29, "--json", check=0).stdout.splitlines()]
            rows = [[float((i * 7 + e * 3) % 11 - 5) for e in range(3)] for i in (0, 29)]
            self.assertEqual([item["vector"] for item in shown], [[float(v > 0) for v in row] for row in rows] if metric == "hamming" else rows)
            self.assertEqual(self.c.grove("get", metric, "--id", 1).returncode, 3)
            [hits] = [json.loads(line) for line in self.c.grove("search", metric, "--id", 0, "-k", 24, "--mode", "forest", "--search-k", 1000,
                                                                "--json", check=0).stdout.splitlines()]
            self.assertEqual(sorted(hits["ids"]), [i for i in range(30) if i % 5 != 1])

    def test_an_index_that_is_there_has_to_fit_and_need_not_be_described_again(self):
        self.c.grove("create", "there", "--dim", 3, "--metric", "euclidean", "--trees", 7, check=0)
        self.c.grove("import", "there", self.file("euclidean64"), "--start-id", 1000, check=0)
        self.assertEqual([self.described("there")[name] for name in ("trees", "items")], [7, 24])
        self.c.grove("get", "there", "--id", 1029, check=0)
        for given in (("--metric", "dot"), ("--dim", 4)):
            done = self.c.grove("import", "there", self.file("euclidean"), *given)
            self.assertEqual(done.returncode, 1)
            self.assertIn("metric euclidean and dimension 3", done.stderr)

    def test_what_does_not_fit_is_refused_and_no_index_is_made(self):
        path = self.file("euclidean")
        for metric, dim, sentence in (("angular", 3, "another metric or dimension"), ("euclidean", 4, "another metric or dimension")):
            done = self.c.grove("import", "none", path, "--metric", metric, "--dim", dim)
            self.assertEqual(done.returncode, 1)
            self.assertIn(sentence, done.stderr)
        done = self.c.grove("import", "none", path)
        self.assertEqual(done.returncode, 3)
        self.assertIn("--metric M --dim D", done.stderr)
        self.assertEqual(self.c.grove("import", "none", path, "--metric", "cosine", "--dim", 3).returncode, 2)
        self.assertEqual(self.c.grove("describe", "none").returncode, 3)


class Export(cluster.OneCluster):
    def read(self, path):
        with open(path, "rb") as f:
            return f.read()

    def shown(self, name, ids):
        return [json.loads(line) for line in self.c.grove("get", name, "--id", *ids, "--json", check=0).stdout.splitlines()]

    def test_what_is_exported_is_imported_again_with_the_same_ids_and_vectors(self):
        random = numpy.random.default_rng(cluster.SEED)
        with self.c.client() as client:
            for metric in METRICS:
                client.create(metric, dim=20, metric=metric, shards=3, trees=4)
                X = random.standard_normal((900, 20)).astype("f4")
                ids = random.permutation(3000)[:900].astype("u8")  # with gaps
                client.upsert(metric, ids, numpy.packbits(X > 0, axis=1, bitorder="little") if metric == "hamming" else X)
                client.build(metric)  # and some that are not built, replaced and deleted
                client.upsert(metric, ids[:50], numpy.packbits(X[:50] < 0, axis=1, bitorder="little") if metric == "hamming" else -X[:50])
                self.c.grove("delete", metric, "--id", ids[60], check=0)
                path = os.path.join(self.c.folder, metric + ".ann")
                self.c.grove("export", metric, path, check=0)
                self.c.grove("import", "again-" + metric, path, "--metric", metric, "--dim", 20, check=0)
                index = json.loads(self.c.grove("describe", "again-" + metric, "--json", check=0).stdout)
                self.assertEqual([index["trees"], index["items"]], [4, 899])
                kept = sorted(int(i) for i in ids if i != ids[60])
                self.assertEqual(self.shown("again-" + metric, kept), self.shown(metric, kept))
                first = self.read(path)
                self.c.grove("export", metric, path, check=0)
                self.assertEqual(self.read(path), first)  # the same items, trees and seed
                self.c.grove("export", metric, path, "--trees", 9, check=0)
                self.c.grove("import", "nine-" + metric, path, "--metric", metric, "--dim", 20, check=0)
                self.assertEqual(json.loads(self.c.grove("describe", "nine-" + metric, "--json", check=0).stdout)["trees"], 9)

    def test_what_cannot_be_a_file_of_annoy_says_why_and_leaves_the_old_file(self):
        self.c.grove("create", "keys", "--dim", 2, "--metric", "dot", check=0)
        path = os.path.join(self.c.folder, "keys.ann")
        with open(path, "w") as f:
            f.write("old")
        for sentence in ("no items", "Items with keys have such ids"):
            done = self.c.grove("export", "keys", path)
            self.assertEqual(done.returncode, 1)
            self.assertIn(sentence, done.stderr)
            self.c.grove("put", "keys", "--key", "boot-42", "--vector", "[1, 2]", check=0)
        for arguments, sentence in ((("keys", path, "--trees", 0), "--trees"), (("keys", path, "--ids", "x"), "--ids is for formats without"),
                                    (("keys", "x.npy", "--trees", 5), "--trees is for ann"), (("keys", "-", "--format", "ann"), "ordinary file")):
            done = self.c.grove("export", *arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(sentence, done.stderr)
        with open(path) as f:
            self.assertEqual(f.read(), "old")
        self.assertEqual([name for name in os.listdir(self.c.folder) if "tmp" in name], [])


cluster.run()
