#!/usr/bin/python3
"""metrics.prom: each program keeps the truth about itself in its data folder, while it runs and at a clean stop."""
import os
import re
import unittest

import numpy

import cluster

LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')


def read(folder):
    """{(name, labels without which process it is): value}; and the labels that every series has."""
    with open(os.path.join(folder, "metrics.prom"), encoding="utf-8") as f:
        text = f.read()
    assert text.endswith("\n")
    values, common = {}, None
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = LINE.fullmatch(line).groups()
        labels = dict(LABEL.findall(labels or ""))
        common = set(labels.items()) if common is None else common & set(labels.items())
        values[name, tuple(sorted(labels.items()))] = float(value)
    drop = {name for name, _ in common}
    return {(name, tuple(p for p in labels if p[0] not in drop)): value for (name, labels), value in values.items()}, dict(common)


class File:
    """Looks into one program's file."""

    def __init__(self, folder, prefix):
        self.folder, self.prefix = folder, prefix

    def value(self, name, **labels):
        return read(self.folder)[0].get((self.prefix + name, tuple(sorted(labels.items()))), 0)

    def common(self):
        return read(self.folder)[1]


def coordinator_of(c):
    return File(f"{c.folder}/coordinator", "grove_coordinator_")


class Workers:
    """The files of all workers together."""

    def __init__(self, c):
        self.files = [File(f"{c.folder}/worker-{n}", "grove_worker_") for n in range(1, len(c.workers) + 1)]

    def value(self, name, **labels):
        return sum(f.value(name, **labels) for f in self.files)


class Metrics(unittest.TestCase):
    def traffic(self, client):
        random = numpy.random.default_rng(cluster.SEED)
        rows = random.standard_normal((500, 8)).astype(numpy.float32)
        client.create("shoes", dim=8, metric="euclidean", shards=2)
        client.upsert("shoes", range(500), rows)
        client.delete("shoes", range(10))
        client.build("shoes", trees=2)
        client.upsert("shoes", range(500, 520), rows[:20])
        for _ in range(3):
            client.search("shoes", rows[:7], k=5)
        with self.assertRaises(cluster.Error):
            client.search("shoes", rows[:1], k=1 << 30)
        with self.assertRaises(cluster.Error):
            client.create("shoes", dim=8, metric="euclidean")

    def coordinator_is_right(self, c, searches):
        f = coordinator_of(c)
        self.assertEqual(f.value("requests_total", op="search", status="ok"), searches)
        self.assertEqual(f.value("queries_total"), 7 * searches)
        self.assertEqual(f.value("search_seconds_count"), searches)
        self.assertEqual(f.value("search_seconds_bucket", le="+Inf"), searches)
        self.assertGreater(f.value("search_seconds_sum"), 0)
        self.assertEqual(f.value("requests_total", op="upsert", status="ok"), 2)
        self.assertEqual(f.value("requests_total", op="create", status="exists"), 1)
        self.assertEqual(f.value("requests_total", op="invalid", status="limit"), 1)
        self.assertEqual(f.value("incomplete_answers_total"), 0)
        self.assertEqual(f.value("busy_refusals_total"), 0)
        self.assertEqual(f.value("dropped_replies_total"), 0)
        self.assertEqual(f.value("workers", state="alive"), 2)
        self.assertRegex(f.common()["cluster"], r"^[0-9a-f-]{36}$")

    def workers_are_right(self, c, searches):
        f = Workers(c)
        self.assertEqual(f.value("queries_total"), 2 * 7 * searches)  # each of the two workers has a shard
        self.assertGreaterEqual(f.value("candidates_total"), f.value("queries_total"))
        self.assertEqual(f.value("search_seconds_count"), 2 * searches)
        self.assertEqual(f.value("writes_total", kind="upsert"), 520)
        self.assertEqual(f.value("writes_total", kind="delete"), 10)
        self.assertGreaterEqual(f.value("wal_sync_seconds_count"), 4)
        self.assertGreater(f.value("wal_sync_seconds_sum"), 0)
        self.assertEqual(f.value("builds_total", result="ok"), 2)
        self.assertEqual(f.value("builds_total", result="failed"), 0)
        self.assertEqual(f.value("build_seconds_count"), 2)
        self.assertEqual(f.value("memtable_rows"), 20)
        self.assertEqual(f.value("items"), 510)
        self.assertEqual(f.value("shards"), 2)
        self.assertEqual(f.value("dropped_replies_total"), 0)
        self.assertEqual(len({one.common()["worker"] for one in f.files}), 2)

    def test_the_files_tell_what_was_done_while_running_and_at_the_stop(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            self.traffic(client)
            coordinator = coordinator_of(c)
            cluster.wait_for("the coordinator's file to tell of the searches", 40, lambda: coordinator.value("queries_total") == 21, pause=0.5)
            self.coordinator_is_right(c, 3)
            cluster.wait_for("the workers' files to tell of the searches", 40, lambda: Workers(c).value("queries_total") == 42, pause=0.5)
            self.workers_are_right(c, 3)
            client.search("shoes", numpy.zeros((7, 8), numpy.float32), k=5)
            self.assertEqual(c.coordinator.stop(), 0)
            self.coordinator_is_right(c, 4)
            for worker in c.workers:
                self.assertEqual(worker.stop(), 0)
            self.workers_are_right(c, 4)


if __name__ == "__main__":
    cluster.run()
