"""The classes of scikit-plots' annoy module on a cluster: `from grove.scikitplots import Annoy, AnnoyIndex, Index` in place of
`from scikitplot.annoy import ...`. All three names are one class.

It is grove.AnnoyIndex with what scikit-plots changes and adds: methods that change the index return it, so that calls can be chained;
the metric has more names; f may be left to the first vector; len(); arrays in and out (index_names.py); parameters and fit() as in
scikit-learn; bytes, bundles and pickles that hold the items themselves (the format `copy` of annoy_files.py, for any cluster).

Not here: scikit-plots' own binary forms (its pickles, pickle_mode and compress_mode; load() does take its .ann files), feature_names_in_
and __sklearn_tags__.
"""
from __future__ import annotations

import html
import json
import os
import tempfile
import warnings
from typing import Any, Dict, Iterable, Optional, Tuple

import numpy

from .annoy import DEFAULT_METRIC, DEFAULT_SEED, AnnoyIndex as Base
from .errors import NotFound
from .index_names import IndexNames
from .protocol import SEARCH_K_MAX
from .results import Items, SearchResult

ALIASES = {"cosine": "angular", "l2": "euclidean", "lstsq": "euclidean", "l1": "manhattan", "cityblock": "manhattan",
           "taxicab": "manhattan", "@": "dot", ".": "dot", "dotproduct": "dot", "inner": "dot", "innerproduct": "dot"}
MANIFEST, ITEMS = "manifest.json", "index.ann"


class Index(IndexNames, Base):
    """An index of vectors with f elements; f None or 0: those of the first vector. metric: as in AnnoyIndex, or cosine, l2, lstsq, l1,
    cityblock, taxicab, @, ., dotproduct, inner, innerproduct. n_neighbors: what kneighbors() and transform() give by default."""

    def __init__(self, f: Optional[int] = None, metric: Optional[str] = None, n_neighbors: int = 5, *, on_disk_path: Optional[str] = None,
                 prefault: Optional[bool] = None, seed: Optional[int] = None, verbose: Optional[int] = None,
                 schema_version: Optional[int] = None) -> None:
        if metric is None and f:
            warnings.warn(DEFAULT_METRIC, FutureWarning, stacklevel=2)
        super().__init__(f or 0, ALIASES.get(metric, metric) if metric is not None else "angular")
        self.n_neighbors, self.prefault, self.schema_version = n_neighbors, prefault, schema_version
        self.verbosity = verbose
        self.on_disk_path = on_disk_path
        self.y: Any = None
        self._given_seed = seed
        if seed is not None:
            super().set_seed(seed)
        if on_disk_path is not None:
            super().on_disk_build(on_disk_path)

    # ---- what returns the index ----

    def add_item(self, i: int, vector: Any) -> "Index":  # type: ignore[override]
        if not self.f:
            self.f = len(vector)
        super().add_item(i, vector)
        return self

    def build(self, n_trees: int = -1, n_jobs: int = -1) -> "Index":  # type: ignore[override]
        super().build(n_trees, n_jobs)
        return self

    def rebuild(self, n_trees: int = -1) -> "Index":
        """Build anew, with another number of trees or after more items."""
        return self.unbuild().build(n_trees)

    def unbuild(self) -> "Index":  # type: ignore[override]
        super().unbuild()
        return self

    def save(self, fn: str, prefault: bool = False) -> "Index":  # type: ignore[override]
        super().save(fn, prefault)
        return self

    def load(self, fn: str, prefault: bool = False) -> "Index":  # type: ignore[override]
        super().load(fn, prefault)
        return self

    def unload(self) -> "Index":  # type: ignore[override]
        super().unload()
        return self

    def on_disk_build(self, fn: str) -> "Index":  # type: ignore[override]
        super().on_disk_build(fn)
        self.on_disk_path = fn
        return self

    def set_seed(self, seed: int) -> "Index":  # type: ignore[override]
        super().set_seed(seed)
        self._given_seed = seed
        return self

    def set_verbose(self, level: int = 1) -> "Index":
        self.verbosity = level
        return self

    set_verbosity = set_verbose

    # ---- what it is ----

    def __len__(self) -> int:
        return self.get_n_items()

    @property
    def metric(self) -> str:  # type: ignore[override]
        return self._metric

    @property
    def seed(self) -> int:
        return DEFAULT_SEED if self._given_seed is None else self._given_seed

    random_state = seed

    @property
    def n_features(self) -> int:
        return self.f

    n_features_in_ = n_features_out_ = n_features_ = n_features

    @property
    def backend(self) -> "Index":
        return self

    def info(self) -> Dict[str, Any]:
        """f, metric, n_items, n_trees, seed, n_neighbors."""
        return dict(self._facts(), seed=self.seed, n_neighbors=self.n_neighbors)

    def repr_info(self) -> str:
        """One line with what info() says."""
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.info().items())})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = "".join(f"<tr><th>{name}</th><td>{html.escape(repr(value))}</td></tr>" for name, value in self.info().items())
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"

    def memory_usage(self) -> int:
        """Bytes that the workers use for it, as they last reported; 0 before the first vector."""
        index = self.index
        return 0 if index is None else sum(int(row["memory_bytes"]) for row in index.describe()["shard_rows"])

    def get_feature_names_out(self, input_features: Any = None) -> numpy.ndarray:
        """Names of what transform() gives: neighbor_0, neighbor_1, ..."""
        return numpy.array([f"neighbor_{i}" for i in range(self.n_neighbors)], dtype=object)

    def __sklearn_clone__(self) -> "Index":
        """Of the same parameters, without items."""
        return type(self)(**self.get_params())

    def get_params(self, deep: bool = True) -> Dict[str, Any]:
        return {"f": self.f, "metric": self.metric, "n_neighbors": self.n_neighbors, "on_disk_path": self.on_disk_path,
                "prefault": self.prefault, "seed": self._given_seed, "verbose": self.verbosity, "schema_version": self.schema_version}

    def set_params(self, **parameters: Any) -> "Index":
        """Before the first vector: any of get_params(); afterwards not f and metric."""
        if self._n_items and {"f", "metric"} & set(parameters):
            raise ValueError("f and metric cannot be changed once there are items: make another index")
        if set(parameters) - set(self.get_params()):
            raise ValueError(f"no such parameter: {', '.join(sorted(set(parameters) - set(self.get_params())))}")
        if not self._n_items:
            self.__init__(**dict(self.get_params(), **parameters))  # type: ignore[misc]
            return self
        for name in set(parameters) & {"n_neighbors", "prefault", "schema_version"}:
            setattr(self, name, parameters[name])
        return self.set_seed(parameters["seed"]) if parameters.get("seed") is not None else self

    def fit(self, X: Any, y: Any = None, *, n_trees: int = -1) -> "Index":
        """Take the rows of X [n x d] as items 0 .. n-1 in place of what was there, and build."""
        self.unload()
        self.f = numpy.shape(X)[1]
        self.add_items(X)
        self.y = y
        return self.build(n_trees)

    def transform(self, X: Any) -> numpy.ndarray:
        """The ids of the n_neighbors nearest of each row [n x n_neighbors]."""
        found = self.kneighbors(X, self.n_neighbors, include_distances=False)
        assert isinstance(found, numpy.ndarray)
        return found

    def fit_transform(self, X: Any, y: Any = None) -> numpy.ndarray:
        return self.fit(X, y).transform(X)

    # ---- what index_names.py stands on ----

    def _all_ids(self) -> range:
        return range(self._n_items)

    def add_items(self, X: Any, ids: Any = None, *, start_id: Optional[int] = None, progress: Any = False) -> numpy.ndarray:
        """Add the rows of X [n x f]; their ids [n]: given, or start_id, start_id + 1, ..., or those that follow the largest."""
        first = self._n_items if start_id is None else start_id
        ids = numpy.arange(first, first + len(X)) if ids is None else numpy.asarray(ids)
        if len(ids) != len(X):
            raise ValueError(f"there are {len(X)} vectors and {len(ids)} ids: give one for each")
        for i, row in zip(ids.tolist(), numpy.asarray(X)):
            self.add_item(i, row)
        return ids

    def get(self, ids: Any) -> Items:
        index = self.index
        if index is None:
            raise NotFound("there are no items yet")
        return index.get(ids)

    def search(self, X: Any, k: int = 10, *, search_k: Optional[int] = None, exact: bool = False) -> SearchResult:
        return self._searched("search", X, k, search_k, exact)

    def search_ids(self, ids: Iterable[int], k: int = 10, *, search_k: Optional[int] = None, exact: bool = False) -> SearchResult:
        return self._searched("search_ids", ids, k, search_k, exact)

    def _searched(self, call: str, queries: Any, k: int, search_k: Optional[int], exact: bool) -> SearchResult:
        index = self.index
        if index is None or not self._n_trees:
            raise NotFound("the index is not built: add items and build() first")
        k = max(1, min(k, self._n_items))
        search_k = min(k * self._n_trees if search_k is None else search_k, SEARCH_K_MAX)
        how: Dict[str, Any] = {"exact": True} if exact else {"mode": "forest", "search_k": search_k}
        result: SearchResult = getattr(index, call)(queries, k, **how)
        return result

    # ---- bytes, bundles, pickles ----

    def serialize(self) -> bytes:
        """Everything, as bytes: the format `copy` of annoy_files.py."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, ITEMS)
            self._write(path, "copy")
            with open(path, "rb") as f:
                return f.read()

    def deserialize(self, byte: bytes, prefault: Optional[bool] = None) -> "Index":
        """Take what serialize() gave, in place of what was there."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, ITEMS)
            with open(path, "wb") as f:
                f.write(byte)
            return self.load(path)

    def to_bytes(self) -> bytes:
        return self.serialize()

    @classmethod
    def from_bytes(cls, data: bytes, *, f: int, metric: str, prefault: Optional[bool] = None) -> "Index":
        return cls(f, metric).deserialize(data)

    @classmethod
    def from_low_level(cls, obj: Base, *, prefault: Optional[bool] = None) -> "Index":
        """Another index of the same items and trees."""
        return cls(obj.f, obj._metric).deserialize(Index.serialize(obj))  # type: ignore[arg-type]

    def save_index(self, path: str) -> "Index":
        return self.save(path)

    @classmethod
    def load_index(cls, f: int, metric: str, path: str) -> "Index":
        return cls(f, metric).load(path)

    def save_bundle(self, folder: str) -> "Index":
        """A folder with manifest.json (the parameters) and index.ann (everything)."""
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, ITEMS), "wb") as f:
            f.write(self.serialize())
        with open(os.path.join(folder, MANIFEST), "w", encoding="utf-8") as f:
            json.dump(self.to_metadata(), f)
        return self

    @classmethod
    def load_bundle(cls, folder: str) -> "Index":
        with open(os.path.join(folder, MANIFEST), encoding="utf-8") as f:
            index = cls.from_metadata(json.load(f))
        loaded: Index = index.load(os.path.join(folder, ITEMS))
        return loaded

    def to_metadata(self) -> Dict[str, Any]:
        """The parameters, and what info() says, without the items."""
        return {"params": self.get_params(), "info": self.info()}

    @classmethod
    def from_metadata(cls, metadata: Dict[str, Any]) -> "Index":
        """An empty index of those parameters."""
        return cls(**metadata["params"])

    def __reduce__(self) -> Tuple[Any, ...]:
        return _unpickled, (type(self), self.get_params(), self.serialize() if self._built else None)


def _unpickled(kind: Any, parameters: Dict[str, Any], data: Optional[bytes]) -> Index:
    index = kind(**dict(parameters, on_disk_path=None))
    return index if data is None else index.deserialize(data)


Annoy = AnnoyIndex = Index
