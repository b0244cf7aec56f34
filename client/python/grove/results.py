"""What searches and reads give back: numpy arrays, rectangular, with what is needed to see how complete they are."""
from __future__ import annotations

import struct
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy

from . import protocol
from .protocol import Reply

NO_ID = numpy.uint64(2**64 - 1)  # fills the places after a query's last hit


class SearchResult:
    """The nearest items of each query. `ids, distances = result` works.

    ids: uint64 [nq x width], nearest first, equal distances by ascending id; width is the largest number of hits that a query has.
    distances: float32, the same shape; smaller is nearer, except for `dot`.
    counts: int64 [nq], the hits of each query. Places after them hold the id 2^64-1 and an infinite distance (for `dot`: minus infinity).
    payloads: for each query a list of a dict or None for each hit; None if they were not asked for.
    predicted: the recall, 0 to 1, that the cluster expects of the effort it chose; None if it knows nothing (`forest`, or search_k given).
    coverage: records [nq] with shards, answered, failed, late, items, searched and candidates (proto/CLIENT.md, "Coverage").
    """

    def __init__(self, ids: numpy.ndarray, distances: numpy.ndarray, counts: numpy.ndarray, coverage: numpy.ndarray,
                 payloads: Optional[List[List[Optional[Dict[str, Any]]]]] = None, predicted: Optional[float] = None) -> None:
        self.ids, self.distances, self.counts, self.coverage = ids, distances, counts, coverage
        self.payloads, self.predicted = payloads, predicted

    def __iter__(self) -> Iterator[numpy.ndarray]:
        return iter((self.ids, self.distances))

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def complete(self) -> bool:
        """Did every shard answer every query?"""
        return bool((self.coverage["answered"] == self.coverage["shards"]).all())

    def __repr__(self) -> str:
        return f"<SearchResult: {len(self)} queries, {int(self.counts.sum())} hits, {'complete' if self.complete else 'incomplete'}>"


class Items(NamedTuple):
    """Items that were read. ids: uint64 [n]; vectors: float32 [n x dim], or uint8 zeros and ones for `hamming`; found: bool [n] (the
    vector of one that was not found is zeros); payloads and keys: n dicts or None, n bytes or None."""

    ids: numpy.ndarray
    vectors: numpy.ndarray
    found: numpy.ndarray
    payloads: List[Optional[Dict[str, Any]]]
    keys: List[Optional[bytes]]


class Item(NamedTuple):
    """One item: its id, vector [dim] (None if it was not asked for), payload (a dict or None) and key (bytes or None)."""

    id: int
    vector: Optional[numpy.ndarray]
    payload: Optional[Dict[str, Any]]
    key: Optional[bytes]


class Hits(NamedTuple):
    """One reply to a search, as it came: counts [nq], ids and distances end to end, coverage [nq], payloads end to end or None,
    and the recall that is expected, if known."""

    counts: numpy.ndarray
    ids: numpy.ndarray
    distances: numpy.ndarray
    coverage: numpy.ndarray
    payloads: Optional[List[bytes]]
    predicted: Optional[float] = None


class Nearest(NamedTuple):
    """The hits of one query, as they came: of what is asked for, lists are made."""

    hits: int
    id_bytes: bytes
    distance_bytes: bytes
    coverage_bytes: bytes

    @property
    def ids(self) -> List[int]:
        return list(struct.unpack(f"<{self.hits}Q", self.id_bytes))

    @property
    def distances(self) -> List[float]:
        return list(struct.unpack(f"<{self.hits}f", self.distance_bytes))

    @property
    def coverage(self) -> numpy.ndarray:
        """One record, as those of SearchResult."""
        return numpy.frombuffer(self.coverage_bytes, protocol.COVERAGE)


def nearest_of(reply: Reply) -> Nearest:
    """As hits_of() of one query, without numpy: its arrays cost more than ten hits."""
    frames = reply.frames
    if len(frames) < 4 or len(frames[0]) != 4 or reply.header.get("nq") != 1:
        raise protocol.contradiction("search")
    count = int.from_bytes(frames[0], "little")
    if len(frames[1]) != 8 * count or len(frames[2]) != 4 * count or len(frames[3]) != protocol.COVERAGE.itemsize:
        raise protocol.contradiction("search")
    return Nearest(count, frames[1], frames[2], frames[3])


def hits_of(reply: Reply) -> Hits:
    """The hits of a search's reply; an error if its frames contradict one another."""
    try:
        counts, ids = numpy.frombuffer(reply.frames[0], "<u4"), numpy.frombuffer(reply.frames[1], "<u8")
        distances, coverage = numpy.frombuffer(reply.frames[2], "<f4"), numpy.frombuffer(reply.frames[3], protocol.COVERAGE)
    except (IndexError, ValueError):  # too few frames, or parts of records
        raise protocol.contradiction("search") from None
    total = int(counts.sum())
    if not len(ids) == len(distances) == total or not len(counts) == len(coverage) == reply.header.get("nq"):
        raise protocol.contradiction("search")
    payloads = protocol.unpack_strings(reply.frame(6), len(ids)) if reply.header.get("payloads") else None
    return Hits(counts, ids, distances, coverage, payloads, reply.header.get("predicted"))


def full_result(reply: Optional[Reply], nq: int, k: int) -> Optional[SearchResult]:
    """The result of a reply that has k hits for each of its queries, and no payloads: the usual one, for which nothing is computed. None of
    any other."""
    if reply is None or len(reply.frames) < 4 or reply.header.get("nq") != nq or reply.header.get("payloads"):
        return None
    counts, ids, distances, coverage = reply.frames[:4]
    if counts != k.to_bytes(4, "little") * nq or len(ids) != 8 * k * nq or len(distances) != 4 * k * nq \
            or len(coverage) != nq * protocol.COVERAGE.itemsize:
        return None
    # Of bytearrays, for people write into them.
    all_ids, all_distances = numpy.frombuffer(bytearray(ids), "<u8"), numpy.frombuffer(bytearray(distances), "<f4")
    records = numpy.frombuffer(bytearray(coverage), protocol.COVERAGE)
    return SearchResult(all_ids.reshape(nq, k), all_distances.reshape(nq, k), numpy.full(nq, k), records, None,
                        reply.header.get("predicted"))


def result_of(parts: Sequence[Hits], farthest: float) -> SearchResult:
    """The parts of a search, in order, as one rectangle; `farthest` fills the places of hits that are not there."""
    if not parts:
        nothing = numpy.zeros((0, 0))
        return SearchResult(nothing.astype(numpy.uint64), nothing.astype(numpy.float32), numpy.zeros(0, int),
                            numpy.zeros(0, protocol.COVERAGE))
    counts, ids, distances, coverage = parts[0][:4]
    if len(parts) > 1:
        counts, ids, distances, coverage = (numpy.concatenate([part[i] for part in parts]) for i in range(4))
    else:
        ids, distances, coverage = ids.copy(), distances.copy(), coverage.copy()  # people write into them
    counts = counts.astype(numpy.int64)
    payloads = None
    if all(part.payloads is not None for part in parts):
        payloads = _split([protocol.unpack_payload(p) for part in parts for p in part.payloads or ()], counts)
    ids, distances = _rectangle(ids, distances, counts, farthest)
    return SearchResult(ids, distances, counts, coverage, payloads, _predicted(parts))


def _predicted(parts: Sequence[Hits]) -> Optional[float]:
    """That of all queries together."""
    if len(parts) == 1:
        return parts[0].predicted
    known = [(part.predicted, len(part.counts)) for part in parts if part.predicted is not None]
    queries = sum(n for _, n in known)
    return sum(recall * n for recall, n in known) / queries if queries and len(known) == len(parts) else None


def _rectangle(ids: numpy.ndarray, distances: numpy.ndarray, counts: numpy.ndarray, farthest: float) -> Tuple[numpy.ndarray, numpy.ndarray]:
    width = int(counts.max(initial=0))
    if len(ids) == width * len(counts):  # as long, all of them
        return ids.reshape(len(counts), width), distances.reshape(len(counts), width)
    there = numpy.arange(width) < counts[:, None]
    all_ids = numpy.full(there.shape, NO_ID)
    all_distances = numpy.full(there.shape, farthest, numpy.float32)
    all_ids[there], all_distances[there] = ids, distances
    return all_ids, all_distances


def _split(values: List[Any], counts: numpy.ndarray) -> List[List[Any]]:
    ends = numpy.cumsum(counts).tolist()
    return [values[end - count:end] for end, count in zip(ends, counts.tolist())]
