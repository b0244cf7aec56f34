"""Still more names of scikit-plots' Index: those that give an index to other packages. scipy, pandas, yaml and matplotlib are imported when
they are asked for, and needed by nothing else here.
"""
from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy

from .errors import BadRequest

GRAPH_MODES = ("connectivity", "distance")
COLUMNS_MAX = 2**31 - 1  # of a sparse matrix: its columns are ids


class IndexViews:
    """Mixed into IndexNames; uses its to_metadata(), get_item_vectors() and kneighbors()."""

    def kneighbors_graph(self, X: Any, n_neighbors: int = 5, *, search_k: int = -1, mode: str = "connectivity") -> Any:
        """A scipy CSR matrix [n x (largest id + 1)] with 1 at each neighbour of each row of X, or its distance."""
        from scipy.sparse import csr_matrix
        if mode not in GRAPH_MODES:
            raise BadRequest(f"mode is connectivity or distance, not {mode!r}")
        result = self.search(X, n_neighbors, search_k=None if search_k < 0 else search_k)  # type: ignore[attr-defined]
        there = numpy.arange(result.ids.shape[1]) < result.counts[:, None]
        ids = result.ids[there]
        columns = max(self._all_ids().stop, int(ids.max(initial=0)) + 1)  # type: ignore[attr-defined]
        if columns > COLUMNS_MAX:
            raise BadRequest(f"columns are ids, and there is one above {COLUMNS_MAX}: a matrix cannot be so wide")
        values = result.distances[there] if mode == "distance" else numpy.ones(len(ids), numpy.float32)
        starts = numpy.concatenate([[0], numpy.cumsum(result.counts)])
        return csr_matrix((values, ids.astype(numpy.int64), starts), shape=(len(result), columns))

    def to_scipy_csr(self, ids: Optional[Iterable[int]] = None) -> Any:
        """The vectors as a scipy CSR matrix [n x dim]."""
        from scipy.sparse import csr_matrix
        return csr_matrix(self.get_item_vectors(ids))  # type: ignore[attr-defined]

    def to_pandas(self, ids: Optional[Iterable[int]] = None, *, columns: Optional[Sequence[str]] = None, id_name: str = "id") -> Any:
        """The vectors as a pandas DataFrame, the ids being its index."""
        import pandas
        ids = list(self._all_ids() if ids is None else ids)  # type: ignore[attr-defined]
        rows = self.get_item_vectors(ids)  # type: ignore[attr-defined]
        names = [f"feature_{i}" for i in range(rows.shape[1])] if columns is None else list(columns)
        return pandas.DataFrame(rows, index=pandas.Index(ids, name=id_name), columns=names)

    def to_yaml(self) -> str:
        """to_metadata() as YAML."""
        import yaml  # type: ignore[import]
        text: str = yaml.safe_dump(self.to_metadata(), sort_keys=True)  # type: ignore[attr-defined]
        return text

    @classmethod
    def from_yaml(cls, text: str) -> Any:
        """What to_yaml() described, as from_metadata() takes it."""
        import yaml
        metadata: Dict[str, Any] = yaml.safe_load(text)
        return cls.from_metadata(metadata)  # type: ignore[attr-defined]

    # ---- plots ----

    def plot_index(self, labels: Optional[Sequence[Any]] = None, *, ids: Optional[Sequence[int]] = None, dims: Tuple[int, int] = (0, 1),
                   center: bool = True, l2_normalize: bool = False, ax: Any = None, title: Optional[str] = None,
                   plot_kwargs: Optional[Mapping[str, Any]] = None) -> Tuple[numpy.ndarray, numpy.ndarray, Any]:
        """All items (or those named) as points on two of their principal components, coloured by labels: their places [n x 2], their ids,
        and matplotlib's axes. l2_normalize: at unit length, as angular sees them."""
        shown = numpy.asarray(list(self._all_ids() if ids is None else ids), numpy.int64)  # type: ignore[attr-defined]
        rows = numpy.asarray(self.get_item_vectors(shown.tolist()), numpy.float64)  # type: ignore[attr-defined]
        if labels is not None and len(labels) != len(rows):
            raise BadRequest(f"there are {len(rows)} items and {len(labels)} labels: give one for each")
        if l2_normalize:
            rows = rows / numpy.maximum(numpy.linalg.norm(rows, axis=1, keepdims=True), numpy.finfo(float).tiny)
        if center and len(rows):
            rows = rows - rows.mean(axis=0)
        if max(dims) >= min(rows.shape):
            raise BadRequest(f"{len(rows)} items have {min(rows.shape)} principal components: dims are two of 0 to {min(rows.shape) - 1}")
        places = rows @ numpy.linalg.svd(rows, full_matrices=False)[2][list(dims)].T
        ax = _axes(ax)
        colours = None if labels is None else numpy.unique(numpy.asarray(labels), return_inverse=True)[1]
        style: Dict[str, Any] = {"s": 12, "zorder": 2, **(plot_kwargs or {})}
        if colours is not None:
            style = {"c": colours, "cmap": "tab10", **style}
        ax.scatter(places[:, 0], places[:, 1], **style)
        if title is not None:
            ax.set_title(title)
        return places, shown, ax

    def plot_knn_edges(self, y2: Any, *, ids: Optional[Sequence[int]] = None, k: int = 10, search_k: int = -1, ax: Any = None,
                       line_kwargs: Optional[Mapping[str, Any]] = None, undirected: bool = True) -> Any:
        """Lines between items and their k nearest, over what plot_index() drew: y2 are its places, ids its ids. undirected: one line for a
        pair that are each other's neighbours. Gives the axes."""
        from matplotlib.collections import LineCollection
        places = numpy.asarray(y2, numpy.float64)
        shown: List[int] = [int(i) for i in (range(len(places)) if ids is None else ids)]
        if places.shape != (len(shown), 2):
            raise BadRequest(f"y2 has a place [2] for each of {len(shown)} items, and its shape is {places.shape}")
        found = self.search_ids(shown, k + 1, search_k=None if search_k < 0 else search_k) if shown else None  # type: ignore[attr-defined]
        at = {i: n for n, i in enumerate(shown)}
        pairs = {}
        for n, near in enumerate(found.ids.tolist() if found is not None else []):
            for m in [at.get(i) for i in near if i != shown[n]][:k]:
                if m is not None:  # it is in the picture
                    pairs[(min(n, m), max(n, m)) if undirected else (n, m)] = True
        ax = _axes(ax)
        style = {"colors": "0.7", "linewidths": 0.5, "zorder": 1, **(line_kwargs or {})}
        ax.add_collection(LineCollection([places[list(pair)] for pair in pairs], **style))
        return ax


def _axes(ax: Any) -> Any:
    if ax is None:
        import matplotlib.pyplot
        ax = matplotlib.pyplot.gca()
    return ax
