"""One DEALER socket to a coordinator, used by one thread at a time.

Several requests may be under way; replies are matched by id, and what nobody waits for any more is dropped. The socket belongs to the
process that made it: after a fork the child makes its own (`usable` is false there) and leaves this one alone.

A message goes out only on an established connection (ZMQ_IMMEDIATE), so that "nobody listens there" is known after
CONNECT_SECONDS, and certainly nothing was sent. A connection that breaks later is mended by ZeroMQ; what was under way is then a timeout.
"""
from __future__ import annotations

import os
import time
from typing import Any, Dict, List, Optional, Sequence, Set

import zmq

from .errors import Unavailable
from .protocol import Reply, unpack_message

CONNECT_SECONDS = 5.0
WAIT_STEP_MS = 100  # the wait for a reply is rounded up to these, so that the socket's option need not be set for every request
MORE = int(zmq.SNDMORE)  # plain numbers: pyzmq's enumerations cost more than a send
DONTWAIT = int(zmq.DONTWAIT)
RCVMORE = int(zmq.RCVMORE)

_context: Optional[zmq.Context] = None
_context_pid = 0
_inherited: List[Any] = []  # a forked child keeps what belongs to its parent, untouched: letting go of it would close it


def leave_alone(inherited: Any) -> None:
    """Keep a parent's context or channel from being closed in this process."""
    _inherited.append(inherited)


def context() -> zmq.Context:
    """This process's ZeroMQ context. One of our own: a program that ends the global one must not end ours."""
    global _context, _context_pid
    if _context is None or _context_pid != os.getpid():
        leave_alone(_context)
        _context, _context_pid = zmq.Context(), os.getpid()
    return _context


class Channel:
    """A connection. Not thread-safe: its user holds it alone, or holds a lock."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.pid = os.getpid()
        self.waiting: Set[int] = set()
        self.arrived: Dict[int, Reply] = {}
        self.send_ms = self.receive_ms = -1  # how long the socket waits
        self.socket = context().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as e:
            self.socket.close()
            raise Unavailable(f"{endpoint!r} is no endpoint ({e}): give tcp://HOST:PORT or ipc://PATH") from None

    @property
    def usable(self) -> bool:
        return self.pid == os.getpid() and not self.socket.closed

    def send(self, request_id: int, header: bytes, frames: Sequence[Any], seconds: float) -> None:
        """Send one message; Unavailable if there is no connection within the time (at most CONNECT_SECONDS)."""
        patience = max(1, int(1000 * min(seconds, CONNECT_SECONDS)))
        if patience != self.send_ms:
            self.socket.setsockopt(zmq.SNDTIMEO, patience)
            self.send_ms = patience
        try:
            send, part = self.socket.send, header
            for frame in frames:
                send(part, MORE)
                part = frame
            send(part)
        except zmq.Again:
            raise Unavailable(f"no coordinator answers at {self.endpoint}: start one (`grove up`), or name the right one in "
                              "GROVE_ENDPOINT") from None
        except BaseException:
            self.close()  # a message of which only a part was sent would swallow the next one
            raise
        self.waiting.add(request_id)

    def receive(self, request_id: int, deadline: float) -> Optional[Reply]:
        """The reply to that request, or None when time.monotonic() passes the deadline; then the request is given up."""
        while request_id not in self.arrived:
            left = deadline - time.monotonic()
            patience = (1 + int(1000 * left) // WAIT_STEP_MS) * WAIT_STEP_MS
            if left > 0 and patience != self.receive_ms:
                self.socket.setsockopt(zmq.RCVTIMEO, patience)
                self.receive_ms = patience
            try:
                message = self._message(0 if left > 0 else DONTWAIT)
            except zmq.Again:
                self.waiting.discard(request_id)
                return None
            except BaseException:
                self.waiting.discard(request_id)
                raise
            reply = unpack_message(message)
            if reply is not None and reply.header.get("id") in self.waiting:
                self.arrived[reply.header["id"]] = reply
        self.waiting.discard(request_id)
        return self.arrived.pop(request_id)

    def _message(self, flags: int) -> List[bytes]:
        """The next message, whole."""
        receive, option = self.socket.recv, self.socket.getsockopt
        frames = [receive(flags)]  # copied: pyzmq's frames that are not cost more than a copy of what a reply holds
        while option(RCVMORE):
            frames.append(receive())
        return frames

    def forget(self, request_id: int) -> None:
        """Give a request up; its reply is dropped when it comes."""
        self.waiting.discard(request_id)
        self.arrived.pop(request_id, None)

    def close(self) -> None:
        self.socket.close()

    def __del__(self) -> None:
        if getattr(self, "socket", None) is not None and self.usable:
            self.socket.close()
