"""What can go wrong, as exceptions: one class for each error code of proto/CLIENT.md that a program may want to tell apart.

Every one is a GroveError with `.code` (the wire name) and `.message` (one sentence that says what to do); a code that this version
does not know is a plain GroveError. Where Python has a class for the same thing, ours is also that one, so that
`except TimeoutError` or `except ValueError` does what people expect.
"""
from __future__ import annotations

from typing import Any, Dict, Optional, Type


class GroveError(Exception):
    """A request that failed. `.code`: the wire name of the error. `.message`: one sentence, what is wrong and what to do."""

    code = "failed"

    def __init__(self, message: str, code: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code

    def __reduce__(self) -> Any:
        return type(self), (self.message, self.code), {k: v for k, v in self.__dict__.items() if k not in ("message", "code")}


class BadRequest(GroveError, ValueError):
    """The request is malformed: an argument has the wrong shape or value."""

    code = "bad_request"


class LimitExceeded(GroveError, ValueError):
    """A limit of proto/CLIENT.md is exceeded; the message names it."""

    code = "limit"


class NotFound(GroveError, LookupError):
    """No such index or item."""

    code = "not_found"


class Exists(GroveError):
    """An index of that name exists already."""

    code = "exists"


class Busy(GroveError):
    """Too much work is queued: try again a little later."""

    code = "busy"


class Timeout(GroveError, TimeoutError):
    """The deadline passed before there was an answer. Nothing is known to have been done."""

    code = "timeout"


class Unavailable(GroveError, ConnectionError):
    """Nobody can serve this now: no coordinator answers, or no worker is there."""

    code = "unavailable"


class Incomplete(GroveError):
    """Not every shard answered. `.result` holds the hits that did come (a SearchResult), which are right but partial."""

    code = "incomplete"
    result: Any = None


class WriteFailed(GroveError):
    """Some items of a write were not stored. `.ids`: their ids; `.results`: for each 1 (certainly not applied) or 2 (unknown: it may
    be applied, now or later; it is safe to write it again). `.code` is the worst item's."""

    ids: Any = None
    results: Any = None


class OutcomeUnknown(GroveError):
    """A change was sent, and no answer came: it may be done, now or later. It is safe to repeat an upsert or a delete."""

    code = "unknown"


CLASSES: Dict[str, Type[GroveError]] = {
    c.code: c for c in (BadRequest, LimitExceeded, NotFound, Exists, Busy, Timeout, Unavailable, Incomplete, OutcomeUnknown)
}


def error_of(code: str, message: str) -> GroveError:
    """The exception for an error reply."""
    return CLASSES.get(code, GroveError)(message, code)
