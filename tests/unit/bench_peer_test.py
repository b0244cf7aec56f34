#!/usr/bin/python3
"""An engine of bench/peers keeps its convention and finds what it should: usage bench_peer_test.py PROGRAM"""
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

PROGRAM = sys.argv.pop(1)
SEED = int(os.environ.get("GROVE_SEED", "1"))
K = 10
N = 3000


def make_set(folder, metric):
    os.environ["GROVE_BENCH_DATA"] = folder
    random = np.random.default_rng(SEED)
    if metric == "hamming":
        rows = random.integers(0, 256, (N + 50, 8), dtype=np.uint8)
    else:
        rows = (random.standard_normal((N + 50, 3)) @ random.standard_normal((3, 24))).astype(np.float32)
    sets.write(metric, metric, rows[50:], rows[:50], "random")
    return f"{folder}/{metric}"


class Peer(unittest.TestCase):
    def setUp(self):
        self.engine = json.loads(subprocess.run([PROGRAM], check=True, capture_output=True).stdout)

    def call(self, of, build, folder, lines):
        """The lines answered, and the rows of the last."""
        command = [PROGRAM, of, str(K), build, f"{folder}/index", f"{folder}/answers"]
        run = subprocess.run(command, input="".join(line + "\n" for line in lines), check=True, capture_output=True, text=True)
        return [json.loads(line) for line in run.stdout.splitlines()], np.fromfile(f"{folder}/answers", np.int64).reshape(-1, K)

    def test_every_build_finds_nearly_all_at_the_greatest_effort(self):
        for build in self.engine["builds"]:
            for metric in build["metrics"]:
                with self.subTest(build=build["params"], metric=metric, seed=SEED), tempfile.TemporaryDirectory() as folder:
                    of = make_set(folder, metric)
                    lines, rows = self.call(of, build["params"], folder, [f"50 {build['searches'][-1]}"])
                    truth = np.load(of + "/distances.npy")[:, K - 1]
                    recall = sets.recall(metric, np.load(of + "/base.npy"), np.load(of + "/queries.npy"), truth, rows, K)
                    self.assertGreaterEqual(recall, 0.99)
                    self.assertEqual(lines[1]["queries"], 50)
                    self.assertGreater(lines[1]["cpu_s"], 0)
                    self.assertGreater(lines[0]["memory_bytes"], os.path.getsize(of + "/base.npy") / 64)

    def test_an_index_found_is_used_and_answers_the_same(self):
        build = self.engine["builds"][0]
        with tempfile.TemporaryDirectory() as folder:
            of = make_set(folder, build["metrics"][0])
            first, rows = self.call(of, build["params"], folder, [f"20 {build['searches'][0]}"])
            again, same = self.call(of, build["params"], folder, [f"50 {build['searches'][-1]}", f"20 {build['searches'][0]}"])
            self.assertIsNotNone(first[0]["build_cpu_s"])
            self.assertIsNone(again[0]["build_cpu_s"])
            np.testing.assert_array_equal(rows, same)

    def test_what_is_not_in_the_grid_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            of = make_set(folder, self.engine["builds"][0]["metrics"][0])
            run = subprocess.run([PROGRAM, of, str(K), "trees=-1", f"{folder}/index", f"{folder}/answers"], capture_output=True, text=True)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("no such build", run.stderr)


unittest.main()
