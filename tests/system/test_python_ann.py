#!/usr/bin/python3
"""Files of Annoy itself from Python: every layout is read, hostile ones are refused, and AnnoyIndex loads and saves them."""
import os
import random
import sys
import tempfile
import unittest

import numpy

import cluster

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
import grove  # noqa: E402  (after the path)
from grove import ann_file  # noqa: E402
from grove.ann_file import AnnFile  # noqa: E402

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fuzz/corpus/dataset_ann")  # dim 3, 30 ids, of which 1, 6, 11 ... are gaps
METRICS = ("angular", "euclidean", "manhattan", "hamming", "dot")
LAYOUTS = [name for name in sorted(os.listdir(CORPUS)) if not name.endswith(("_one", "_head"))]
ROWS = numpy.array([[(i * 7 + e * 3) % 11 - 5 for e in range(3)] for i in range(30)], "f4")
IDS = [i for i in range(30) if i % 5 != 1]
FLIPS = 10000


def setUpModule():
    global CLUSTER
    CLUSTER = cluster.Cluster(workers=2)
    CLUSTER.wait_ready()
    os.environ["GROVE_ENDPOINT"] = CLUSTER.endpoint
    os.environ["GROVE_PROGRAM"] = cluster.program("grove")


def tearDownModule():
    CLUSTER.close()


def metric_of(layout):
    return next(m for m in METRICS if layout.startswith(m))


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="grove-test-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "items.ann")

    def seed(self, layout):
        """A file of the fuzzer's corpus, without the metric and dimension before it."""
        with open(os.path.join(CORPUS, layout), "rb") as f:
            return f.read()[2:]

    def write(self, data):
        with open(self.path, "wb") as f:
            f.write(data)
        return self.path

    def refused(self, data, metric, sentence="", f=3):
        with self.assertRaises(OSError) as caught:
            list(AnnFile(self.write(data), f, metric).items())
        self.assertIn(self.path, str(caught.exception))
        self.assertIn(sentence, str(caught.exception))

    def test_every_layout_is_read(self):
        self.assertEqual(len(LAYOUTS), 12)
        for layout in LAYOUTS:
            file = AnnFile(self.write(self.seed(layout)), 3, metric_of(layout))
            self.assertEqual((file.n_items, file.n_trees, file.stored), (30, 2, 24))
            parts = list(file.items())
            self.assertEqual(numpy.concatenate([ids for ids, _ in parts]).tolist(), IDS)
            rows = numpy.concatenate([rows for _, rows in parts])
            expected = numpy.packbits(ROWS > 0, axis=1, bitorder="little") if layout.startswith("hamming") else ROWS
            self.assertTrue((rows == expected[IDS]).all())

    def test_a_head_of_scikit_plots_is_skipped_and_has_to_be_right(self):
        for layout in LAYOUTS:
            metric, data = metric_of(layout), self.seed(layout)
            file = AnnFile(self.write(data), 3, metric)
            for items, named, sentence in ((30, metric, ""), (29, metric, "other items than its head"),
                                           (30, "dot" if metric != "dot" else "angular", "of another metric")):
                head = ann_file.HEAD.pack(ann_file.HEAD_MAGIC, 1, 8 if metric == "hamming" else 4, file._nodes.layout.id_bytes, file._nodes.node, 3,
                                          items, ann_file._metric_hash(named), b"")
                if sentence:
                    self.refused(head + data, metric, sentence)
                else:
                    self.assertEqual(AnnFile(self.write(head + data), 3, metric).stored, 24)
                    self.refused(head + data[:-1], metric)
                    self.refused(head, metric)

    def test_every_truncation_is_refused(self):
        for layout in LAYOUTS:
            data = self.seed(layout)
            for length in range(1, len(data)):
                self.refused(data[:length], metric_of(layout))

    def test_flipped_bits_are_refused_or_read(self):
        chance = random.Random(cluster.SEED)
        refused = 0
        for flip in range(FLIPS):
            layout = LAYOUTS[flip % len(LAYOUTS)]
            data = bytearray(self.seed(layout))
            at = chance.randrange(len(data))
            data[at] ^= 1 << chance.randrange(8)
            try:
                self.assertLessEqual(sum(len(ids) for ids, _ in AnnFile(self.write(data), 3, metric_of(layout)).items()), 30)
            except OSError:
                refused += 1
        self.assertGreater(refused, FLIPS // 4, f"seed {cluster.SEED}")

    def test_what_is_wrong_is_said(self):
        data = bytearray(self.seed("euclidean"))
        node = 28
        self.refused(data, "euclidean", "Index size is not a multiple of vector size", f=4)
        self.refused(data[:30 * node], "euclidean", "is no euclidean index")  # build() was forgotten
        for at, byte, sentence in ((3 * node, 2, "node 3 is neither an item nor a gap"), (3 * node + 13, 1, "node 3 is an item and has a child"),
                                   (31 * node + 8, 30, "has an item that is not in the file"), (3 * node + 19, 0xff, "has a NaN or an infinity"),
                                   (len(data) - node + 17, 0x55, "the copies of its roots are not at its end")):
            bad = bytearray(data)
            bad[at] = byte
            if "NaN" in sentence:
                bad[at - 1] = 0x80
            self.refused(bad, "euclidean", sentence)

    # ---- AnnoyIndex ----

    def test_annoy_index_loads_every_layout(self):
        for layout in LAYOUTS:
            metric = metric_of(layout)
            index = grove.AnnoyIndex(3, metric)
            self.assertTrue(index.load(self.write(self.seed(layout))))
            self.assertEqual((index.get_n_items(), index.get_n_trees()), (30, 2))
            self.assertEqual(sorted(index.get_nns_by_item(0, 30, 10000)), IDS)
            self.assertEqual(index.get_item_vector(29), ((ROWS[29] > 0) if metric == "hamming" else ROWS[29]).tolist())
            self.assertEqual(index.get_item_vector(1), [0.0] * 3)
            with self.assertRaisesRegex(Exception, "You can't add an item to a loaded index"):
                index.add_item(0, [1, 2, 3])
            index.unload()

    def test_a_file_that_is_refused_leaves_the_index_as_it_is(self):
        index = grove.AnnoyIndex(3, "euclidean")
        index.load(self.write(self.seed("euclidean")))
        for metric in ("angular", "dot"):
            with self.assertRaises(OSError):
                index.load(self.write(self.seed(metric)))
        self.assertEqual(index.get_n_items(), 30)

    def test_what_is_saved_as_ann_is_a_file_of_annoy(self):
        for metric in METRICS:
            X = numpy.random.default_rng(cluster.SEED).standard_normal((500, 20)).astype("f4")
            index = grove.AnnoyIndex(20, metric)
            index.save_format = "ann"
            for i, row in enumerate(X):
                index.add_item(2 * i, row)
            index.build(7)
            index.save(self.path)
            file = AnnFile(self.path, 20, metric)
            self.assertEqual((file.n_items, file.n_trees, file.stored, file._nodes.layout.versions[:5]), (999, 7, 500, "Annoy"))
            rows = numpy.concatenate([rows for _, rows in file.items()])
            self.assertTrue((rows == (numpy.packbits(X > 0.5, axis=1, bitorder="little") if metric == "hamming" else X)).all())
            done = CLUSTER.grove("import", f"again-{metric}", self.path, "--metric", metric, "--dim", 20, check=0)
            self.assertIn("500", done.stderr)
            index.unload()

    def test_what_cannot_be_a_file_of_annoy_says_why_and_writes_nothing(self):
        index = grove.AnnoyIndex(2, "euclidean")
        index.save_format = "ann"
        index.add_item(100000, [1, 2])
        index.build(0)
        with self.assertRaisesRegex(OSError, "there are none"):
            index.save(self.path)
        index.unbuild()
        index.build(1)
        with self.assertRaisesRegex(OSError, "more than 1000 for each item"):
            index.save(self.path)
        program = os.environ.pop("GROVE_PROGRAM")
        path, os.environ["PATH"] = os.environ["PATH"], ""
        try:
            with self.assertRaisesRegex(OSError, "GROVE_PROGRAM"):
                index.save(self.path)
        finally:
            os.environ.update(GROVE_PROGRAM=program, PATH=path)
        self.assertEqual(os.listdir(os.path.dirname(self.path)), [])
        index.unload()


if __name__ == "__main__":
    cluster.run()
