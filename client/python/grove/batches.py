"""Long work in batches: cut so that every message respects the limits, and several under way at once, so that the cluster works while
Python packs and unpacks.

A batch that is refused as busy is sent again after a pause, until its time is over; that is safe, for a refused request did nothing.
"""
from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Deque, Iterable, Iterator, Optional, Tuple, TypeVar

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
