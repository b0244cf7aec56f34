#!/usr/bin/python3
"""Calls the adapter as ann-benchmarks does (its definitions.py and runner.py of June 2025), without that project.

    bench/ann-benchmarks/drive.py [--metric angular] [--train 4000] [--test 100]

For each argument list of config.yml: construct, fit, then for each query argument: set_query_arguments, every query by itself and all
as a batch, get_additional; at last done. Prints recall and queries a second by the clock, on images of Fashion-MNIST (for hamming:
which of their pixels are light). Needs `grove` in PATH, or GROVE_PROGRAM, or GROVE_ENDPOINT."""
import argparse
import gzip
import importlib
import itertools
import os
import shutil
import sys
import tempfile
import time
from typing import NamedTuple

import numpy
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
FASHION = "/usr/share/datasets/fashion-mnist"
COUNT = 10
EPSILON = 1e-3  # ann-benchmarks counts what is so little farther than the k-th neighbour
BASE = '''
class BaseANN(object):
    def done(self): pass
    def get_memory_usage(self): raise AssertionError("the adapter has its own")
    def fit(self, X): raise AssertionError("the adapter has its own")
    def query(self, q, n): raise AssertionError("the adapter has its own")
    def batch_query(self, X, n): raise AssertionError("the adapter has its own")
    def get_batch_results(self): return self.res
    def get_additional(self): return {}
    def __str__(self): return self.name
'''


class Definition(NamedTuple):
    algorithm: str
    module: str
    constructor: str
    docker_tag: str
    arguments: list
    query_argument_groups: list


class Outcome(NamedTuple):
    name: str
    recall: float
    queries_per_second: float
    batch_equal: bool
    additional: dict
    index_kilobytes: float


def package(folder):
    """Make the adapter importable as ann_benchmarks.algorithms.grove.module, beside a base class with that project's contract."""
    algorithms = os.path.join(folder, "ann_benchmarks", "algorithms")
    shutil.copytree(os.path.join(HERE, "grove"), os.path.join(algorithms, "grove"))
    os.mkdir(os.path.join(algorithms, "base"))
    with open(os.path.join(algorithms, "base", "module.py"), "w", encoding="ascii") as f:
        f.write(BASE)
    for name in [name for name in sys.modules if name.split(".")[0] == "ann_benchmarks"]:
        del sys.modules[name]
    sys.path.insert(0, folder)


def combinations(arguments):
    """Every choice of one of each: a list stands for its elements, anything else for itself."""
    return [list(c) for c in itertools.product(*[a if isinstance(a, list) else [a] for a in arguments])]


def definitions(point_type, metric, dimension):
    """What config.yml says for vectors of that type (float, bit) and metric."""
    with open(os.path.join(HERE, "grove", "config.yml"), encoding="ascii") as f:
        config = yaml.safe_load(f)[point_type]
    variables = {"@metric": metric, "@dimension": dimension, "@count": COUNT}
    found = []
    for algorithm in config.get("any", []) + config.get(metric, []):
        for group in algorithm["run_groups"].values():
            for arguments in combinations(group["args"]):
                arguments = [variables.get(a, a) if isinstance(a, str) else a for a in algorithm["base_args"] + arguments]
                found.append(Definition(algorithm["name"], algorithm["module"], algorithm["constructor"], algorithm["docker_tag"], arguments,
                                        combinations(group["query_args"]) if "query_args" in group else []))
    return found


def distances(metric, X, q):
    """Of a query to each row, as ann-benchmarks defines them."""
    if metric == "hamming":
        return (X != q).mean(axis=1)
    X, q = X.astype("f8"), q.astype("f8")
    if metric == "angular":
        return 1 - X @ q / (numpy.linalg.norm(X, axis=1) * numpy.linalg.norm(q))
    return numpy.linalg.norm(X - q, axis=1)


def recall(metric, X, queries, answers):
    found = 0
    for q, ids in zip(queries, answers):
        to = distances(metric, X, q)
        found += (to[ids] <= numpy.sort(to)[COUNT - 1] + EPSILON).sum()
    return found / (COUNT * len(queries))


def run(definition, X, queries, metric, groups=slice(None)):
    """The runner: an Outcome for each query argument list."""
    algorithm = getattr(importlib.import_module(f"{definition.module}.module"), definition.constructor)(*definition.arguments)
    try:
        before = algorithm.get_memory_usage()
        algorithm.fit(X)
        kilobytes = algorithm.get_memory_usage() - before
        for arguments in definition.query_argument_groups[groups] or [[]]:
            if arguments:
                algorithm.set_query_arguments(*arguments)
            answers, seconds = [], 0.0
            for q in queries:
                start = time.time()
                answers.append(algorithm.query(q, COUNT))
                seconds += time.time() - start
            additional = algorithm.get_additional()
            algorithm.batch_query(queries, COUNT)
            batch = algorithm.get_batch_results()
            for ids in answers + list(batch):
                if len(ids) != len(set(ids)) or len(ids) > COUNT:
                    raise AssertionError(f"{algorithm} returned an item twice, or too many")
            yield Outcome(str(algorithm), recall(metric, X, queries, answers), len(queries) / seconds,
                          [list(ids) for ids in batch] == [list(ids) for ids in answers], additional, kilobytes)
    finally:
        algorithm.done()


def images(kind, n, metric):
    with gzip.open(f"{FASHION}/{kind}-images-idx3-ubyte.gz") as f:
        rows = numpy.frombuffer(f.read(16 + 784 * n)[16:], numpy.uint8).reshape(-1, 784)
    return rows > 127 if metric == "hamming" else rows.astype("f4")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--metric", nargs="+", default=["angular", "euclidean", "hamming"], help="angular, euclidean, hamming")
    parser.add_argument("--train", type=int, default=4000)
    parser.add_argument("--test", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package(folder)
        for metric in options.metric:
            X, queries = images("train", options.train, metric), images("t10k", options.test, metric)
            for definition in definitions("bit" if metric == "hamming" else "float", metric, X.shape[1]):
                for outcome in run(definition, X, queries, metric):
                    print(f"{metric}: {outcome.name}: recall {outcome.recall:.4f}, {outcome.queries_per_second:.0f} queries/s, "
                          f"{outcome.additional['dist_comps'] / len(queries):.0f} distances a query, {outcome.index_kilobytes / 1024:.0f} MB",
                          flush=True)


if __name__ == "__main__":
    main()
