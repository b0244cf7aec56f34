"""Long work in batches: cut so that every message respects the limits, and several under way at once, so that the cluster works while
Python packs and unpacks.

A batch that is refused as busy is sent again after a pause, until its time is over; that is safe, for a refused request did nothing.
"""
from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, Optional, Tuple, TypeVar

from .client import Client, Pending
from .errors import Busy, GroveError
from .protocol import Reply

WINDOW = 4  # batches under way
BUSY_PAUSE_SECONDS = 0.02
BATCH_BYTES = 2 << 20  # about what one batch holds: small enough to overlap, large enough that its overhead is nothing

Batch = TypeVar("Batch")


def ranges(total: int, step: int) -> Iterator[slice]:
    """0..total in steps."""
    return (slice(start, min(start + step, total)) for start in range(0, total, step))


class Pace:
    """How much goes into one request of a long search. Each has its own deadline and WINDOW are under way, so it grows while they are
    quick and shrinks when they take a good part of their time; not below LEAST, for some of a request costs the same for one as for
    many."""

    LEAST = 16
    QUICK_SECONDS, SLOW_SHARE = 0.25, 0.25

    def __init__(self, first: int, most: int, timeout: float) -> None:
        self.step, self.most, self.slow = min(first, most), most, timeout * self.SLOW_SHARE
        self.begun: Dict[int, float] = {}

    def parts(self, total: int) -> Iterator[slice]:
        start = 0
        while start < total:
            part = slice(start, min(start + self.step, total))
            yield part
            start = part.stop

    def begins(self, part: slice) -> None:
        self.begun[part.start] = time.monotonic()

    def ended(self, part: slice) -> None:
        seconds = time.monotonic() - self.begun.pop(part.start)
        if seconds < self.QUICK_SECONDS:
            self.step = min(self.most, 2 * self.step)
        elif seconds > self.slow:
            self.step = max(min(self.LEAST, self.most), self.step // 2)


def run(client: Client, batches: Iterable[Batch], begin: Callable[[Batch], Pending]
        ) -> Iterator[Tuple[Batch, Optional[Reply], Optional[GroveError]]]:
    """begin() each batch, WINDOW of them at a time; yields each, in order, with its reply or its error. A caller that stops early (after an
    error) gives up those that are under way."""
    source = iter(batches)
    waiting: Deque[Tuple[Batch, Any]] = deque()
    try:
        while True:
            while len(waiting) < WINDOW:
                batch = next(source, None)
                if batch is None:
                    break
                waiting.append((batch, _begin(begin, batch)))
            if not waiting:
                return
            batch, started = waiting.popleft()
            if isinstance(started, GroveError):
                yield batch, None, started
                continue
            yield (batch, *_finish(client, begin, batch, started))
    finally:
        for _, started in waiting:
            if isinstance(started, Pending):
                started.channel.forget(started.id)


def paced(client: Client, total: int, pace: Pace, begin: Callable[[slice], Pending]
          ) -> Iterator[Tuple[slice, Optional[Reply], Optional[GroveError]]]:
    """run() of 0..total in parts that the pace decides."""
    def timed(part: slice) -> Pending:
        pace.begins(part)
        return begin(part)
    for outcome in run(client, pace.parts(total), timed):
        pace.ended(outcome[0])
        yield outcome


def one(client: Client, batch: Batch, begin: Callable[[Batch], Pending]) -> Tuple[Batch, Optional[Reply], Optional[GroveError]]:
    """run() of a single batch."""
    started = _begin(begin, batch)
    return (batch, None, started) if isinstance(started, GroveError) else (batch, *_finish(client, begin, batch, started))


def _begin(begin: Callable[[Batch], Pending], batch: Batch) -> Any:
    try:
        return begin(batch)
    except GroveError as e:  # it is this batch's outcome: those before it still count
        return e


def _finish(client: Client, begin: Callable[[Batch], Pending], batch: Batch, pending: Pending
            ) -> Tuple[Optional[Reply], Optional[GroveError]]:
    patience = time.monotonic() + pending.timeout
    while True:
        try:
            return client.finish(pending), None
        except Busy as e:
            if getattr(e, "reply").frames or time.monotonic() > patience:
                return None, e
        except GroveError as e:
            return None, e
        time.sleep(BUSY_PAUSE_SECONDS)
        started = _begin(begin, batch)
        if isinstance(started, GroveError):
            return None, started
        pending = started
