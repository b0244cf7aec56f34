"""A bar on stderr while long work goes on, or a function of the caller's."""
from __future__ import annotations

import sys
import time
from typing import Callable, Union

Progress = Union[bool, Callable[[int, int], None]]  # False: nothing; True: the bar; or called with (done, total)
WIDTH = 30
PAUSE_SECONDS = 0.1


def reporter(progress: Progress, label: str) -> Callable[[int, int], None]:
    """A function of (done, total) that shows it."""
    if progress is False or progress is None:
        return lambda done, total: None
    return progress if callable(progress) else _bar(label)


def _bar(label: str) -> Callable[[int, int], None]:
    last = 0.0

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < PAUSE_SECONDS:
            return
        last = now
        filled = WIDTH * done // max(total, 1)
        end = "\n" if done >= total else ""
        print(f"\r{label} [{'#' * filled}{'.' * (WIDTH - filled)}] {done:,}/{total:,}", end=end, file=sys.stderr, flush=True)
    return show
