"""Arguments as Annoy 1.17.3 takes them, with its exception types and texts; and its distances.

Annoy takes any object with len() and [int] that gives real numbers. NaN and infinities, which Annoy takes and then misbehaves on, are
refused here with a ValueError.
"""
from __future__ import annotations

import array
import functools
import math
import operator
import sys
from typing import Any, Callable, TypeVar

import numpy

INT_MAX, INT_MIN = 2**31 - 1, -(2**31)
METRICS = ("angular", "euclidean", "manhattan", "hamming", "dot")
FLOAT, LITTLE = numpy.dtype("<f4"), sys.byteorder == "little"
NOT_FINITE = "Vector has a NaN or an infinity: only finite numbers (as 32-bit floats) are stored"

Method = TypeVar("Method", bound=Callable[..., Any])


def c_int(value: Any) -> int:
    """A C int; TypeError and OverflowError as Python's own."""
    if type(value) is not int:
        value = operator.index(value)
    if value > INT_MAX:
        raise OverflowError("signed integer is greater than maximum")
    if value < INT_MIN:
        raise OverflowError("signed integer is less than minimum")
    return value


def path_of(fn: Any) -> str:
    """A path: str, or what os.fspath() makes a str of (Annoy: str alone)."""
    path = fn if isinstance(fn, str) else fn.__fspath__() if hasattr(fn, "__fspath__") else fn
    if not isinstance(path, str):
        raise TypeError(f"argument 1 must be str, not {type(fn).__name__}")
    return path


def positional_only(method: Method) -> Method:
    """Refuse keywords with the words of a C method that takes none."""
    @functools.wraps(method)
    def called(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if keywords:
            raise TypeError(f"Annoy.{method.__name__}() takes no keyword arguments")
        return method(self, *arguments)
    return called  # type: ignore[return-value]


def fill_row(row: numpy.ndarray, vector: Any) -> None:
    """Write a vector into row, float32 [f]. On an error the row's content is undefined."""
    f = len(row)
    if len(vector) != f:
        raise IndexError(f"Vector has wrong length (expected {f}, got {len(vector)})")
    kind = type(vector)
    if kind is numpy.ndarray and vector.ndim == 1 and vector.dtype.kind in "fiub":
        row[:] = vector
    elif kind is list or kind is tuple:
        row[:] = array.array("f", vector)
    else:
        row[:] = array.array("f", [vector[z] for z in range(f)])
    square = float(row.dot(row))
    if square - square != 0 and not numpy.isfinite(row).all():  # a large sum alone is no infinity of an element
        raise ValueError(NOT_FINITE)


def row_bytes(f: int, vector: Any) -> bytes:
    """A query as it travels, with as little as possible around it. That it is finite is for the cluster to see."""
    kind = type(vector)
    if kind is numpy.ndarray:
        if vector.ndim == 1 and vector.dtype == FLOAT and len(vector) == f:
            whole: bytes = vector.tobytes()
            return whole
    elif (kind is list or kind is tuple) and LITTLE and len(vector) == f:
        return array.array("f", vector).tobytes()
    row = numpy.empty(f, FLOAT)
    fill_row(row, vector)
    return row.tobytes()


def distance(metric: str, a: numpy.ndarray, b: numpy.ndarray) -> float:
    """The distance of two vectors (float32 or bits as 0 and 1), as Annoy defines it, rounded to float32."""
    x, y = a.astype(numpy.float64), b.astype(numpy.float64)
    if metric == "angular":
        norms = float(x.dot(x)) * float(y.dot(y))
        value = math.sqrt(max(0.0, 2.0 - 2.0 * float(x.dot(y)) / math.sqrt(norms))) if norms > 0 else math.sqrt(2.0)
    elif metric == "dot":
        value = float(x.dot(y))
    elif metric == "euclidean":
        value = math.sqrt(float(((x - y) ** 2).sum()))
    else:  # the number of differing bits is their manhattan distance
        value = float(numpy.abs(x - y).sum())
    return float(numpy.float32(value))


def trees_of_minus_one(n_items: int, f: int, metric: str) -> int:
    """How many trees stand for n_trees=-1. Annoy goes on until its trees have as many nodes as there are items: with buckets of K ids
    that are two thirds full, about K/3 trees; one node a tree when all items fit into a bucket."""
    bucket = 3 + 2 * ((f + 63) // 64) if metric == "hamming" else f + 3 if metric == "dot" else f + 2
    return max(1, min(n_items if n_items <= bucket else -(-bucket // 3), 10000))
