"""Files of Annoy itself: their items, and how many trees they have.

client/cli/ann_layout.h describes the format, client/cli/read_ann.c the checks, which are the same here: nothing in the file says what it
is, so every node is looked at, for each layout of the metric whose node size divides the file's, before the first item is given; exactly
one has to pass. In memory: a window of nodes, and a checksum for each root.
"""
from __future__ import annotations

import os
import struct
import zlib
from typing import Any, BinaryIO, Iterator, List, NamedTuple, Optional, Tuple

import numpy

WRONG_SIZE = ("Index size is not a multiple of vector size. Ensure you are opening using the same metric you used to create the index.")
WINDOW = 4 << 20
NORM_TOLERANCE = 0.01


class Layout(NamedTuple):
    metric: str
    versions: str
    id_bytes: int
    children: int  # where they begin; 0 in the others: nowhere
    vector: int
    norm: int
    factor: int
    built: int


LAYOUTS = [
    Layout("angular", "Annoy", 4, 4, 12, 4, 0, 0),
    Layout("angular", "scikit-plots", 8, 8, 24, 8, 0, 0),
    Layout("euclidean", "Annoy", 4, 8, 16, 0, 0, 0),
    Layout("euclidean", "scikit-plots", 8, 16, 32, 0, 0, 0),
    Layout("manhattan", "Annoy", 4, 8, 16, 0, 0, 0),
    Layout("manhattan", "scikit-plots", 8, 16, 32, 0, 0, 0),
    Layout("dot", "Annoy 1.13 to 1.17.3", 4, 4, 16, 0, 12, 0),
    Layout("dot", "Annoy after 1.17.3", 4, 4, 24, 0, 12, 20),
    Layout("dot", "scikit-plots", 8, 8, 36, 0, 24, 32),
    Layout("hamming", "Annoy 1.17", 4, 4, 16, 0, 0, 0),
    Layout("hamming", "Annoy before 1.17", 4, 4, 12, 0, 0, 0),
    Layout("hamming", "scikit-plots", 8, 8, 24, 0, 0, 0),
]


HEAD = struct.Struct("<IHBBIIQI36s")  # of scikit-plots: magic, version, bytes of element, id and node, dimension, n_items, metric, zeros
HEAD_MAGIC, HEAD_VERSION = 0x414E4958, 1


class _Damaged(Exception):
    """The file is not of this layout."""


class AnnFile:
    """The file at `path`, of vectors with f elements; OSError with a sentence if it is none.

    n_items: the largest id plus 1. stored: items. n_trees."""

    def __init__(self, path: str, f: int, metric: str) -> None:
        self.path, self.f, self.metric = path, f, metric
        faults: List[str] = []
        found: Optional[_Nodes] = None
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = self._head(file.read(HEAD.size))
            for layout in LAYOUTS:
                nodes = _Nodes(file, layout, f, size, HEAD.size if head else 0)
                if layout.metric != metric or f < 1 or size <= nodes.start or (size - nodes.start) % nodes.node:
                    continue
                if head and head[2:5] != (8 if metric == "hamming" else 4, layout.id_bytes, nodes.node):
                    continue
                try:
                    nodes.check()
                    if head and head[6] != nodes.slots:
                        raise _Damaged("it counts other items than its head")
                except _Damaged as e:
                    faults.append(f"{path} is no {metric} index of Annoy with f={f}, or it is damaged: {e}")
                    continue
                if found is not None:
                    raise OSError(f"{path} can be read as a file of {found.layout.versions} and of {layout.versions}: which one is not "
                                  "told by it")
                found = nodes
        if found is None:
            raise OSError(faults[0] if faults else f"{WRONG_SIZE}: {path} has {size} bytes, this object f={f} and metric {metric!r}")
        self._nodes = found
        self.n_items, self.n_trees, self.stored = found.slots, found.trees, found.stored

    def _head(self, data: bytes) -> Optional[Tuple[Any, ...]]:
        """The fields of a head of scikit-plots; None: there is none."""
        head = HEAD.unpack(data) if len(data) == HEAD.size else (0,)
        if head[0] != HEAD_MAGIC:
            return None
        if head[1] != HEAD_VERSION or any(head[8]):
            raise OSError(f"{self.path} has a head of scikit-plots of version {head[1]}; only {HEAD_VERSION} can be read")
        if head[7] not in (0, _metric_hash(self.metric)):
            raise OSError(f"{self.path} is an index of another metric than {self.metric}, as its head says")
        return head

    def items(self) -> Iterator[Tuple[numpy.ndarray, numpy.ndarray]]:
        """(ids, rows of the wire: float32 or packed bits) in parts."""
        nodes = self._nodes
        with open(self.path, "rb") as file:
            nodes.file = file
            for first, raw in nodes.windows(nodes.slots):
                present = nodes.descendants(raw) == 1
                rows = raw[present, nodes.layout.vector:]
                ids = (first + numpy.flatnonzero(present)).astype("<u8")
                if len(ids):
                    yield ids, numpy.ascontiguousarray(rows[:, :(self.f + 7) // 8]) if self.metric == "hamming" else _view(rows, "<f4")


def _metric_hash(metric: str) -> int:
    """FNV-1a."""
    value = 2166136261
    for byte in metric.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value


def _view(raw: numpy.ndarray, dtype: str) -> numpy.ndarray:
    return numpy.ascontiguousarray(raw).view(dtype)


class _Nodes:
    """A file as nodes of one layout."""

    def __init__(self, file: BinaryIO, layout: Layout, f: int, size: int, start: int) -> None:
        self.file, self.layout, self.f, self.start = file, layout, f, start  # start: of the nodes in the file
        self.node = layout.vector + ((f + 63) // 64 * 8 if layout.metric == "hamming" else 4 * f)
        self.count = (size - start) // self.node
        self.capacity = (self.node - layout.children) // layout.id_bytes
        self.id = f"<u{layout.id_bytes}"
        self.slots = self.trees = self.stored = 0

    def windows(self, end: int) -> Iterator[Tuple[int, numpy.ndarray]]:
        """(the first node's number, bytes [n x node]) of the nodes before `end`."""
        step = max(1, WINDOW // self.node)
        for first in range(0, end, step):
            yield first, self.read(first, min(step, end - first))

    def read(self, first: int, n: int) -> numpy.ndarray:
        self.file.seek(self.start + first * self.node)
        data = self.file.read(n * self.node)
        if len(data) != n * self.node:
            raise OSError(f"{self.file.name} became shorter while it was read")
        return numpy.frombuffer(data, numpy.uint8).reshape(n, self.node)

    def descendants(self, raw: numpy.ndarray) -> numpy.ndarray:
        return _view(raw[:, :self.layout.id_bytes], self.id)[:, 0]

    def check(self) -> None:
        """Look at every node; sets slots, stored and trees."""
        self.slots = int(self.descendants(self.read(self.count - 1, 1))[0])
        if self.slots == 0:
            raise _Damaged("it has no vectors")
        if self.slots >= self.count:
            raise _Damaged(f"its node {self.count - 1} counts more items than there are nodes")
        roots: List[Tuple[int, int]] = []
        for first, raw in self.windows(self.count):
            items = max(0, min(len(raw), self.slots - first))
            self._check_items(first, raw[:items])
            self._check_trees(first + items, raw[items:])
            for i in numpy.flatnonzero(self.descendants(raw[items:]) == self.slots).tolist():
                roots.append((first + items + i, zlib.crc32(raw[items + i].tobytes())))
        half = len(roots) // 2
        copies = [number for number, _ in roots[half:]]
        if (not roots or len(roots) % 2 or copies != list(range(self.count - half, self.count))
                or sorted(crc for _, crc in roots[:half]) != sorted(crc for _, crc in roots[half:])):
            raise _Damaged("the copies of its roots are not at its end")
        if self.stored == 0:
            raise _Damaged("it has no vectors")
        self.trees = half

    @staticmethod
    def _fault(first: int, bad: Any, what: str) -> None:
        """bad: for each node whether it is."""
        if numpy.any(bad):
            raise _Damaged(f"its node {first + int(numpy.flatnonzero(bad)[0])} {what}")

    def _check_items(self, first: int, raw: numpy.ndarray) -> None:
        layout = self.layout
        below = self.descendants(raw)
        gap, present = below == 0, below == 1
        head = layout.id_bytes if layout.factor else layout.vector  # dot's build() sets what follows of gaps, too
        filled = raw[:, :head].any(axis=1) | raw[:, layout.vector:].any(axis=1)
        self._fault(first, ~(gap | present) | (gap & filled), "is neither an item nor a gap")
        second = layout.children + layout.id_bytes  # in the place of the first child many versions have a norm
        self._fault(first, present & raw[:, second:second + layout.id_bytes].any(axis=1), "is an item and has a child")
        if layout.metric == "hamming":
            stray = self.f % 64
            last = _view(raw[:, self.node - 8:], "<u8")[:, 0]
            self._fault(first, present & (last >> numpy.uint64(stray) != 0) if stray else False, "has bits past its dimension")
        else:
            vectors = _view(raw[:, layout.vector:], "<f4")
            self._fault(first, present & ~numpy.isfinite(vectors).all(axis=1), "has a NaN or an infinity")
            if layout.norm:
                self._fault(first, present & ~_norms_right(vectors, _view(raw[:, layout.norm:layout.norm + 4], "<f4")[:, 0]),
                            "has another norm than its vector")
        if layout.factor:
            factor = _view(raw[:, layout.factor:layout.factor + 4], "<f4")[:, 0]
            self._fault(first, present & (factor < 0), "has a factor below zero")
        if layout.built:
            self._fault(first, present & (raw[:, layout.built] > 1), "has a flag that is neither 0 nor 1")
        self.stored += int(present.sum())

    def _check_trees(self, first: int, raw: numpy.ndarray) -> None:
        """A root that is a bucket is not looked at: which of its ids count is not known from it."""
        below = self.descendants(raw)
        self._fault(first, (below < 1) | (below > self.slots), "has more items below it than there are, or none")
        ids = _view(raw[:, self.layout.children:self.layout.children + self.capacity * self.layout.id_bytes], self.id)
        split = below > self.capacity
        own = numpy.arange(first, first + len(raw), dtype=numpy.uint64)[:, None]
        children = ids[:, :2]
        outside = (children >= self.count) | (children == own)
        self._fault(first, split & outside.any(axis=1), "has a child that is not in the file")
        listed = numpy.arange(self.capacity, dtype=numpy.uint64)[None, :] < below[:, None]
        outside = listed & (ids >= self.slots)
        self._fault(first, ~split & (below != self.slots) & outside.any(axis=1), "has an item that is not in the file")


def _norms_right(vectors: numpy.ndarray, norms: numpy.ndarray) -> numpy.ndarray:
    """Files of before 1.12 have 0 for the norm; one past float32's range is an infinity."""
    with numpy.errstate(all="ignore"):
        squares = (vectors.astype("f8") ** 2).sum(axis=1)
        near = numpy.abs(squares - norms) <= NORM_TOLERANCE * squares
    return (norms == 0) | numpy.where(numpy.isinf(norms), squares > 1e38, near)
