"""Arrays of people become rows of the wire, and back. Shapes are checked here; values are checked by the cluster."""
from __future__ import annotations

import array
from typing import Any, Iterable, List, Optional, Tuple

import numpy

from . import protocol
from .errors import BadRequest

BITS_ABOVE = 0.5  # a number above this is a set bit, as in Annoy


def batch_of(X: Any, metric: str, dim: int) -> Tuple[str, numpy.ndarray]:
    """(dtype of the header, rows of the wire) of a batch of vectors [n x dim].

    float and integer arrays travel as float32, uint8 arrays as bytes. For `hamming`: numbers [n x dim], a bit is set where the number is
    above 0.5; or packed bits, uint8 [n x ceil(dim / 8)], least significant first.
    """
    X = numpy.asarray(X)
    if X.dtype.kind not in "fiubOSU":  # an object or a string may be a number
        raise BadRequest(f"vectors are of real numbers, not of {X.dtype}")
    if X.ndim != 2:
        raise BadRequest(f"vectors are a 2-dimensional array [n x {dim}], not one of shape {X.shape}: for one vector give [vector]")
    packed = metric == "hamming" and X.dtype == numpy.uint8 and X.shape[1] == (dim + 7) // 8 and X.shape[1] != dim
    if X.shape[1] != dim and not packed:
        raise BadRequest(f"vectors have {X.shape[1]} elements, and those of the index have {dim}")
    if metric == "hamming":
        return "bits", numpy.ascontiguousarray(X) if packed else pack_bits(X)
    if X.dtype == numpy.uint8:
        return "u8", numpy.ascontiguousarray(X)
    return "f32", numpy.ascontiguousarray(X, "<f4")


def pack_bits(X: numpy.ndarray) -> numpy.ndarray:
    """Rows of bits, least significant first."""
    if X.dtype != bool:
        if not numpy.isfinite(X).all():
            raise BadRequest("a vector has a NaN or an infinity: only finite numbers are stored")
        X = X > BITS_ABOVE
    return numpy.packbits(X, axis=1, bitorder="little")


def rows_back(frame: bytes, bits: bool, dim: int) -> numpy.ndarray:
    """Vectors of a reply: float32 [n x dim], or uint8 zeros and ones [n x dim] for bits. Read-only for floats."""
    if bits:
        rows = numpy.frombuffer(frame, numpy.uint8).reshape(-1, (dim + 7) // 8)
        return numpy.unpackbits(rows, axis=1, count=dim, bitorder="little")
    return numpy.frombuffer(frame, "<f4").reshape(-1, dim)


def ids_of(ids: Iterable[Any]) -> numpy.ndarray:
    """Ids as uint64 [n]. Any integers from 0 to 2^64-1; floats are refused, as they would lose the last digits."""
    if not isinstance(ids, numpy.ndarray):
        if not isinstance(ids, (list, tuple, range)):
            ids = list(ids)
        try:
            return numpy.frombuffer(array.array("Q", ids), numpy.uint64) if len(ids) else numpy.zeros(0, numpy.uint64)
        except (TypeError, OverflowError) as e:
            raise BadRequest(f"ids are integers from 0 to 2^64-1: {e}") from None
    if ids.ndim != 1 or ids.dtype.kind not in "ui":
        raise BadRequest(f"ids are a 1-dimensional array of integers, not {ids.dtype} of shape {ids.shape}")
    if ids.dtype.kind == "i" and len(ids) and ids.min() < 0:
        raise BadRequest("ids are integers from 0 to 2^64-1: there is a negative one")
    return ids.astype("<u8")


def names_of(ids: Any) -> Tuple[Optional[numpy.ndarray], Optional[List[bytes]]]:
    """(ids, None) of integers, or (None, keys) of strings or bytes."""
    if isinstance(ids, numpy.ndarray) and ids.dtype == object and ids.ndim == 1:
        ids = ids.tolist()  # as pandas has strings
    if not isinstance(ids, numpy.ndarray):
        if isinstance(ids, (str, bytes)):
            raise BadRequest("give a list of ids or keys, not a single one")
        if not isinstance(ids, (list, tuple, range)):
            ids = list(ids)
        if len(ids) and isinstance(ids[0], (str, bytes)):
            return None, keys_of(ids)
    elif ids.dtype.kind in "US":
        return None, keys_of(ids.tolist())
    return ids_of(ids), None


def keys_of(keys: Iterable[Any]) -> List[bytes]:
    """Keys packed; None stays an item without a key."""
    return [protocol.pack_key(key) for key in keys]
