"""Upserts and deletes of any length, in batches, and which items failed.

After an error no further batch is sent; the batches under way are still waited for, so that each item's outcome is as certain as it can be.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Callable, List, Optional

import numpy

from . import batches, protocol
from .client import Pending
from .errors import GroveError, LimitExceeded, WriteFailed

if TYPE_CHECKING:
    from .index import Index

REJECTED, UNKNOWN = 1, 2
CERTAINLY_NOT_DONE = ("bad_request", "limit", "not_found", "busy", "unavailable", "disk_full", "unsupported")


@dataclass(frozen=True)
class Write:
    """All items of one call. ids or keys may be None; rows, dtype and payloads are for an upsert."""

    op: str
    ids: Optional[numpy.ndarray]
    keys: Optional[List[bytes]]
    rows: Optional[numpy.ndarray] = None
    dtype: Optional[str] = None
    payloads: Optional[List[bytes]] = None

    def __len__(self) -> int:
        return len(self.keys if self.ids is None else self.ids)  # type: ignore[arg-type]

    def last_of_each(self) -> "Write":
        """Of items that come twice the later one alone: batches that are sent again may overtake one another."""
        names = numpy.array(self.keys, object) if self.ids is None else self.ids
        _, from_the_end = numpy.unique(names[::-1], return_index=True)
        if len(from_the_end) == len(names):
            return self
        keep = numpy.sort(len(names) - 1 - from_the_end)
        lists = [None if strings is None else [strings[i] for i in keep] for strings in (self.keys, self.payloads)]
        return replace(self, ids=None if self.ids is None else self.ids[keep], keys=lists[0], payloads=lists[1],
                       rows=self.rows[keep])  # type: ignore[index]

    def frames(self, part: slice) -> List[Any]:
        keys = b"" if self.keys is None else protocol.pack_strings(self.keys[part])
        frames: List[Any] = [b"" if self.ids is None else self.ids[part].tobytes()]
        if self.op == "upsert":
            payloads = b"" if self.payloads is None else protocol.pack_strings(self.payloads[part])
            frames += [self.rows[part].data, payloads]  # type: ignore[index]
        return frames + [keys]

    def names(self, part: slice) -> List[Any]:
        return self.keys[part] if self.ids is None else self.ids[part].tolist()  # type: ignore[index]


def write_all(index: "Index", write: Write, step: int, show: Callable[[int, int], None]) -> None:
    """Write everything, or raise an error with `.ids` and `.results`."""
    def begin(part: slice) -> Pending:
        fields = {} if write.rows is None else {"dim": index.dim, "dtype": write.dtype, "payloads": write.payloads is not None}
        return index.client.begin(write.op, write.frames(part), index.timeout, index=index.name, n=part.stop - part.start,
                                  keys=write.keys is not None, **fields)

    failed_ids: List[Any] = []
    failed_results: List[int] = []
    worst: Optional[GroveError] = None
    sent = 0

    def parts() -> Any:
        nonlocal sent
        for whole in batches.ranges(len(write), step):
            for part in fitting(write, whole):
                if worst is not None:
                    return
                sent = part.stop
                yield part

    for part, reply, error in batches.run(index.client, parts(), begin):
        if error is not None:
            worst = worst or error
            results = _results(error, part.stop - part.start)
            failed = numpy.flatnonzero(results)
            failed_results += results[failed].tolist()
            names = write.names(part)
            failed_ids += [names[i] for i in failed]
        show(part.stop, len(write))
    if worst is not None:
        failed_ids += write.names(slice(sent, len(write)))
        failed_results += [REJECTED] * (len(write) - sent)
        raise _described(worst, failed_ids, failed_results)


def fitting(write: Write, part: slice) -> List[slice]:
    """The part, cut until its frames are within the limit; an item too large by itself is left for the cluster to refuse."""
    size = sum(len(strings[i]) + 4 for strings in (write.payloads, write.keys) if strings is not None for i in range(part.start, part.stop))
    n = part.stop - part.start
    size += 8 * n + (0 if write.rows is None else n * write.rows.shape[1] * write.rows.itemsize)
    if size <= protocol.FRAME_MAX or n == 1:
        return [part]
    middle = part.start + n // 2
    return fitting(write, slice(part.start, middle)) + fitting(write, slice(middle, part.stop))


def _results(error: GroveError, n: int) -> numpy.ndarray:
    reply = getattr(error, "reply", None)
    if reply is not None and len(reply.frame(1)) == n:
        return reply.array(1, "u1")
    return numpy.full(n, REJECTED if error.code in CERTAINLY_NOT_DONE else UNKNOWN, numpy.uint8)


def _described(error: GroveError, ids: List[Any], results: List[int]) -> GroveError:
    """Its own class when the request as a whole was refused, WriteFailed when some of its items were."""
    reply = getattr(error, "reply", None)
    if reply is not None and reply.frame(1):
        error = WriteFailed(f"{error.message} ({len(ids)} items are not known to be stored: see .ids and .results)", error.code)
    elif isinstance(error, LimitExceeded):
        error = LimitExceeded(error.message)
    error.ids, error.results = ids, results  # type: ignore[attr-defined]
    return error
