"""The bytes of proto/CLIENT.md, version 1: limits, records, headers and the frames that recur. Nothing here knows of sockets."""
from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import msgpack
import numpy

from .errors import BadRequest, GroveError, LimitExceeded

VERSION = 1
DIM_MAX = 65536
QUERY_HITS_MAX = 1 << 20
SEARCH_K_MAX = (1 << 31) - 1
TREES_MAX = 10000
BATCH_QUERIES_MAX = 4096
BATCH_ITEMS_MAX = 65536
FRAME_MAX = 16 << 20  # of all bulk frames of a message together
PAYLOAD_MAX = 65536
KEY_MAX = 255
TIMEOUT_MAX_MS = 600_000
IN_FLIGHT_MAX = 64

METRICS = ("angular", "euclidean", "manhattan", "hamming", "dot")
CHANGES = ("create", "drop", "upsert", "delete", "build")  # operations whose outcome is unknown when no answer comes

CURSOR_BYTES = 24
COVERAGE = numpy.dtype([("shards", "<u4"), ("answered", "<u4"), ("failed", "<u4"), ("late", "<u4"), ("items", "<u8"),
                        ("searched", "<u8"), ("candidates", "<u8")])
MISSING = numpy.dtype([("shard", "<u4"), ("status", "<i4"), ("items", "<u8"), ("zero", "<u8")])
TOKEN = numpy.dtype([("shard", "<u4"), ("zero", "<u4"), ("epoch", "<u8"), ("sequence", "<u8")])

INDEX_ROW = ("id", "name", "metric", "dim", "shards", "replicas", "trees", "seed", "items", "shards_serving", "shards_building",
             "progress_permille", "complete")
WORKER_ROW = ("id", "state", "pid", "endpoint", "items", "memory_bytes", "age_ms", "shards", "threads")
SHARD_ROW = ("worker", "shard", "index_id", "number", "state", "status", "epoch", "sequence", "items", "memory_bytes", "disk_bytes",
             "segments", "progress_permille", "trees")


class Reply(NamedTuple):
    """A reply: the header as a dict, and the bulk frames. frame(1) is the first; one that was left out is empty."""

    header: Dict[str, Any]
    frames: List[bytes]

    def frame(self, number: int) -> bytes:
        return self.frames[number - 1] if number <= len(self.frames) else b""

    def array(self, number: int, dtype: Any) -> numpy.ndarray:
        """A bulk frame as an array of records (read-only)."""
        frame = self.frame(number)
        if len(frame) % numpy.dtype(dtype).itemsize:
            raise contradiction(str(self.header.get("op")))
        return numpy.frombuffer(frame, dtype)

    def rows(self, number: int, names: Sequence[str]) -> List[Dict[str, Any]]:
        """A frame of rows as dicts. Values that a later version adds at the end are left out."""
        frame = self.frame(number)
        try:
            return [dict(zip(names, row)) for row in msgpack.unpackb(frame)] if frame else []
        except (ValueError, TypeError, msgpack.UnpackException):
            raise contradiction(str(self.header.get("op"))) from None


def contradiction(op: str) -> GroveError:
    """The error for a reply whose frames are not what its header says."""
    return GroveError(f"the reply to '{op}' contradicts itself: is this endpoint a Grove coordinator of this version?")


def pack_head(request: Dict[str, Any]) -> bytes:
    """A request's header but for its id, which header() gives it: the same request can be sent many times, packed once."""
    try:
        packed: bytes = msgpack.packb(dict(request, id=2**64 - 1), default=_plain)
    except (TypeError, ValueError, OverflowError) as e:
        raise BadRequest(f"{request['op']} has an argument that no request can have: {e}") from None
    return packed[:-8]


def header(head: bytes, number: int) -> bytes:
    return head + number.to_bytes(8, "big")  # a msgpack uint 64


def unpack_message(message: Sequence[bytes]) -> Optional[Reply]:
    """A reply, or None if these bytes are none."""
    try:
        header = msgpack.unpackb(message[0])
    except (ValueError, msgpack.UnpackException):
        return None
    return Reply(header, list(message[1:])) if isinstance(header, dict) and "ok" in header else None


def pack_strings(strings: Sequence[bytes]) -> bytes:
    """`n` lengths as u32, then the strings end to end."""
    return numpy.fromiter(map(len, strings), "<u4", len(strings)).tobytes() + b"".join(strings)


def unpack_strings(frame: bytes, n: int) -> List[bytes]:
    """The reverse; n empty strings from an empty frame."""
    if not frame:
        return [b""] * n
    lengths = numpy.frombuffer(frame[:4 * n], "<u4").tolist() if len(frame) >= 4 * n else []
    if len(lengths) != n or 4 * n + sum(lengths) != len(frame):
        raise contradiction("strings")
    strings, at = [], 4 * n
    for length in lengths:
        strings.append(frame[at:at + length])
        at += length
    return strings


def pack_payload(payload: Optional[Dict[str, Any]]) -> bytes:
    """A payload: a dict of what msgpack can hold, at most PAYLOAD_MAX bytes when packed; None for none."""
    if payload is None:
        return b""
    if not isinstance(payload, dict):
        raise BadRequest(f"a payload is a dict or None, not {type(payload).__name__}")
    try:
        packed: bytes = msgpack.packb(payload, default=_plain)
    except (TypeError, ValueError, OverflowError) as e:
        raise BadRequest(f"a payload holds what msgpack cannot: {e}") from None
    if len(packed) > PAYLOAD_MAX:
        raise LimitExceeded(f"a payload has {len(packed)} bytes: at most {PAYLOAD_MAX} are allowed")
    return packed


def _plain(value: Any) -> Any:
    """numpy's numbers and arrays as Python's."""
    if isinstance(value, (numpy.generic, numpy.ndarray)):
        return value.tolist()
    raise TypeError("an integer of more than 64 bits" if isinstance(value, int) else f"a {type(value).__name__}")


def unpack_payload(packed: bytes) -> Optional[Dict[str, Any]]:
    return msgpack.unpackb(packed, strict_map_key=False) if packed else None


def pack_key(key: Any) -> bytes:
    """A key: str (as UTF-8) or bytes, 1 to KEY_MAX bytes; None for none."""
    if not (key is None or isinstance(key, (str, bytes))):
        raise BadRequest(f"a key is a str or bytes, not {type(key).__name__}")
    packed = b"" if key is None else key.encode() if isinstance(key, str) else key
    if key is not None and not 1 <= len(packed) <= KEY_MAX:
        raise LimitExceeded(f"a key has {len(packed)} bytes: 1 to {KEY_MAX} are allowed")
    return packed


def row_shape(metric: str, dim: int) -> Tuple[str, int]:
    """How vectors of an index travel when they are not bytes: (dtype of the header, bytes of a row)."""
    return ("bits", (dim + 7) // 8) if metric == "hamming" else ("f32", 4 * dim)
