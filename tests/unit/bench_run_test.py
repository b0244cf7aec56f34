#!/usr/bin/python3
"""bench/run from a set to a table: usage bench_run_test.py BUILD, meson's folder"""
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


class Run(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        os.environ["GROVE_BENCH_DATA"] = self.place.name
        random = np.random.default_rng(1)
        rows = (random.standard_normal((4000, 4)) @ random.standard_normal((4, 32))).astype(np.float32)
        sets.write("tiny", "euclidean", rows[50:], rows[:50], "random")

    def run_bench(self, *arguments):
        command = [ROOT / "bench/run", "--set", "tiny", "--as-built", "--build", BUILD, *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    def result(self, *arguments):
        run = self.run_bench("--engines", "grove-exact", "grove-forest", "--queries", "50", *arguments)
        self.assertEqual(run.returncode, 0, run.stderr)
        results = pathlib.Path(self.place.name, "results")
        return json.loads((results / "tiny.json").read_text()), (results / "tiny.md").read_text()

    def test_engines_take_turns_and_a_table_comes_of_it(self):
        result, text = self.result("--rounds", "2")
        exact, forest = result["engines"]
        self.assertEqual([p["recall"] for p in exact["points"]], [1.0])
        self.assertGreater(max(p["recall"] for p in forest["points"]), 0.99)
        self.assertTrue(all(len(p["seconds"]) == 2 for engine in result["engines"] for p in engine["points"]))
        for wanted in ("### tiny: 3,950 x 32, euclidean", "| grove-exact | rows=1 |", "| **grove-forest** | best of the grid |"):
            self.assertIn(wanted, text)

    def test_an_index_is_kept_and_built_anew_when_the_set_changes(self):
        mark = pathlib.Path(self.place.name, "indexes/tiny/grove-forest/trees=10/built")
        first = self.result("--quick")[0]["engines"][1]["builds"][0]["build_cpu_s"], mark.stat().st_mtime_ns
        self.assertEqual(first, (self.result("--quick")[0]["engines"][1]["builds"][0]["build_cpu_s"], mark.stat().st_mtime_ns))
        os.utime(pathlib.Path(self.place.name, "tiny/base.npy"))
        self.result("--quick")
        self.assertNotEqual(first[1], mark.stat().st_mtime_ns)

    def test_an_unknown_engine_is_named(self):
        run = self.run_bench("--engines", "nobody")
        self.assertNotEqual(run.returncode, 0)
        self.assertRegex(run.stderr, "no engine nobody: there are .*grove-exact")


unittest.main()
