"""Grove in ann-benchmarks: a cluster of one worker and one shard on this machine, asked through the Python client.

GROVE_ENDPOINT names another cluster. mode is graph, forest (with its number of trees) or exact; the argument of a query is search_k,
the candidates to score."""
import os
import time
import uuid

import numpy
from grove import Client, Index, LocalCluster

from ..base.module import BaseANN

BEAT_SECONDS = 0.5  # workers report what memory they have every 0.25 s
REQUEST_SECONDS = 60


class Grove(BaseANN):
    def __init__(self, metric, mode, trees=0):
        self._metric, self._mode, self._trees = metric, mode, trees
        self._index = None
        self._coverage = []
        self._effort = {"mode": mode}
        self.name = f"Grove({self._build_name()})"
        self._cluster = None if os.environ.get("GROVE_ENDPOINT") else LocalCluster()
        self._client = Client(self._cluster.endpoint if self._cluster else None)

    def _build_name(self):
        return f"{self._mode}, trees={self._trees}" if self._trees else self._mode

    def fit(self, X):
        X = numpy.asarray(X)
        self._index = Index.create(f"ann-benchmarks-{uuid.uuid4()}", X.shape[1], self._metric, client=self._client, shards=1,
                                   trees=self._trees, timeout=REQUEST_SECONDS)
        self._index.add(range(len(X)), X)
        self._index.build()

    def set_query_arguments(self, search_k):
        self._effort = {"mode": self._mode, "search_k": search_k}
        self._coverage = []
        self.name = f"Grove({self._build_name()}, search_k={search_k})"

    def query(self, v, n):
        if self._metric == "hamming":
            row, dtype = numpy.packbits(numpy.asarray(v) > 0.5, bitorder="little"), "bits"
        else:
            row, dtype = numpy.asarray(v, "<f4"), "f32"
        hits = self._index.search_one(row.tobytes(), n, dtype, **self._effort)
        self._coverage.append(hits.coverage)
        return hits.ids

    def batch_query(self, X, n):
        self.res = self._index.search(X, n, exact=self._mode == "exact", **self._batch_effort())
        self._coverage.append(self.res.coverage)

    def _batch_effort(self):
        return {} if self._mode == "exact" else self._effort

    def get_batch_results(self):
        return [ids[:count].tolist() for ids, count in zip(self.res.ids, self.res.counts)]

    def get_additional(self):
        """Distances that were computed since the effort was set, in all runs."""
        return {"dist_comps": int(sum(part["candidates"].sum() for part in self._coverage))}

    def get_memory_usage(self):
        """Of the workers, in KB: also what else a cluster that GROVE_ENDPOINT names holds, and what of dropped indexes it gives back."""
        time.sleep(BEAT_SECONDS)
        return sum(worker["memory_bytes"] for worker in self._client.status()["workers"]) / 1024

    def done(self):
        if self._index is not None:
            self._index.drop()
        self._client.close()
        if self._cluster:
            self._cluster.stop()
