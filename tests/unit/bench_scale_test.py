#!/usr/bin/python3
"""bench/scale from a set to its tables: usage bench_scale_test.py BUILD, meson's folder"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/data"))
import sets

BUILD = sys.argv.pop(1)
QUICK = ("--queries", "50", "--rounds", "1", "--seconds", "0.1")


class Scale(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        os.environ["GROVE_BENCH_DATA"] = self.place.name
        random = np.random.default_rng(1)
        rows = (random.standard_normal((8050, 4)) @ random.standard_normal((4, 32))).astype(np.float32)
        sets.write("tiny", "euclidean", rows[50:], rows[:50], "random")

    def points(self, part, *arguments):
        run = subprocess.run([ROOT / "bench/scale", f"--{part}", "--set", "tiny", "--as-built", "--build", BUILD, *QUICK, *arguments], capture_output=True,
                             text=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(f"### tiny, 8,000 x 32, {part}", run.stdout)
        return json.loads((pathlib.Path(self.place.name) / f"results/scale-tiny-{part}.json").read_text())["points"]

    def test_shards_and_workers(self):
        points = self.points("shards", "--workers", "1", "2", "--shard-counts", "1", "2")
        self.assertEqual([(p["fixed"], p["shards"], p["workers"]) for p in points],
                         [("total", 1, 1), ("total", 2, 1), ("total", 2, 2), ("per shard", 1, 1), ("per shard", 2, 1), ("per shard", 2, 2)])
        self.assertEqual(points[5]["search_k"], 2 * points[2]["search_k"])
        for p in points:
            self.assertGreater(p["recall"], 0.8)
            self.assertLessEqual(p["p50_us"], p["p99_us"])
            self.assertEqual(len(p["cpu_us"]), 2 + p["workers"])
            self.assertGreater(p["wire_bytes"]["client"], 4 * 32)              # the query at least, and the hits
            self.assertGreater(p["wire_bytes"]["workers"], p["workers"] * 4 * 32)

    @unittest.skipUnless(os.path.exists(f"{BUILD}/bench/load/pair"), "ninja scale builds it")
    def test_the_pair_and_the_path(self):
        points = self.points("pair")
        self.assertEqual(len(points), 8)
        self.assertTrue(all(p["recall"] >= 0.99 for p in points))
        points = self.points("path")
        self.assertEqual([p["shards"] for p in points][2:], [1, 1, 1])
        self.assertEqual(points[0]["recall"], points[1]["recall"])  # the same engine on the same segments
        self.assertEqual(points[2]["recall"], points[3]["recall"])

    def test_an_unknown_set_is_named(self):
        run = subprocess.run([ROOT / "bench/scale", "--shards", "--set", "nobody", "--as-built", "--build", BUILD], capture_output=True, text=True)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("the set nobody is not there", run.stderr)

    def test_what_is_not_built_is_named_with_what_builds_it(self):
        with tempfile.TemporaryDirectory() as empty:
            run = subprocess.run([ROOT / "bench/scale", "--pair", "--set", "tiny", "--as-built", "--build", empty], capture_output=True, text=True)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn(f"{empty}/client/cli/grove is not there", run.stderr)
            for folder in "client/cli", "coordinator", "worker", "bench/load":  # all but the pair
                os.makedirs(f"{empty}/{folder}", exist_ok=True)
                for program in pathlib.Path(BUILD, folder).iterdir():
                    if program.is_file() and program.name != "pair":
                        os.symlink(program, f"{empty}/{folder}/{program.name}")
            run = subprocess.run([ROOT / "bench/scale", "--pair", "--set", "tiny", "--as-built", "--build", empty], capture_output=True, text=True)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn(f"ninja -C {empty} scale", run.stderr)


unittest.main()
