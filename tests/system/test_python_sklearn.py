#!/usr/bin/python3
"""Grove's scikit-learn estimators: they are estimators, agree with scikit-learn's own, and give the tutorial's number."""
import os
import pickle
import sys
import warnings

import numpy
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.manifold import Isomap
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import cluster

PACKAGE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
sys.path.insert(0, PACKAGE)
import grove  # noqa: E402  (after the path)
from grove.sklearn_api import GroveClassifier, GroveNeighbors  # noqa: E402


class Sklearn(cluster.OneCluster):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ["GROVE_ENDPOINT"] = cls.c.endpoint
        random = numpy.random.default_rng(cluster.SEED)
        cls.X, cls.Q = random.standard_normal((300, 6)).astype("f4"), random.standard_normal((40, 6)).astype("f4")

    def test_every_check_of_scikit_learn_passes(self):
        for estimator in (GroveNeighbors(), GroveClassifier()):
            ran = 0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for checked, check in check_estimator(estimator, generate_only=True):
                    check(checked)
                    ran += 1
            self.assertGreater(ran, 30)

    def test_exact_neighbours_and_graphs_are_those_of_scikit_learn(self):
        for metric in ("euclidean", "sqeuclidean", "manhattan", "cosine"):
            ours = GroveNeighbors(5, metric=metric, exact=True).fit(self.X)
            theirs = NearestNeighbors(n_neighbors=5, metric=metric, algorithm="brute").fit(self.X)
            for X in (self.Q, None):
                distances, indices = ours.kneighbors(X)
                expected, expected_indices = theirs.kneighbors(X)
                numpy.testing.assert_array_equal(indices, expected_indices, metric)
                numpy.testing.assert_allclose(distances, expected, rtol=1e-4, atol=1e-5)
            for mode in ("distance", "connectivity"):
                transformer = KNeighborsTransformer(n_neighbors=5, mode=mode, metric=metric, algorithm="brute").fit(self.X)
                for X in (self.X, self.Q):
                    graph = clone(ours).set_params(mode=mode).fit(self.X).transform(X)
                    expected = transformer.transform(X)
                    self.assertEqual(graph.shape, expected.shape)
                    numpy.testing.assert_array_equal(graph.indptr, expected.indptr)
                    numpy.testing.assert_allclose(graph.toarray(), expected.toarray(), rtol=1e-3, atol=1e-3)

    def test_the_default_search_finds_nearly_all(self):
        ours, exact = GroveNeighbors(10).fit(self.X), GroveNeighbors(10, exact=True).fit(self.X)
        a, b = ours.kneighbors(self.Q, return_distance=False), exact.kneighbors(self.Q, return_distance=False)
        self.assertGreater(numpy.mean([len(set(x) & set(y)) / 10 for x, y in zip(a, b)]), 0.85)

    def test_a_sample_is_not_its_own_neighbour_even_among_duplicates(self):
        X = numpy.repeat(numpy.eye(3, dtype="f4"), 8, axis=0)
        indices = GroveNeighbors(4, exact=True).fit(X).kneighbors(return_distance=False)
        self.assertEqual(indices.shape, (24, 4))
        self.assertFalse((indices == numpy.arange(24)[:, None]).any())

    def test_a_search_that_saw_too_few_is_done_again_exactly(self):
        estimator = GroveNeighbors(10).fit(self.X)
        index, calls = estimator.index_, []

        class Few:
            def search(self, X, k, **how):
                calls.append(how)
                return index.search(X, k if how.get("exact") else k - 3, **how)
        estimator.index_ = Few()
        indices = estimator.kneighbors(self.Q, return_distance=False)
        numpy.testing.assert_array_equal(indices, index.search(self.Q, 10, exact=True).ids)
        self.assertEqual(calls, [{"recall": None}, {"exact": True}])

    def test_it_stands_at_the_head_of_a_pipeline(self):
        embedded = make_pipeline(GroveNeighbors(10, exact=True), Isomap(n_neighbors=10, metric="precomputed")).fit_transform(self.X)
        expected = Isomap(n_neighbors=10).fit_transform(self.X)
        numpy.testing.assert_allclose(abs(numpy.corrcoef(embedded[:, 0], expected[:, 0])[0, 1]), 1, atol=0.01)

    def test_the_classifier_votes_as_scikit_learns(self):
        X, y = load_iris(return_X_y=True)
        names = numpy.array(["setosa", "versicolor", "virginica"])[y]
        train = numpy.arange(150) % 3 != 0
        ours = GroveClassifier(7, exact=True).fit(X[train], names[train])
        theirs = KNeighborsClassifier(7, algorithm="brute").fit(X[train], names[train])
        self.assertGreater((ours.predict(X[~train]) == theirs.predict(X[~train])).mean(), 0.97)  # ties at the seventh place may differ
        self.assertGreater(ours.score(X[~train], names[~train]), 0.95)
        self.assertEqual(ours.predict_proba(X[~train]).shape, (50, 3))

    def test_the_index_goes_with_its_estimator_unless_it_is_kept(self):
        client = grove.Client()
        before = len(client.indexes())
        estimator = GroveNeighbors(3).fit(self.X)
        again = pickle.loads(pickle.dumps(estimator))
        numpy.testing.assert_array_equal(again.kneighbors(self.Q)[1], estimator.kneighbors(self.Q)[1])
        estimator.fit(self.X[:100])
        self.assertEqual(len(client.indexes()), before + 1)
        with self.assertRaises(grove.NotFound):
            again.kneighbors(self.Q)
        again = None
        name = estimator.keep()
        estimator = None
        self.assertEqual(len(client.indexes()), before + 1)
        client.drop(name)

    def test_bad_parameters_are_said_so(self):
        for parameters in ({"metric": "dot"}, {"metric": "minkowski"}, {"mode": "graph"}):
            with self.assertRaises(ValueError):
                GroveNeighbors(**parameters).fit(self.X)
        with self.assertRaises(ValueError):
            GroveNeighbors(301).fit(self.X).kneighbors(self.Q)


if __name__ == "__main__":
    cluster.run()
