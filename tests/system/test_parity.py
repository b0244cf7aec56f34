#!/usr/bin/python3
"""Exact search gives the same bits however the items are spread: 1, 2, 4 and 8 shards, on 1 to 4 workers, all metrics."""
import unittest

import numpy

import cluster

METRICS = ["angular", "euclidean", "manhattan", "hamming", "dot"]


def plain_distances(metric, items, query):
    """The definition in float64, to see that the shared answer is also right."""
    a, q = items.astype(numpy.float64), query.astype(numpy.float64)
    if metric == "hamming":
        return numpy.unpackbits(items ^ query, axis=1).sum(axis=1).astype(numpy.float64)
    if metric == "euclidean":
        return numpy.sqrt(((a - q) ** 2).sum(axis=1))
    if metric == "manhattan":
        return numpy.abs(a - q).sum(axis=1)
    if metric == "dot":
        return a @ q
    norms = numpy.sqrt((a * a).sum(axis=1) * (q * q).sum())
    cosine = numpy.divide(a @ q, norms, out=numpy.zeros(len(a)), where=norms > 0)
    return numpy.sqrt(numpy.maximum(0, 2 - 2 * cosine))


class Parity(unittest.TestCase):
    def one_layout(self, workers, shards, data):
        answers = {}
        with cluster.Cluster(workers=workers) as c, c.client() as client:
            for metric, (ids, rows, queries, dim) in data.items():
                name = f"{metric}-{shards}"
                client.create(name, dim=dim, metric=metric, shards=shards, seed=7)
                client.upsert(name, ids[: len(ids) // 2], rows[: len(ids) // 2])
                client.build(name, trees=3)  # half in segments, half in memtables
                client.upsert(name, ids[len(ids) // 2:], rows[len(ids) // 2:])
                for k in (1, 10, len(ids) + 5):
                    answers[metric, k] = client.search(name, queries, k=k, exact=True)
                # A budget of everything is exact too.
                answers[metric, "budget"] = client.search(name, queries, k=10, search_k=10 * len(ids) * shards)
        return answers

    def test_exact_answers_are_the_same_bits_on_every_layout(self):
        random = numpy.random.default_rng(cluster.SEED)
        n, dim = 400, 37
        ids = random.integers(0, 2**64 - 1, n, dtype=numpy.uint64)
        ids[:3] = [0, 2**64 - 1, 2**53 + 1]
        data = {}
        for metric in METRICS:
            rows = random.standard_normal((n, dim)).astype(numpy.float32)
            rows[50:90] = rows[50]  # duplicates
            rows[100:140] = numpy.round(rows[100:140])  # ties
            rows[140] = 0
            queries = numpy.concatenate([random.standard_normal((4, dim)).astype(numpy.float32), rows[[50, 100, 140]]])
            width = dim
            if metric == "hamming":
                rows = numpy.packbits(rows > 0, axis=1, bitorder="little")
                queries = numpy.packbits(queries > 0, axis=1, bitorder="little")
            data[metric] = (ids, rows, queries, width)
        reference = None
        for workers, shards in [(1, 1), (1, 2), (2, 2), (1, 8), (3, 4), (4, 8), (4, 1)]:
            answers = self.one_layout(workers, shards, data)
            reference = reference or answers
            for key, found in answers.items():
                for query, (mine, theirs) in enumerate(zip(found, reference[key])):
                    where = f"{key}, query {query}, {shards} shards on {workers} workers, seed {cluster.SEED}"
                    self.assertTrue(mine.complete, where)
                    self.assertEqual(mine.items_searched, n, where)
                    self.assertEqual(mine.ids.tobytes(), theirs.ids.tobytes(), where)
                    self.assertEqual(mine.distances.tobytes(), theirs.distances.tobytes(), where)
        for metric, (_, rows, queries, _) in data.items():
            everything = reference[metric, n + 5]
            for query, answer in zip(queries, everything):
                self.assertEqual(len(answer.ids), n)
                self.assertEqual(len(set(answer.ids.tolist())), n)
                expected = numpy.sort(plain_distances(metric, rows, query))
                if metric == "dot":
                    expected = expected[::-1]
                numpy.testing.assert_allclose(answer.distances, expected, rtol=2e-5, atol=2e-3)
        for metric in METRICS:
            for whole, budget in zip(reference[metric, 10], reference[metric, "budget"]):
                self.assertEqual(whole.ids.tobytes(), budget.ids.tobytes())

    def test_more_shards_than_items_and_an_empty_index_answer_completely(self):
        with cluster.Cluster(workers=2) as c, c.client() as client:
            client.create("few", dim=3, metric="euclidean", shards=8)
            query = numpy.zeros((1, 3), numpy.float32)
            [empty] = client.search("few", query, k=5)
            self.assertTrue(empty.complete)
            self.assertEqual(len(empty.ids), 0)
            client.build("few")
            client.upsert("few", [5, 6], numpy.eye(3, dtype=numpy.float32)[:2])
            [answer] = client.search("few", query, k=5)
            self.assertTrue(answer.complete)
            self.assertEqual(answer.ids.tolist(), [5, 6])


class Recall(unittest.TestCase):
    def test_fashion_mnist_reaches_the_recall_that_was_promised(self):
        train = cluster.fashion("train")
        queries = cluster.fashion("t10k")[:1000]
        with cluster.Cluster(workers=2) as c, c.client() as client:
            client.create("fashion", dim=784, metric="euclidean", shards=2, trees=10, seed=cluster.SEED)
            for start in range(0, len(train), 5000):
                client.upsert("fashion", numpy.arange(start, start + 5000), train[start:start + 5000])
            client.build("fashion")
            truth = client.search("fashion", queries, k=10, exact=True)
            recalls = []
            for search_k in (250, 500, 1000, 2000, 5000, 10000, 60000):
                found = client.search("fashion", queries, k=10, search_k=search_k)
                recalls.append((search_k, sum(len(set(a.ids.tolist()) & set(b.ids.tolist())) for a, b in zip(found, truth)) / (10 * len(queries))))
                candidates = max(a.candidates for a in found)
                self.assertLessEqual(candidates, search_k + 64 * 10 * 2, "search_k plus one leaf per tree and shard")
            print("\n| recall@10 by search_k, seed", cluster.SEED, recalls)
            by_effort = dict(recalls)
            self.assertEqual([r for _, r in recalls], sorted(r for _, r in recalls))
            self.assertGreaterEqual(by_effort[2000], 0.90)
            self.assertGreaterEqual(by_effort[10000], 0.98)
            self.assertEqual(by_effort[60000], 1.0)


cluster.run()
