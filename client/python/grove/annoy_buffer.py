"""Items that were added one by one, on their way to the cluster in batches.

put() copies a vector into the batch at hand; a full batch is sent, and up to WINDOW are under way, so that a loop of add_item()
overlaps with the cluster's work. settle() waits until everything is stored. What could not be stored stays here in order, and the
next call tries again: an error is never silent, and a later value of an item never gives way to an earlier one.

Not thread-safe: its AnnoyIndex holds a lock. It has a socket of its own, for the thread that adds may not be the one that
settles.
"""
from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Deque, List, Optional

import numpy

from .annoy_values import fill_row
from .batches import BATCH_BYTES, BUSY_PAUSE_SECONDS, WINDOW
from .channel import Channel, leave_alone
from .client import Pending
from .errors import Busy
from .index import Index
from .vectors import BITS_ABOVE

ROWS_MAX = 16384


class Batch:
    """One upsert; `pending` while it is under way."""

    def __init__(self, n: int, dtype: str, frames: List[bytes]) -> None:
        self.n, self.dtype, self.frames = n, dtype, frames
        self.pending: Optional[Pending] = None


class AddBuffer:
    """f: elements of a vector. index: makes or finds the index, when the first batch goes out."""

    def __init__(self, f: int, metric: str, index: Callable[[], Index]) -> None:
        self.hamming = metric == "hamming"
        self.f = f
        self.index = index
        self.rows_max = max(1, min(ROWS_MAX, BATCH_BYTES // max(1, 4 * f)))
        self.rows: Optional[numpy.ndarray] = None
        self.ids = numpy.zeros(0, "<u8")
        self.n = 0
        self.batches: Deque[Batch] = deque()
        self.channel: Optional[Channel] = None

    @property
    def empty(self) -> bool:
        return self.n == 0 and not self.batches

    def put(self, i: int, vector: Any) -> None:
        """Add an item; on an error nothing has changed."""
        if self.rows is None:
            self.rows, self.ids = numpy.empty((self.rows_max, self.f), "<f4"), numpy.empty(self.rows_max, "<u8")
        n = self.n
        fill_row(self.rows[n], vector)
        self.ids[n] = i
        self.n = n + 1
        if self.n == self.rows_max:
            self._seal()
            self._send()

    def settle(self) -> None:
        """Wait until all is stored."""
        self._seal()
        while self.batches:
            self._send()
            self._finish_first()
        self.rows = None

    def _seal(self) -> None:
        if self.n:
            rows = self.rows[:self.n]  # type: ignore[index]
            packed = numpy.packbits(rows > BITS_ABOVE, axis=1, bitorder="little") if self.hamming else rows
            self.batches.append(Batch(self.n, "bits" if self.hamming else "f32", [self.ids[:self.n].tobytes(), packed.tobytes()]))
            self.n = 0

    def _send(self) -> None:
        """Have the first WINDOW batches under way; a further one waits until the first is done."""
        index = self.index()
        if self.channel is None or not self.channel.usable:
            if self.channel is not None:
                leave_alone(self.channel)
                self._take_back()
            self.channel = Channel(index.client.endpoint)
        while True:
            for batch in list(self.batches)[:WINDOW]:
                if batch.pending is None:
                    batch.pending = index.client.begin("upsert", batch.frames, index.timeout, self.channel, index=index.name, n=batch.n,
                                                       dim=index.dim, dtype=batch.dtype)
            if len(self.batches) <= WINDOW:
                return
            self._finish_first()

    def _finish_first(self) -> None:
        patience: Optional[float] = None
        while True:
            index = self.index()
            pending = self.batches[0].pending
            if pending is None:
                self._send()
                continue
            patience = patience or time.monotonic() + pending.timeout
            try:
                index.client.finish(pending)
                self.batches.popleft()
                return
            except Busy:
                self._take_back()
                if time.monotonic() > patience:
                    raise
                time.sleep(BUSY_PAUSE_SECONDS)
            except BaseException:  # an interrupt too: what was under way is sent again
                self._take_back()
                raise

    def _take_back(self) -> None:
        """Nothing is under way any more: all of it is to be sent again, in order, for what comes later must stand."""
        for batch in self.batches:
            if batch.pending is not None:
                batch.pending.channel.forget(batch.pending.id)
                batch.pending = None
