"""What AnnoyIndex.save() writes and load() reads.

ann: a file of Annoy 1.17 itself, trees included, written by `grove export`. What anybody reads who has the file alone, Annoy too. load()
takes the items of such a file, of any version of Annoy (ann_file.py), and builds as many trees with the default seed.

ticket: where the items are: endpoint and name of an index that stays in the cluster. A few hundred bytes, written at once
whatever the size; anyone who reaches the cluster can load it. `grove.annoy_files.discard(path)` removes the file and the index.
    "GROVE-TICKET 1\\n", then one JSON object: endpoint, name, f, metric, n_items, n_trees.

copy: the items themselves; load() stores them anew and builds with the same seed, which gives the same forest.
    "GROVE-ITEMS 1\\n", then one line of JSON: f, metric, n_items, n_trees, seed, stored; then u64[stored] ids, then `stored`
    rows, float32 [f] or packed bits (ceil(f / 8) bytes, least significant first), little-endian.

Files are written beside their name and then renamed, so that a reader finds the old one or the new one.
"""
from __future__ import annotations

import json
import os
import subprocess
from typing import Any, BinaryIO, Dict, Iterator, Tuple

import numpy

from . import cluster, protocol
from .ann_file import WRONG_SIZE
from .client import Client
from .errors import GroveError, NotFound
from .index import Index

TICKET = b"GROVE-TICKET 1\n"
COPY = b"GROVE-ITEMS 1\n"
HEADER_MAX = 65536
ROWS = 4096


class AnnRefused(OSError):
    """An index cannot be a file of Annoy, or there is no program that writes it."""


def unable_to_open(e: OSError) -> OSError:
    """Annoy's words and type: a plain OSError with one argument."""
    return OSError(f"Unable to open: {e.strerror} ({e.errno})")


def create_empty(path: str) -> None:
    """An empty file of this name, readable by its owner alone."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    except OSError as e:
        raise unable_to_open(e) from None


def write_ticket(path: str, facts: Dict[str, Any]) -> None:
    _write(path, lambda f: f.write(TICKET + json.dumps(facts).encode() + b"\n"))


def write_ann(path: str, index: Any, n_trees: int) -> None:
    """index: a grove.Index, or None for no items. AnnRefused, an OSError, if it cannot be."""
    program = cluster.find_program()
    if index is None or n_trees < 1:
        raise AnnRefused(f"{path} cannot be a file of Annoy: that has items and trees, and there are none")
    if program is None:
        raise AnnRefused(f"{path} cannot be written: the program `grove` writes files of Annoy, and is neither in PATH nor named by "
                         "GROVE_PROGRAM")

    def write(f: BinaryIO) -> None:
        done = subprocess.run([str(program), "export", index.name, f.name, "--format", "ann", "--trees", str(n_trees), "--endpoint",
                               index.client.endpoint], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise AnnRefused(f"{path} could not be written: {done.stderr.decode(errors='replace').strip()[-1000:]}")
    _write(path, write)


def write_copy(path: str, index: Any, facts: Dict[str, Any]) -> None:
    """index: a grove.Index, or None for no items. It is read twice: once for the ids that are there, once for the rows."""
    def write(f: BinaryIO) -> None:
        ids = [] if index is None else [page.ids for page in index.scan(vectors=False, payloads=False)]
        stored = sum(map(len, ids))
        f.write(COPY + json.dumps(dict(facts, stored=stored)).encode() + b"\n")
        for part in ids:
            f.write(part.tobytes())
        if index is None:
            return
        rows = 0
        for page in index.scan(payloads=False):
            packed = numpy.packbits(page.vectors, axis=1, bitorder="little") if facts["metric"] == "hamming" else page.vectors
            f.write(packed.tobytes())
            rows += len(page.ids)
        if rows != stored:
            raise RuntimeError(f"{index.name} changed while it was saved: save it again")
    _write(path, write)


def _write(path: str, write: Any) -> None:
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        with open(beside, "xb") as f:
            write(f)
        os.replace(beside, path)
    except OSError as e:
        _remove(beside)
        if isinstance(e, (GroveError, AnnRefused)):
            raise
        raise unable_to_open(e) from None
    except BaseException:
        _remove(beside)
        raise


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # it was never made


def kind_of(path: str) -> str:
    """'ticket', 'copy' or 'ann'; Annoy's OSError for a file that cannot be opened or is empty."""
    try:
        with open(path, "rb") as f:
            start = f.read(max(len(TICKET), len(COPY)))
    except OSError as e:
        raise unable_to_open(e) from None
    if not start:
        raise OSError("Size of file is zero: Success (0)")
    return "ticket" if start.startswith(TICKET) else "copy" if start.startswith(COPY) else "ann"


def read_facts(path: str, f: int, metric: str) -> Tuple[Dict[str, Any], int]:
    """(facts, where the header ends) of a ticket or a copy, which has to be of this f and metric."""
    with open(path, "rb") as file:
        file.readline(HEADER_MAX)
        try:
            facts = json.loads(file.readline(HEADER_MAX))
            sizes = [facts["n_items"], facts["n_trees"], facts.get("stored", 0), facts["f"]]
            if not all(isinstance(size, int) and 0 <= size <= 2**31 for size in sizes) or facts["metric"] not in protocol.METRICS:
                raise ValueError(facts)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise OSError(f"{path} is damaged: its header is no JSON with the facts of an index") from None
        if (facts["f"], facts["metric"]) != (f, metric):
            raise OSError(f"{WRONG_SIZE}: {path} has f={facts['f']} and metric {facts['metric']!r}, this object f={f} and {metric!r}")
        return facts, file.tell()


def open_ticket(path: str, f: int, metric: str, timeout: float) -> Tuple[Index, Dict[str, Any]]:
    facts, _ = read_facts(path, f, metric)
    try:
        index = Index(facts["name"], Client(facts["endpoint"], timeout))
    except NotFound:
        raise OSError(f"Unable to open: the index {facts['name']} of {path} is not in the cluster at {facts['endpoint']} any more"
                      ) from None
    if (index.dim, index.metric) != (f, metric):
        raise OSError(f"{WRONG_SIZE}: {facts['name']} has dim {index.dim} and metric {index.metric!r}")
    return index, facts


def copied_items(path: str, header_end: int, facts: Dict[str, Any]) -> Iterator[Tuple[numpy.ndarray, numpy.ndarray]]:
    """(ids, rows of the wire) in parts. The file's size is checked against its header first."""
    stored, width = facts["stored"], protocol.row_shape(facts["metric"], facts["f"])[1]
    if os.path.getsize(path) != header_end + stored * (8 + width):
        raise OSError(f"{path} is damaged: its size is not that of {stored} items")
    with open(path, "rb") as file:
        for start in range(0, stored, ROWS):
            n = min(ROWS, stored - start)
            file.seek(header_end + 8 * start)
            ids = numpy.frombuffer(file.read(8 * n), "<u8")
            file.seek(header_end + 8 * stored + width * start)
            rows = numpy.frombuffer(file.read(width * n), numpy.uint8).reshape(n, width)
            yield ids, rows if facts["metric"] == "hamming" else rows.view("<f4")


def discard(path: str) -> None:
    """Remove a file that save() wrote; for a ticket also the index that it names."""
    if kind_of(path) == "ticket":
        with open(path, "rb") as file:
            file.readline(HEADER_MAX)
            facts = json.loads(file.readline(HEADER_MAX))
        try:
            Client(facts["endpoint"]).drop(facts["name"])
        except NotFound:
            pass  # it is gone already
    os.unlink(path)
