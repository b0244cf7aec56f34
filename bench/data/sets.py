"""What the scripts beside this share: where the sets stand, how they are written, and what the truth is.

A set is a folder of four files, NAME/ under $GROVE_BENCH_DATA or ~/.cache/grove-bench:

  base.npy       n x d float32, or n x bytes uint8 for hamming (bits packed least significant first)
  queries.npy    q x d, never a row of the base
  truth.npy      q x 100 int32, rows of the base, nearest first, by exact search
  distances.npy  q x 100 float64, their raw distances as common/vec.h defines them (smaller is nearer)
  set.json       {"name", "metric", "n", "dim", "queries", "origin"}; written last, so a set with it is whole

The truth is numpy's, so that no engine is its own judge: candidates in float32 by matrix products, twice as many as wanted
from each block of rows, then exactly in float64."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np

TRUTH = 100        # neighbours kept of each query
QUERIES = 1000     # held out of each set
BLOCK = 1 << 15    # rows of the base compared at a time
SAME = 1e-6        # relative difference of distances that float32 may or may not see
QUERY_BLOCK = 1000 # and queries: 128 MiB of distances


def folder():
    return pathlib.Path(os.environ.get("GROVE_BENCH_DATA", pathlib.Path.home() / ".cache/grove-bench"))


def unpacked(package):
    """The folder with a Debian package's files: downloaded and unpacked, not installed."""
    target = folder() / "packages" / package
    if target.is_dir():
        return target
    part = target.with_name(package + ".part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "deb").mkdir(parents=True)
    try:
        subprocess.run(["apt-get", "download", "-q", package], cwd=part / "deb", check=True, stdout=subprocess.DEVNULL)
    except subprocess.CalledProcessError:
        sys.exit(f"{package} could not be downloaded: run apt-get update, or look whether your Debian has it")
    deb, = (part / "deb").iterdir()
    subprocess.run(["dpkg-deb", "-x", deb, part / "root"], check=True)
    os.replace(part / "root", target)
    shutil.rmtree(part)
    return target


def raw_distances(metric, queries, rows):
    """Raw distances in float64 of each query (q x d) to its own rows (q x m x d)."""
    if metric == "hamming":
        return np.unpackbits(queries[:, None, :] ^ rows, axis=2).sum(axis=2).astype(np.float64)
    queries = queries[:, None, :].astype(np.float64)
    rows = rows.astype(np.float64)
    if metric == "euclidean":
        return ((queries - rows) ** 2).sum(axis=2)
    if metric == "manhattan":
        return np.abs(queries - rows).sum(axis=2)
    inner = (queries * rows).sum(axis=2)
    if metric == "dot":
        return -inner
    norms = np.sqrt((queries ** 2).sum(axis=2) * (rows ** 2).sum(axis=2))
    return np.maximum(0, 2 - 2 * np.divide(inner, norms, out=np.zeros_like(inner), where=norms > 0))


def rough_distances(metric, queries, rows):
    """q x m distances that order rows nearly as the raw ones do."""
    if metric == "hamming":
        words = np.ascontiguousarray(rows).view(np.uint64)[:, 0]
        bits = np.empty((len(queries), len(rows)), np.uint8)
        for i, query in enumerate(np.ascontiguousarray(queries).view(np.uint64)[:, 0]):
            bits[i] = popcount(words ^ query)
        return bits
    if metric == "manhattan":
        from scipy.spatial.distance import cdist
        return cdist(queries, rows, "cityblock")
    inner = queries @ rows.T
    if metric == "dot":
        return -inner
    norms = np.einsum("ij,ij->i", rows, rows)
    if metric == "euclidean":
        return norms - 2 * inner
    return -inner / np.sqrt(np.maximum(norms, 1e-30))


def popcount(words):
    table = popcount.table
    halves = words.view(np.uint16).reshape(-1, 4)
    return table[halves[:, 0]] + table[halves[:, 1]] + table[halves[:, 2]] + table[halves[:, 3]]


popcount.table = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8)).reshape(-1, 16).sum(axis=1).astype(np.uint8)


def nearest(metric, base, queries, k=TRUTH):
    """The k nearest rows of each query and their raw distances: ties by row number."""
    ids = np.empty((len(queries), k), np.int32)
    distances = np.empty((len(queries), k), np.float64)
    for first in range(0, len(queries), QUERY_BLOCK):
        some = queries[first:first + QUERY_BLOCK]
        kept = np.empty((len(some), 0), np.int64)
        kept_rough = None
        for start in range(0, len(base), BLOCK):
            rough = rough_distances(metric, some, base[start:start + BLOCK])
            wanted = min(2 * k, rough.shape[1])
            best = np.argpartition(rough, wanted - 1, axis=1)[:, :wanted]
            rough = np.take_along_axis(rough, best, axis=1)
            kept = np.hstack([kept, best + start])
            kept_rough = rough if kept_rough is None else np.hstack([kept_rough, rough])
            wanted = min(2 * k, kept.shape[1])
            best = np.argpartition(kept_rough, wanted - 1, axis=1)[:, :wanted]
            kept, kept_rough = np.take_along_axis(kept, best, axis=1), np.take_along_axis(kept_rough, best, axis=1)
        for i in range(len(some)):
            exact = raw_distances(metric, some[i:i + 1], base[kept[i]][None])[0]
            order = np.lexsort((kept[i], exact))[:k]
            ids[first + i], distances[first + i] = kept[i][order], exact[order]
    return ids, distances


def recall(metric, base, queries, limits, answers, k):
    """The share of the k nearest found: by distance, computed here from the rows named, so that an equally near row is as good and a row
    named twice counts once. Equally near is what float32 cannot tell apart: a millionth, for angular of the unit (2 - 2 cos is a difference of ones). `limits` are the true distances of each query's k-th; rows below 0 say that fewer were found."""
    limits = limits + SAME * (np.ones_like(limits) if metric == "angular" else np.abs(limits)) + 1e-12
    right = 0
    for query, limit, named in zip(queries, limits, answers):
        named = np.unique(named[(named >= 0) & (named < len(base))])
        right += (raw_distances(metric, query[None], base[named][None])[0] <= limit).sum()
    return float(right / (len(answers) * k))


def write(name, metric, base, queries, origin):
    """Write a set with its truth."""
    target = folder() / name
    target.mkdir(parents=True, exist_ok=True)
    (target / "set.json").unlink(missing_ok=True)
    ids, distances = nearest(metric, base, queries)
    for what, array in ("base", base), ("queries", queries), ("truth", ids), ("distances", distances):
        np.save(target / f"{what}.npy", np.ascontiguousarray(array))
    dim = base.shape[1] * (8 if metric == "hamming" else 1)
    text = json.dumps({"name": name, "metric": metric, "n": len(base), "dim": dim, "queries": len(queries), "origin": origin})
    (target / "set.json").write_text(text + "\n")
    print(f"{target}: {len(base)} x {dim}, {metric}, {len(queries)} queries")


def hold_out(rows, seed, n=None, queries=QUERIES):
    """Distinct rows, shuffled: the queries first, then at most n for the base."""
    rows = np.unique(rows, axis=0)
    order = np.random.default_rng(seed).permutation(len(rows))
    if n is not None and len(rows) < n + queries:
        print(f"only {len(rows) - queries} rows, {n} were wanted", file=sys.stderr)
    return rows[order[queries:queries + n if n is not None else None]], rows[order[:queries]]


def public(paths, name, metric):
    """For the public originals: a base and queries in fvecs, bvecs or npy, into a set of our form."""
    def read(path):
        if path.endswith(".npy"):
            return np.load(path).astype(np.float32)
        dim = int(np.fromfile(path, "<i4", 1)[0])
        if path.endswith(".fvecs"):
            return np.fromfile(path, "<f4").reshape(-1, dim + 1)[:, 1:]
        if path.endswith(".bvecs"):
            return np.fromfile(path, "u1").reshape(-1, dim + 4)[:, 4:].astype(np.float32)
        sys.exit(f"{path}: .fvecs, .bvecs or .npy is wanted")
    base, queries = map(read, paths)
    write(name, metric, np.ascontiguousarray(base), np.ascontiguousarray(queries[:QUERIES]), "public original")
