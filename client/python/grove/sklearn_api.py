"""Grove in scikit-learn: GroveNeighbors, a transformer to sparse graphs of neighbours, and GroveClassifier, k nearest neighbours that vote.

    make_pipeline(GroveNeighbors(n_neighbors=15, metric="euclidean"), TSNE(metric="precomputed", init="random"))

fit() makes an index (at `endpoint`, else GROVE_ENDPOINT, else in a cluster of this process's own); it is dropped when the estimator
vanishes or is fitted again. A pickled or copied estimator is a handle of the same index: it works as long as the one that was fitted
lives, or after keep(). Vectors are stored as float32, so two samples that differ by less are the same.
"""
from __future__ import annotations

from typing import Any, Dict, Optional, Tuple, Union

import numpy
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from . import owned
from .protocol import METRICS

try:
    from sklearn.utils.validation import validate_data  # scikit-learn 1.6 and later
except ImportError:
    def validate_data(estimator: Any, X: Any, **how: Any) -> Any:
        return estimator._validate_data(X, **how)

ALIASES = {"l2": "euclidean", "sqeuclidean": "euclidean", "l1": "manhattan", "cityblock": "manhattan", "cosine": "angular"}


def _shown(metric: str, distances: numpy.ndarray) -> numpy.ndarray:
    """Grove's distances as scikit-learn defines that metric."""
    if metric == "sqeuclidean":
        return distances**2
    return distances**2 / 2 if metric == "cosine" else distances


class GroveNeighbors(TransformerMixin, BaseEstimator):
    """Nearest neighbours by a Grove cluster; takes the place of KNeighborsTransformer and, for kneighbors(), of NearestNeighbors.

    n_neighbors: neighbours of each sample. metric: euclidean, sqeuclidean, manhattan, cosine, angular (sqrt(2 - 2 cos)), hamming (bits:
    numbers above 0.5), and scikit-learn's l1, l2, cityblock. mode: `distance` or `connectivity`, what transform() puts into the graph.
    recall: the share of the true neighbours that is wanted (None: 0.95); exact: compare with all. trees, shards, random_state: of the
    index; endpoint, timeout (seconds): of the cluster.

    After fit(): index_ (a grove.Index whose ids are the rows of X), n_samples_fit_, n_features_in_.
    """

    def __init__(self, n_neighbors: int = 5, *, metric: str = "euclidean", mode: str = "distance", recall: Optional[float] = None,
                 exact: bool = False, trees: int = 0, shards: int = 0, random_state: int = 0, endpoint: Optional[str] = None,
                 timeout: float = 60.0) -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.mode = mode
        self.recall = recall
        self.exact = exact
        self.trees = trees
        self.shards = shards
        self.random_state = random_state
        self.endpoint = endpoint
        self.timeout = timeout

    def fit(self, X: Any, y: Any = None) -> "GroveNeighbors":
        """Store the rows of X [n x d] and build. y is not looked at."""
        metric = ALIASES.get(self.metric, self.metric)
        if metric not in METRICS or metric == "dot":
            raise ValueError(f"metric is euclidean, sqeuclidean, manhattan, cosine, angular or hamming, not {self.metric!r}")
        if self.mode not in ("distance", "connectivity"):
            raise ValueError(f"mode is 'distance' or 'connectivity', not {self.mode!r}")
        X = validate_data(self, X, dtype=numpy.float32, order="C")
        self._forget()
        self._drop: Any  # None once the index is kept
        self.index_, self._drop = owned.create(self, "sklearn", X.shape[1], metric, endpoint=self.endpoint, timeout=self.timeout,
                                               shards=self.shards, seed=self.random_state)
        self.index_.add(range(len(X)), X)
        self.index_.build(self.trees)
        self.n_samples_fit_ = len(X)
        return self

    def _forget(self) -> None:
        if getattr(self, "_drop", None) is not None:
            self._drop()
            self._drop = None

    def keep(self) -> str:
        """Let the index live on when this estimator vanishes; its name. `grove drop NAME` removes it."""
        check_is_fitted(self)
        if getattr(self, "_drop", None) is not None:
            self._drop.detach()
            self._drop = None
        return str(self.index_.name)

    def __getstate__(self) -> Dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_drop"}

    def kneighbors(self, X: Any = None, n_neighbors: Optional[int] = None, return_distance: bool = True
                   ) -> Union[numpy.ndarray, Tuple[numpy.ndarray, numpy.ndarray]]:
        """(distances, indices), each [n x n_neighbors], nearest first; or the indices alone. X None: of the samples of fit(), none of
        which is then its own neighbour."""
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if X is not None:
            X = validate_data(self, X, dtype=numpy.float32, order="C", reset=False)
        wanted = k if X is not None else k + 1
        if not 1 <= k or wanted > self.n_samples_fit_:
            raise ValueError(f"Expected 1 <= n_neighbors <= n_samples, but n_samples = {self.n_samples_fit_}, n_neighbors = {wanted}")
        if X is not None:
            indices, distances = self._search(X, None, wanted)
        else:
            own = numpy.arange(self.n_samples_fit_)
            indices, distances = self._search(None, own, wanted)
            others = indices != own[:, None]
            others[others.all(axis=1), -1] = False  # more than k duplicates came before it
            indices, distances = indices[others].reshape(-1, k), distances[others].reshape(-1, k)
        return (_shown(self.metric, distances), indices) if return_distance else indices

    def _search(self, X: Any, ids: Any, k: int) -> Tuple[numpy.ndarray, numpy.ndarray]:
        how: Dict[str, Any] = {"exact": True} if self.exact else {"recall": self.recall}
        result = self.index_.search(X, k, **how) if ids is None else self.index_.search_ids(ids, k, **how)
        if result.ids.shape[1] < k or (result.counts < k).any():  # a search that saw too few: all of them have k neighbours
            result = self.index_.search(X, k, exact=True) if ids is None else self.index_.search_ids(ids, k, exact=True)
        return result.ids.astype(numpy.int64), result.distances.astype(numpy.float64)

    def kneighbors_graph(self, X: Any = None, n_neighbors: Optional[int] = None, mode: str = "connectivity") -> csr_matrix:
        """The neighbours as a sparse matrix [n x n_samples_fit_], n_neighbors in each row, by distance: ones, or the distances."""
        if mode not in ("distance", "connectivity"):
            raise ValueError(f"mode is 'distance' or 'connectivity', not {mode!r}")
        distances, indices = self.kneighbors(X, n_neighbors)
        n, k = indices.shape
        values = distances.ravel() if mode == "distance" else numpy.ones(n * k)
        return csr_matrix((values, indices.ravel(), numpy.arange(0, n * k + 1, k)), shape=(n, self.n_samples_fit_))

    def transform(self, X: Any) -> csr_matrix:
        """The graph of the neighbours of X. In `distance` mode with one neighbour more, as a sample of fit() is among its own."""
        check_is_fitted(self)
        return self.kneighbors_graph(X, self.n_neighbors + (self.mode == "distance"), self.mode)

    def get_feature_names_out(self, input_features: Any = None) -> numpy.ndarray:
        """A name for each column of the graph."""
        check_is_fitted(self)
        return numpy.array([f"groveneighbors{i}" for i in range(self.n_samples_fit_)], dtype=object)

    def _more_tags(self) -> Dict[str, Any]:
        return {"preserves_dtype": []}  # the graph is float64, whatever the samples are


class GroveClassifier(ClassifierMixin, BaseEstimator):
    """The class that most of the n_neighbors nearest samples have; of equally many the one that comes first in classes_.

    Parameters as of GroveNeighbors, which it holds as neighbors_ after fit()."""

    def __init__(self, n_neighbors: int = 5, *, metric: str = "euclidean", recall: Optional[float] = None, exact: bool = False,
                 trees: int = 0, shards: int = 0, random_state: int = 0, endpoint: Optional[str] = None, timeout: float = 60.0) -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.recall = recall
        self.exact = exact
        self.trees = trees
        self.shards = shards
        self.random_state = random_state
        self.endpoint = endpoint
        self.timeout = timeout

    def fit(self, X: Any, y: Any) -> "GroveClassifier":
        """Store the rows of X [n x d] with the classes y [n]."""
        X, y = validate_data(self, X, y=y, dtype=numpy.float32)
        check_classification_targets(y)
        self.classes_, self._classes = numpy.unique(y, return_inverse=True)
        self.neighbors_ = GroveNeighbors(**self.get_params()).fit(X)
        return self

    def predict_proba(self, X: Any) -> numpy.ndarray:
        """The share of the neighbours that have each class [n x classes]."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=numpy.float32, reset=False)
        found = self._classes[self.neighbors_.kneighbors(X, return_distance=False)]
        return (found[:, :, None] == numpy.arange(len(self.classes_))).mean(axis=1)

    def predict(self, X: Any) -> numpy.ndarray:
        """The classes [n]."""
        shares = self.predict_proba(X)
        return self.classes_[shares.argmax(axis=1)]
