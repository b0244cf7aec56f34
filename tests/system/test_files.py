#!/usr/bin/python3
"""Files that say more than vectors: ids, keys and payloads come back as they were given."""
import json
import os
import shutil
import subprocess

import h5py
import numpy

import cluster


class JsonLines(cluster.OneCluster):
    def items(self, name, *ids):
        return [json.loads(line) for line in self.c.grove("get", name, "--id", *ids, "--json", check=0).stdout.splitlines()]

    def test_ids_keys_and_payloads_are_stored_and_what_get_prints_is_imported_again(self):
        lines = [{"id": 2**64 - 1, "vector": [0, 1, 0.5], "payload": {"label": "Schlüssel", "sizes": [38, None, True, -2.5, {"a": 2**40}]}},
                 {"id": 2**53 + 1, "vector": [1, 0, 0]}, {"key": "boot-42", "vector": [1, 1, 0], "payload": {"label": "boot"}}]
        for name in ("first", "second"):
            self.c.grove("create", name, "--dim", 3, "--metric", "euclidean", "--shards", 4, check=0)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        done = self.c.grove("import", "first", "-", "--json", text=text, check=0)
        self.assertEqual(json.loads(done.stdout)["ok"], 3)
        [hits] = [json.loads(line) for line in self.c.grove("search", "first", "--vector", "[1,1,0]", "-k", 3, "--with-payload", "--json", check=0).stdout.splitlines()]
        key = hits["ids"][0]
        self.assertEqual(hits["payloads"][0], {"label": "boot"})
        self.assertEqual(self.c.grove("put", "first", "--key", "boot-42", "--vector", "[1,1,0]", "--payload", '{"label": "boot"}', "--json",
                                      check=0).stdout, f'{{"id":{key},"key":"boot-42","result":"ok"}}\n')
        ids = (2**64 - 1, 2**53 + 1, key)
        shown = self.c.grove("get", "first", "--id", *ids, "--json", check=0).stdout
        for line, item in zip(lines, map(json.loads, shown.splitlines())):
            self.assertEqual(item, {"id": item["id"], **line})
        self.c.grove("import", "second", "-", text=shown, check=0)
        self.assertEqual(self.items("second", *ids), self.items("first", *ids))

    def test_a_bad_line_is_told_and_what_came_before_it_may_be_sent_again(self):
        self.c.grove("create", "bad", "--dim", 2, "--metric", "dot", check=0)
        done = self.c.grove("import", "bad", "-", text='{"id": 1, "vector": [1, 2]}\n{"id": 2, "vector": [1]}\n')
        self.assertEqual(done.returncode, 1)
        self.assertIn("line 2 of standard input", done.stderr)
        done = self.c.grove("import", "bad", "-", text="1,2\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--format", done.stderr)
        self.c.grove("import", "bad", "-", "--format", "csv", text="1,2\n", check=0)


class Hdf5(cluster.OneCluster):
    """A file in the layout of ann-benchmarks: 6 vectors and 2 queries."""
    FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fuzz/corpus/dataset_hdf5/layout")

    WORKERS = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.c.grove("create", "layout", "--dim", 2, "--metric", "euclidean", check=0)

    def test_train_is_imported_and_test_is_searched_for(self):
        self.assertEqual(json.loads(self.c.grove("import", "layout", self.FILE, "--json", check=0).stdout)["ok"], 6)
        answers = [json.loads(line) for line in self.c.grove("search", "layout", "--queries", self.FILE, "-k", 1, "--json", check=0).stdout.splitlines()]
        self.assertEqual([(a["ids"], a["distances"]) for a in answers], [([1], [0]), ([2], [0])])
        measured = json.loads(self.c.grove("recall", "layout", "--queries", self.FILE, "--dataset", "train", "-k", 2, "--json", check=0).stdout)
        self.assertEqual((measured["queries"], measured["items"]), (6, 6))

    def recall(self, index, file, *options):
        """[recall of each effort] and what is said of the exact search."""
        measured = json.loads(self.c.grove("recall", index, "--queries", file, *options, "--json", check=0).stdout)
        return [row["recall"] for row in measured["efforts"]], measured["exact"]

    def test_the_neighbours_in_the_file_are_the_truth_where_that_is_asked(self):
        self.c.grove("import", "layout", self.FILE, check=0)
        self.assertEqual(self.recall("layout", self.FILE, "-k", 1, "--efforts", ".9")[0], [1])
        self.assertEqual(self.recall("layout", self.FILE, "-k", 1, "--efforts", ".9,.99", "--truth", "neighbors"), ([0.5, 0.5], None))  # of the first query it is wrong
        shown = self.c.grove("recall", "layout", "--queries", self.FILE, "-k", 1, "--truth", "neighbors", check=0).stdout
        self.assertNotIn("exact", shown)
        for options, code, sentence in ((("-k", 2), 2, "1 neighbours of each query: that is the most for -k"),
                                        (("-k", 1, "--dataset", "train"), 1, "neighbours of 2 queries in 'neighbors', and there are 6 queries")):
            done = self.c.grove("recall", "layout", "--queries", self.FILE, "--truth", "neighbors", *options, check=code)
            self.assertIn(sentence, done.stderr)
        self.assertIn("say --truth NAME", self.c.grove("recall", "layout", "--queries", self.FILE, "--truth", "nearest", "-k", 1, check=1).stderr)

    def test_recall_is_that_of_ann_benchmarks_on_a_file_as_it_writes_them(self):
        random = numpy.random.default_rng(cluster.SEED)
        train, test = (random.standard_normal((n, 16)).astype("f4") for n in (3000, 40))
        squares = ((test[:, None].astype("f8") - train) ** 2).sum(axis=2)
        order = squares.argsort(axis=1)[:, :100]
        file = os.path.join(self.c.folder, "written.hdf5")
        with h5py.File(file, "w") as f:
            f.attrs["distance"] = "euclidean"
            for name, value in (("train", train), ("test", test), ("neighbors", order.astype("i4")),
                                ("distances", numpy.sqrt(numpy.take_along_axis(squares, order, axis=1)).astype("f4"))):
                f.create_dataset(name, data=value)
        self.c.grove("create", "written", "--dim", 16, "--metric", "euclidean", "--shards", 2, check=0)
        self.c.grove("import", "written", file, check=0)
        self.c.grove("build", "written", check=0)
        efforts = ("-k", 10, "--mode", "forest", "--efforts", "20,200,3000")
        given, exact = self.recall("written", file, *efforts, "--truth", "neighbors")
        self.assertEqual((given, exact), (self.recall("written", file, *efforts)[0], None))  # nothing is tied here
        self.assertEqual(given[2], 1)
        self.assertLess(given[0], 0.9)
        found = [json.loads(line)["ids"] for line in self.c.grove("search", "written", "--queries", file, "-k", 10, "--mode", "forest", "--search-k", 20,
                                                                 "--json", check=0).stdout.splitlines()]
        self.assertAlmostEqual(given[0], numpy.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, order[:, :10].tolist())]), 6)
        few = self.recall("written", file, *efforts, "--truth", "neighbors", "--limit", 7)[0]
        self.assertAlmostEqual(few[0], numpy.mean([len(set(a) & set(b)) / 10 for a, b in zip(found[:7], order[:7, :10].tolist())]), 6)
        self.c.grove("create", "moved", "--dim", 16, "--metric", "euclidean", check=0)
        self.c.grove("import", "moved", file, "--start-id", 10000, check=0)
        done = self.c.grove("recall", "moved", "--queries", file, "--truth", "neighbors", "--efforts", ".9", check=0)
        self.assertIn("the items' ids have to be these", done.stderr)

    def test_what_cannot_be_read_is_told(self):
        done = self.c.grove("import", "layout", self.FILE, "--dataset", "base")
        self.assertEqual(done.returncode, 1)
        self.assertIn("it has: distances, neighbors, test, train", done.stderr)
        with open(self.FILE, "rb") as f:
            damaged = os.path.join(self.c.folder, "cut.hdf5")
            with open(damaged, "wb") as out:
                out.write(f.read()[:-200])
        done = self.c.grove("import", "layout", damaged)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cut.hdf5", done.stderr)

    def test_a_file_on_which_the_library_crashes_is_told_to_be_damaged(self):
        done = self.c.grove("import", "layout", os.path.join(os.path.dirname(self.FILE), "f32_4x2_crash"), "--format", "hdf5")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"f32_4x2_crash is damaged: libhdf5 (crashed on it|cannot read it)")  # the second: a version that is more careful

    def test_a_build_without_hdf5_says_so(self):
        alone = os.path.join(self.c.folder, "grove")
        shutil.copy(cluster.program("grove"), alone)
        done = subprocess.run([alone, "--endpoint", self.c.endpoint, "import", "layout", self.FILE], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("libhdf5-dev", done.stderr)


cluster.run()
