"""More names for an index: those that scikit-plots' Index has (its vector, array and metadata mixins), for people who know them.

`search_k=-1` means the default effort here, as in Annoy. Ids that are not given are 0 .. n-1, as Annoy counts them.
"""
from __future__ import annotations

import json
from typing import Any, Dict, Iterable, Iterator, Optional, Set, Tuple, Union

import numpy

from .errors import BadRequest, NotFound
from .index_views import IndexViews

Found = Union[numpy.ndarray, Tuple[numpy.ndarray, numpy.ndarray]]


class IndexNames(IndexViews):
    """Mixed into Index; uses its add(), get(), search() and search_ids()."""

    name: str
    dim: int
    metric: str
    client: Any
    _next_id: Optional[int] = None

    # ---- arrays in and out ----

    def add_items(self, X: Any, ids: Any = None, *, start_id: Optional[int] = None, progress: Any = False) -> numpy.ndarray:
        """Store the rows of X [n x dim]; their ids, uint64 [n]. Without ids they are start_id, start_id + 1, ...; without that too they
        follow the largest that this handle added (0 for an empty index)."""
        X = numpy.asarray(X)
        if ids is None:
            start = self._following_id() if start_id is None else start_id
            ids = numpy.arange(start, start + len(X), dtype=numpy.uint64)
        self.add(ids, X, progress=progress)  # type: ignore[attr-defined]
        if len(X) and not isinstance(ids[0], (str, bytes)):
            self._next_id = max(self._next_id or 0, int(max(ids)) + 1)
        return numpy.asarray(ids)

    def _following_id(self) -> int:
        if self._next_id is None and len(self):  # type: ignore[arg-type]
            raise BadRequest(f"the index {self.name!r} has items already, and their ids are not known here: give ids= or start_id=")
        return self._next_id or 0

    def _all_ids(self) -> range:
        return range(len(self) if self._next_id is None else self._next_id)  # type: ignore[arg-type]

    def get_item(self, i: int) -> numpy.ndarray:
        """The vector of an item [dim]. NotFound if it is not stored."""
        return self.get_item_vectors([i])[0]

    def get_item_vectors(self, ids: Optional[Iterable[int]] = None) -> numpy.ndarray:
        """The vectors of items [n x dim], in the order of ids. NotFound if one is not stored."""
        ids = self._all_ids() if ids is None else ids
        items = self.get(ids)  # type: ignore[attr-defined]
        if not items.found.all():
            raise NotFound(f"the index {self.name!r} has no item {int(items.ids[~items.found][0])}")
        return items.vectors

    to_numpy = get_item_vectors

    def iter_item_vectors(self, ids: Optional[Iterable[int]] = None) -> Iterator[Tuple[int, numpy.ndarray]]:
        """(id, vector) of each item, fetched a thousand at a time."""
        ids = list(self._all_ids() if ids is None else ids)
        for start in range(0, len(ids), 1000):
            part = ids[start:start + 1000]
            yield from zip(part, self.get_item_vectors(part))

    # ---- neighbours ----

    def query_by_item(self, i: int, n_neighbors: int, *, search_k: int = -1, include_distances: bool = False, exclude_self: bool = False,
                      exclude_item_ids: Optional[Iterable[int]] = None) -> Found:
        """The ids nearest to a stored item, uint64 [n_neighbors]; with include_distances (ids, distances)."""
        excluded = _ids(exclude_item_ids) | ({int(i)} if exclude_self else set())
        result = self.search_ids([i], n_neighbors + len(excluded), search_k=_effort(search_k))  # type: ignore[attr-defined]
        return _first(result.ids, result.distances, n_neighbors, excluded, include_distances)

    def query_by_vector(self, vector: Any, n_neighbors: int, *, search_k: int = -1, include_distances: bool = False,
                        exclude_item_ids: Optional[Iterable[int]] = None) -> Found:
        """The ids nearest to a vector [dim], uint64 [n_neighbors]; with include_distances (ids, distances)."""
        excluded = _ids(exclude_item_ids)
        result = self.search([vector], n_neighbors + len(excluded), search_k=_effort(search_k))  # type: ignore[attr-defined]
        return _first(result.ids, result.distances, n_neighbors, excluded, include_distances)

    def query_vectors_by_item(self, i: int, n_neighbors: int, *, include_distances: bool = False, **how: Any) -> Found:
        """As query_by_item(), with vectors [n_neighbors x dim] in place of ids."""
        ids, distances = self.query_by_item(i, n_neighbors, include_distances=True, **how)
        found = self.get_item_vectors(ids)
        return (found, distances) if include_distances else found

    def query_vectors_by_vector(self, vector: Any, n_neighbors: int, *, include_distances: bool = False, **how: Any) -> Found:
        """As query_by_vector(), with vectors [n_neighbors x dim] in place of ids."""
        ids, distances = self.query_by_vector(vector, n_neighbors, include_distances=True, **how)
        found = self.get_item_vectors(ids)
        return (found, distances) if include_distances else found

    def kneighbors(self, X: Any, n_neighbors: int = 5, *, search_k: int = -1, include_distances: bool = True, exact: bool = False) -> Found:
        """(ids, distances), each [n x n_neighbors]; or the ids alone. For scikit-learn's order see sklearn_api.GroveNeighbors."""
        result = self.search(X, n_neighbors, search_k=_effort(search_k), exact=exact)  # type: ignore[attr-defined]
        return (result.ids, result.distances) if include_distances else result.ids

    # ---- metadata ----

    def to_metadata(self) -> Dict[str, Any]:
        """What names this index: endpoint, name, metric, dim."""
        return {"endpoint": self.client.endpoint, "name": self.name, "metric": self.metric, "dim": self.dim}

    def to_json(self) -> str:
        return json.dumps(self.to_metadata())

    @classmethod
    def from_metadata(cls, metadata: Dict[str, Any]) -> Any:
        """The handle that to_metadata() described. NotFound if the index is gone."""
        return cls(metadata["name"], metadata["endpoint"])  # type: ignore[call-arg]

    @classmethod
    def from_json(cls, text: str) -> Any:
        return cls.from_metadata(json.loads(text))


def _ids(ids: Optional[Iterable[int]]) -> Set[int]:
    return set() if ids is None else {int(i) for i in ids}


def _effort(search_k: int) -> Optional[int]:
    return None if search_k < 0 else search_k


def _first(ids: numpy.ndarray, distances: numpy.ndarray, n: int, excluded: Any, include_distances: bool) -> Found:
    ids, distances = ids[0], distances[0]
    if excluded:
        keep = ~numpy.isin(ids, numpy.fromiter(excluded, numpy.uint64, len(excluded)))
        ids, distances = ids[keep], distances[keep]
    return (ids[:n], distances[:n]) if include_distances else ids[:n]
