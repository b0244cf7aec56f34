"""The client protocol against a live cluster: requests, replies, errors; and the operations on whole indexes.

A Client may be shared by any number of threads: each gets a socket of its own at its first request. It may be carried over a fork (the
child makes sockets of its own) and pickled (an endpoint and a timeout are all it is).

A failed request raises an exception of grove.errors, with `.code` and a sentence. When no answer comes within the timeout plus half a
second, a search or a listing is a Timeout, and a change is OutcomeUnknown: it may be done, now or later.
"""
from __future__ import annotations

import itertools
import os
import random
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from . import protocol
from .channel import Channel, leave_alone
from .errors import LimitExceeded, OutcomeUnknown, Timeout, error_of
from .protocol import Reply

DEFAULT_ENDPOINT = "tcp://127.0.0.1:7600"
REPLY_GRACE_SECONDS = 0.5  # how long the reply to a request whose time is over is still waited for


def default_endpoint() -> str:
    """Where the coordinator is when nobody says: GROVE_ENDPOINT, else tcp://127.0.0.1:7600."""
    return os.environ.get("GROVE_ENDPOINT") or DEFAULT_ENDPOINT


class Pending(NamedTuple):
    """A request under way."""

    channel: Channel
    id: int
    op: str
    timeout: float
    deadline: float


class Client:
    """A connection to a cluster.

    endpoint: `tcp://HOST:PORT` or `ipc://PATH` of a coordinator; None: GROVE_ENDPOINT, else tcp://127.0.0.1:7600.
    timeout: seconds for each request, 0.001 to 600, unless a call says otherwise.
    """

    def __init__(self, endpoint: Optional[str] = None, timeout: float = 10.0) -> None:
        self.endpoint = endpoint or default_endpoint()
        self.timeout = timeout
        self._ids = itertools.count(1)  # next() is atomic
        self._local = threading.local()
        self._identity = (0, 0)

    def __repr__(self) -> str:
        return f"Client({self.endpoint!r}, timeout={self.timeout})"

    def __getstate__(self) -> Dict[str, Any]:
        return {"endpoint": self.endpoint, "timeout": self.timeout}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__init__(state["endpoint"], state["timeout"])  # type: ignore[misc]

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the calling thread's socket. Those of other threads close when their thread ends. The client stays usable."""
        channel = getattr(self._local, "channel", None)
        if channel is not None and channel.usable:
            channel.close()
        self._local.channel = None

    # ---- requests ----

    def channel(self) -> Channel:
        """The calling thread's own connection, made when it is first needed and made anew in a forked child."""
        channel = getattr(self._local, "channel", None)
        if channel is None or not channel.usable:
            if channel is not None and channel.pid != os.getpid():
                leave_alone(channel)
            channel = self._local.channel = Channel(self.endpoint)
        return channel

    @property
    def identity(self) -> int:
        """The random number that is stored with this process's writes."""
        pid, identity = self._identity
        if pid != os.getpid():
            identity = random.SystemRandom().getrandbits(63) | 1
            self._identity = (os.getpid(), identity)
        return identity

    def begin(self, op: str, frames: Sequence[Any] = (), timeout: Optional[float] = None, channel: Optional[Channel] = None,
              **fields: Any) -> Pending:
        """Send a request and return at once. At most 64 may be under way on a connection. Fields that are None are left out."""
        seconds = self.timeout if timeout is None else timeout
        return self.begin_head(self.head(op, seconds, **fields), op, frames, seconds, channel)

    def head(self, op: str, seconds: float, **fields: Any) -> bytes:
        """A request for begin_head(), which may send it many times, from the process that made it."""
        milliseconds = int(seconds * 1000)
        if not 1 <= milliseconds <= protocol.TIMEOUT_MAX_MS:
            raise LimitExceeded(f"a timeout of {seconds} s: 0.001 to {protocol.TIMEOUT_MAX_MS // 1000} s are allowed")
        request: Dict[str, Any] = {"v": protocol.VERSION, "op": op, "timeout_ms": milliseconds, "client": self.identity}
        for name, value in fields.items():
            if value is not None:
                request[name] = value
        return protocol.pack_head(request)

    def begin_head(self, head: bytes, op: str, frames: Sequence[Any], seconds: float, channel: Optional[Channel] = None) -> Pending:
        """begin() with a header that head() made."""
        channel = channel or self.channel()
        number = next(self._ids)
        channel.send(number, protocol.header(head, number), frames, seconds)
        return Pending(channel, number, op, seconds, time.monotonic() + seconds + REPLY_GRACE_SECONDS)

    def finish(self, pending: Pending) -> Reply:
        """Wait for the reply to a request of this thread. The exception of an error reply has the Reply as `.reply`."""
        reply = pending.channel.receive(pending.id, pending.deadline)
        if reply is None:
            late = f"no answer from {pending.channel.endpoint} to '{pending.op}' within {pending.timeout:g} s"
            if pending.op in protocol.CHANGES:
                raise OutcomeUnknown(f"{late}: it may be done, now or later; it is safe to repeat an upsert or a delete")
            raise Timeout(f"{late}: allow more time (timeout=), or see `grove status`")
        if not reply.header["ok"]:
            error = error_of(str(reply.header.get("error", "failed")), str(reply.header.get("message", "the request failed")))
            error.reply = reply  # type: ignore[attr-defined]
            raise error
        return reply

    def call(self, op: str, frames: Sequence[Any] = (), timeout: Optional[float] = None, **fields: Any) -> Reply:
        """One request and its reply."""
        return self.finish(self.begin(op, frames, timeout, **fields))

    # ---- the cluster ----

    def hello(self) -> str:
        """Name and version of the program that answers. `unsupported` (a GroveError) if it does not speak version 1."""
        return str(self.call("hello", version_min=protocol.VERSION, version_max=protocol.VERSION).header["server"])

    def status(self) -> Dict[str, List[Dict[str, Any]]]:
        """All workers, indexes and shards: lists of dicts, as in the tables of proto/CLIENT.md."""
        return _tables(self.call("status"))

    def indexes(self) -> List[Dict[str, Any]]:
        """All indexes: name, metric, dim, shards, trees, seed, items, ..."""
        return _tables(self.call("list"))["indexes"]

    def describe(self, index: str) -> Dict[str, Any]:
        """One index, with its shards as `shard_rows`. NotFound if there is none of that name."""
        tables = _tables(self.call("describe", index=index))
        return dict(tables["indexes"][0], shard_rows=tables["shards"])

    def create(self, index: str, dim: int, metric: str, *, shards: int = 0, replicas: int = 1, trees: int = 0, seed: int = 0,
               timeout: Optional[float] = None) -> Dict[str, Any]:
        """Make an index of vectors with `dim` elements; its row. shards 0: as many as there are live workers. trees 0: 10.
        Exists if there is one of that name, Unavailable while there are no workers."""
        reply = self.call("create", timeout=timeout, index=index, dim=dim, metric=metric, shards=shards, replicas=replicas, trees=trees,
                          seed=seed)
        return _tables(reply)["indexes"][0]

    def drop(self, index: str, timeout: Optional[float] = None) -> None:
        """Remove an index and all it holds. NotFound if there is none of that name."""
        self.call("drop", timeout=timeout, index=index)


def _tables(reply: Reply) -> Dict[str, List[Dict[str, Any]]]:
    return {"workers": reply.rows(1, protocol.WORKER_ROW), "indexes": reply.rows(2, protocol.INDEX_ROW),
            "shards": reply.rows(3, protocol.SHARD_ROW)}
