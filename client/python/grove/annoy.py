"""AnnoyIndex: Annoy 1.17.3's class, on a cluster. `from grove import AnnoyIndex` in place of `from annoy import AnnoyIndex`.

Every method, keyword, result, exception type and text is Annoy's, and so is the search: the leaves of n_trees trees until
search_k candidates (by default n * n_trees) were seen. The index is made in the cluster at GROVE_ENDPOINT, else in a local one
that is started by itself and ends with the program (cluster.py); nothing is done before the first vector comes. Added vectors are
buffered. The index in the cluster is dropped when the object vanishes, unless save() wrote a ticket for it.

Where it differs, and why:
- NaN and infinities are refused (ValueError): Annoy's answers are undefined with them.
- unload() makes the object as new; in Annoy it could never be built again.
- get_n_trees() is what was asked for, after load() too (Annoy counts wrong in small files); a negative n_trees other than -1 is
  refused (Annoy runs for ever).
- load() of a file of another metric or f is an error (Annoy searches rubbish), and frees what was there before.
- What is added after build() is found at once (in Annoy it damages the trees).
- n_jobs is not looked at: the workers' threads build, and their number does not change the result.
- It can be pickled: as a handle of the same index, read-only.
"""
from __future__ import annotations

import os
import threading
import warnings
import weakref
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import numpy

from . import annoy_files, cluster, owned
from .ann_file import AnnFile
from .annoy_buffer import AddBuffer
from .annoy_values import METRICS, c_int, distance, fill_row, path_of, positional_only, row_bytes, trees_of_minus_one
from .errors import NotFound
from .index import Index
from .protocol import SEARCH_K_MAX
from .vectors import BITS_ABOVE

DEFAULT_SEED = 1234567890987654321
VECTORS_KEPT_BYTES = 64 << 20
COPIED = 4096  # items at once
DEFAULT_METRIC = ("The default argument for metric will be removed in future version of Annoy. "
                  "Please pass metric='angular' explicitly.")
_missing: Any = object()
_alive: "weakref.WeakSet[AnnoyIndex]" = weakref.WeakSet()

Neighbours = Union[List[int], Tuple[List[int], List[float]]]


class AnnoyIndex:
    """An index of vectors with f elements. metric: angular, euclidean, manhattan, hamming or dot.

    Attributes of Annoy: f. Of ours, to be set on the class or on an object before its first vector:
    endpoint: of the cluster; None: GROVE_ENDPOINT, else one's own. shards: parts of the index; 0: as many as workers.
    timeout: seconds for each request. save_format: what save() writes, see there.
    At any time: mode: `forest` (Annoy's search) or `graph` (Grove's: better results for the same work; search_k then is optional effort).
    """

    endpoint: Optional[str] = None
    shards = 0
    timeout = 60.0
    save_format: Optional[str] = None
    mode = "forest"

    def __init__(self, f: int, metric: str = _missing) -> None:
        self.f = c_int(f)
        if metric is _missing:
            warnings.warn(DEFAULT_METRIC, FutureWarning, stacklevel=2)
            metric = "angular"
        if not isinstance(metric, str):
            raise TypeError(f"argument 2 must be str, not {type(metric).__name__}")
        if metric not in METRICS:
            raise ValueError("No such metric")
        self._metric = metric
        self._lock = threading.RLock()
        _alive.add(self)
        self._reset()

    def _reset(self) -> None:
        self._index: Optional[Index] = None
        self._owned: Optional[weakref.finalize] = None
        self._buffer: Optional[AddBuffer] = None
        self._vectors: Dict[int, numpy.ndarray] = {}
        self._n_items = self._n_trees = 0
        self._seed = self._index_seed = DEFAULT_SEED
        self._built = self._loaded = False
        self._on_disk: Optional[str] = None

    def __repr__(self) -> str:
        return f"<grove.AnnoyIndex object at {id(self):#x}>"

    # ---- adding and building ----

    def add_item(self, i: int, vector: Any) -> None:
        """Add or replace item i (0 to 2^31-1). vector: f real numbers."""
        if type(i) is not int or not 0 <= i < 2**31:
            i = c_int(i)
            if i < 0:
                raise IndexError("Item index can not be negative")
        with self._lock:
            if self._loaded:
                self._row(vector)  # its faults come first, as in Annoy
                raise Exception("You can't add an item to a loaded index")
            if self._buffer is None:
                self._buffer = AddBuffer(self.f, self._metric, _maker(weakref.ref(self)))
            self._buffer.put(i, vector)
            if i >= self._n_items:
                self._n_items = i + 1
            if self._vectors:
                self._vectors.pop(i, None)

    def build(self, n_trees: int, n_jobs: int = -1) -> bool:
        """Build n_trees trees; -1: as many as Annoy would (about). Items may still be added afterwards."""
        n_trees, _ = c_int(n_trees), c_int(n_jobs)
        with self._lock:
            if self._loaded:
                raise Exception("You can't build a loaded index")
            if self._built:
                raise Exception("You can't build a built index")
            if n_trees < -1:
                raise ValueError("n_trees is -1, 0 or more")
            n_trees = trees_of_minus_one(self._n_items, self.f, self._metric) if n_trees == -1 else n_trees
            self._settle()
            if self._index is not None and n_trees > 0:
                if self._seed != self._index_seed:
                    self._sow_again()
                self._index.build(n_trees)
            self._n_trees, self._built = n_trees, True
            if self._on_disk is not None:
                self._write(self._on_disk)
        return True

    def unbuild(self) -> bool:
        """Forget the trees: queries give nothing until the next build()."""
        with self._lock:
            if self._loaded:
                raise Exception("You can't unbuild a loaded index")
            self._built, self._n_trees = False, 0
        return True

    @positional_only
    def set_seed(self, q: int) -> None:
        """The seed of the next build, any C int. The same items, seed and number of shards give the same results."""
        self._seed = c_int(q)

    @positional_only
    def verbose(self, flag: int) -> bool:
        """Taken and not looked at: the workers keep the log."""
        c_int(flag)
        return True

    # ---- files ----

    def save(self, fn: str, prefault: bool = False) -> bool:
        """Write the index to a file, in `save_format`. The object is read-only afterwards.

        ticket: a small file with the name of the index, which stays in the cluster. At once, whatever the size; who reaches the cluster
            loads it.
        ann: a file of Annoy 1.17 itself, trees included. All items come here for it and this machine builds its trees: seconds for
            60,000 items, longer for more. Annoy loads it, and so do we, anywhere.
        copy: the vectors alone. Only we load it, and build again with the same seed: the same forest.
        None, the default: `ticket` where the cluster outlives this program: there the index may be bigger than a file should be, and is
            shared already. In a cluster of one's own, which ends with the program, the file is all that will be left, and the next
            program to read it may be real Annoy: `ann`; or `copy`, if the index cannot be a file of Annoy (no trees, or ids with more
            than 1000 gaps to an item).
        """
        path = path_of(fn)
        with self._lock:
            if not self._built:
                raise OSError("You can't save an index that hasn't been built")
            if self._on_disk is not None:
                return True
            self._write(path)
            self._loaded, self._seed = True, DEFAULT_SEED
        return True

    def load(self, fn: str, prefault: bool = False) -> bool:
        """Take the index of a file that save() wrote, or Annoy itself, of this f and metric. What the object held before is dropped.

        Of a file of Annoy, of any version, the items are stored in the cluster and as many trees are built as it has."""
        path = path_of(fn)
        kind = annoy_files.kind_of(path)
        with self._lock:
            if kind == "ticket":
                index, facts = annoy_files.open_ticket(path, self.f, self._metric, self.timeout)
                self.unload()
                self._index = index
            elif kind == "copy":
                facts = self._load_copy(path)
            else:
                facts = self._load_ann(path)
            self._n_items, self._n_trees = facts["n_items"], facts["n_trees"]
            self._built = self._loaded = True
        return True

    def unload(self) -> bool:
        """Let go of everything; the object is as new."""
        with self._lock:
            if self._owned is not None:
                self._owned()
            self._reset()
        return True

    def on_disk_build(self, fn: str) -> bool:
        """build() will write the file, as save() would; call before the first add_item()."""
        path = path_of(fn)
        with self._lock:
            annoy_files.create_empty(path)
            self._on_disk = path
        return True

    # ---- asking ----

    def get_nns_by_item(self, i: int, n: int, search_k: int = -1, include_distances: bool = False) -> Neighbours:
        """The n items nearest to item i, itself among them: ids, or (ids, distances)."""
        i, n, search_k = self._item(i), c_int(n), c_int(search_k)
        by_id = numpy.array([i], "<u8").tobytes()
        try:
            return self._nearest(by_id, n, search_k, include_distances, None)
        except NotFound:  # a hole, which is a vector of zeros to Annoy
            return self.get_nns_by_vector([0.0] * self.f, n, search_k, include_distances)

    def get_nns_by_vector(self, vector: Any, n: int, search_k: int = -1, include_distances: bool = False) -> Neighbours:
        """The n items nearest to a vector: ids, or (ids, distances), nearest first."""
        n, search_k = c_int(n), c_int(search_k)
        if self._metric == "hamming":
            bits = numpy.packbits(self._row(vector) > BITS_ABOVE, bitorder="little")
            return self._nearest(bits.tobytes(), n, search_k, include_distances, "bits")
        return self._nearest(row_bytes(self.f, vector), n, search_k, include_distances, "f32")

    @positional_only
    def get_item_vector(self, i: int) -> List[float]:
        """The vector of item i; zeros if no such item was added."""
        return self._vectors_of([self._item(i)])[0].tolist()

    @positional_only
    def get_distance(self, i: int, j: int) -> float:
        """The distance of items i and j; for `dot` their inner product. Vectors that were fetched are kept, so loops are fast."""
        a, b = self._vectors_of([self._item(i), self._item(j)])
        return distance(self._metric, a, b)

    def get_n_items(self) -> int:
        """The largest id that was added, plus 1."""
        return self._n_items

    def get_n_trees(self) -> int:
        """The trees of the last build()."""
        return self._n_trees

    @property
    def index(self) -> Optional[Index]:
        """The grove.Index behind this object, for what Annoy cannot do (delete, payloads, batches); None before the first vector."""
        with self._lock:
            self._settle()
            return self._index

    # ---- inside ----

    def _item(self, i: Any) -> int:
        i = c_int(i)
        if i < 0:
            raise IndexError("Item index can not be negative")
        if i >= self._n_items:
            raise IndexError("Item index larger than the largest item index")
        return i

    def _row(self, vector: Any) -> numpy.ndarray:
        row = numpy.empty(self.f, "<f4")
        fill_row(row, vector)
        return row

    def _nearest(self, row: bytes, n: int, search_k: int, include_distances: bool, dtype: Optional[str]) -> Neighbours:
        """dtype: of the row; None: it is an id."""
        n = self._n_items if n < 0 else min(n, self._n_items)
        index = self._index
        if self._buffer is not None and not self._buffer.empty or index is None:
            index = self.index
        if index is None or n == 0 or search_k == 0 or self._n_trees == 0:
            return ([], []) if include_distances else []
        mode: Optional[str] = self.mode
        if search_k < -1:
            mode = "exact"  # no bound: every candidate
        elif search_k < 0 and mode == "forest":
            search_k = min(n * self._n_trees, SEARCH_K_MAX)
        hits = index.search_one(row, n, dtype, mode, search_k if search_k > 0 else None)
        return (hits.ids, hits.distances) if include_distances else hits.ids

    def _vectors_of(self, ids: List[int]) -> List[numpy.ndarray]:
        """float32 [f] of each, fetched or kept; zeros for a hole."""
        with self._lock:
            kept = self._vectors
            missing = [i for i in dict.fromkeys(ids) if i not in kept]
            if missing:
                index = self.index
                found = numpy.zeros((len(missing), self.f), "<f4") if index is None else index.get(missing).vectors.astype("<f4")
                if (len(kept) + len(missing)) * 4 * max(self.f, 1) > VECTORS_KEPT_BYTES:
                    kept = self._vectors = {i: kept[i] for i in ids if i in kept}
                kept.update(zip(missing, found))
            return [kept[i] for i in ids]

    def _settle(self) -> None:
        if self._buffer is not None:
            self._buffer.settle()

    def _made(self) -> Index:
        """The index, made in the cluster when it is first needed."""
        if self._index is None:
            self._index = self._create()
        return self._index

    def _create(self) -> Index:
        index, self._owned = owned.create(self, "annoy", self.f, self._metric, endpoint=self.endpoint, timeout=self.timeout,
                                          shards=self.shards, seed=self._seed % 2**64)
        self._index_seed = self._seed
        return index

    def _sow_again(self) -> None:
        """The seed is a property of the index: with another seed, another index of the same items."""
        old, drop_old = self._index, self._owned
        self._index = self._create()
        for start in range(0, self._n_items, COPIED):
            items = old.get(range(start, min(start + COPIED, self._n_items)))  # type: ignore[union-attr]
            self._index.add(items.ids[items.found], items.vectors[items.found])
        drop_old()  # type: ignore[misc]

    def _facts(self) -> Dict[str, Any]:
        return {"f": self.f, "metric": self._metric, "n_items": self._n_items, "n_trees": self._n_trees}

    def _write(self, path: str, save_format: Optional[str] = None) -> None:
        self._settle()
        index = self._index
        save_format = save_format or self.save_format
        if save_format is None and (index is None or cluster.is_embedded(index.client.endpoint)):
            try:
                annoy_files.write_ann(path, index, self._n_trees)
                return
            except annoy_files.AnnRefused:
                save_format = "copy"
        if save_format not in ("ticket", "ann", "copy", None):
            raise ValueError(f"save_format is 'ticket', 'ann', 'copy' or None, not {save_format!r}")
        if save_format == "ann":
            annoy_files.write_ann(path, index, self._n_trees)
            return
        save_format = save_format or "ticket"
        if save_format == "ticket" and index is not None:
            annoy_files.write_ticket(path, dict(self._facts(), endpoint=index.client.endpoint, name=index.name))
            if self._owned is not None:
                self._owned.detach()  # it is the ticket's now
                self._owned = None
        else:
            annoy_files.write_copy(path, index, dict(self._facts(), seed=self._index_seed))

    def _load_copy(self, path: str) -> Dict[str, Any]:
        facts, header_end = annoy_files.read_facts(path, self.f, self._metric)
        parts = annoy_files.copied_items(path, header_end, facts)
        first = next(parts, None)  # a damaged file is refused before anything is dropped
        self.unload()
        if first is not None:
            self._seed = int(facts.get("seed", DEFAULT_SEED))
            index = self._made()
            index.add(*first)
            for ids, rows in parts:
                index.add(ids, rows)
            if facts["n_trees"]:
                index.build(facts["n_trees"])
            self._seed = DEFAULT_SEED
        return facts

    def _load_ann(self, path: str) -> Dict[str, Any]:
        file = AnnFile(path, self.f, self._metric)
        self.unload()
        index = self._made()
        for ids, rows in file.items():
            index.add(ids, rows)
        index.build(file.n_trees)
        return {"n_items": file.n_items, "n_trees": file.n_trees}

    def __reduce__(self) -> Any:
        index = self.index
        if index is None or not self._built:
            raise TypeError("cannot pickle a grove.AnnoyIndex that has not been built")
        own = {name: value for name, value in self.__dict__.items() if not name.startswith("_") and name != "f"}
        return _handle, (type(self), self._facts(), index, self.mode), own


def _after_fork() -> None:
    """Another thread of the parent may have held a lock, and is not here to release it."""
    for index in list(_alive):
        index._lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def _maker(index: Any) -> Callable[[], Index]:
    """_made() of an object that is not kept alive by it: the object has to vanish as soon as its user lets go."""
    return lambda: index()._made()


def _handle(kind: Any, facts: Dict[str, Any], index: Index, mode: str) -> AnnoyIndex:
    handle: AnnoyIndex = kind.__new__(kind)
    AnnoyIndex.__init__(handle, facts["f"], facts["metric"])  # a subclass may want other arguments
    handle._index, handle._n_items, handle._n_trees = index, facts["n_items"], facts["n_trees"]
    handle._built = handle._loaded = True
    handle.mode = mode
    return handle
