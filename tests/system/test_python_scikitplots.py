#!/usr/bin/python3
"""scikit-plots' names for an index: chained calls, arrays, parameters, bytes, bundles, pickles."""
import json
import os
import pickle
import sys
import tempfile
import unittest

import matplotlib.pyplot
import numpy
import pandas
from sklearn.base import clone

import cluster

PACKAGE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
sys.path.insert(0, PACKAGE)
import grove  # noqa: E402  (after the path)
from grove.scikitplots import Annoy, AnnoyIndex, Index  # noqa: E402


class ScikitPlots(cluster.OneCluster):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ["GROVE_ENDPOINT"] = cls.c.endpoint
        cls.X = numpy.random.default_rng(cluster.SEED).standard_normal((200, 5)).astype("f4")

    def built(self, **parameters):
        return Index(5, "euclidean", **parameters).fit(self.X, n_trees=4)

    def test_calls_are_chained_and_the_first_vector_decides_f(self):
        self.assertIs(Annoy, Index)
        self.assertIs(AnnoyIndex, Index)
        index = Index(metric="l2").set_seed(3).add_item(0, [1, 2, 3]).add_item(1, [2, 2, 3]).build(2)
        self.assertEqual((index.f, index.metric, len(index), index.get_nns_by_item(0, 2)), (3, "euclidean", 2, [0, 1]))
        self.assertEqual(index.get_item(1).tolist(), [2, 2, 3])
        self.assertEqual(len(index.unbuild().rebuild(3).unload()), 0)

    def test_every_name_of_a_metric_is_known(self):
        for name, metric in (("cosine", "angular"), ("lstsq", "euclidean"), ("taxicab", "manhattan"), ("cityblock", "manhattan"), ("@", "dot"),
                             (".", "dot"), ("innerproduct", "dot"), ("hamming", "hamming")):
            self.assertEqual(Index(2, name).metric, metric)
        with self.assertRaises(ValueError):
            Index(2, "chebyshev")
        with self.assertWarns(FutureWarning):
            self.assertEqual(Index(2).metric, "angular")

    def test_queries_with_arrays(self):
        index = self.built()
        order = numpy.argsort(((self.X - self.X[3]) ** 2).sum(axis=1), kind="stable")
        ids, distances = index.query_by_item(3, 10, search_k=10000, include_distances=True)
        numpy.testing.assert_array_equal(ids, order[:10])
        self.assertEqual(distances.dtype, numpy.float32)
        numpy.testing.assert_array_equal(index.query_by_item(3, 9, search_k=10000, exclude_self=True), order[1:10])
        numpy.testing.assert_array_equal(index.query_vectors_by_vector(self.X[3], 4, search_k=10000), self.X[order[:4]])
        ids, distances = index.kneighbors(self.X[:7], 3)
        self.assertEqual((ids.shape, ids[:, 0].tolist()), ((7, 3), list(range(7))))
        self.assertEqual(index.transform(self.X[:2]).shape, (2, 5))
        numpy.testing.assert_array_equal(index.to_numpy(), self.X)
        self.assertEqual(index.add_items(self.X[:2], start_id=500).tolist(), [500, 501])
        self.assertEqual(len(index), 502)
        with self.assertRaises(grove.NotFound):
            Index(5, "dot").kneighbors(self.X[:1])

    def test_parameters(self):
        index = Index(5, "cosine", 7, seed=11)
        self.assertEqual((index.seed, index.random_state, index.n_features_in_), (11, 11, 5))
        self.assertEqual(Index(**index.get_params()).get_params(), index.get_params())
        self.assertEqual(index.set_params(metric="dot", n_neighbors=2).get_params()["metric"], "dot")
        index.add_items(self.X)
        self.assertEqual(index.set_params(n_neighbors=3).n_neighbors, 3)
        for bad in ({"metric": "l1"}, {"colour": 1}):
            with self.assertRaises(ValueError):
                index.set_params(**bad)
        self.assertEqual(index.info()["n_items"], 200)

    def test_pickles_bytes_and_bundles_hold_the_items_themselves(self):
        index = self.built(n_neighbors=9)
        before = index.kneighbors(self.X[:20])[0]
        copies = [pickle.loads(pickle.dumps(index)), Index.from_bytes(index.to_bytes(), f=5, metric="euclidean"), Index.from_low_level(index)]
        with tempfile.TemporaryDirectory(prefix="grove-test-") as folder:
            index.save_bundle(f"{folder}/bundle")
            copies.append(Index.load_bundle(f"{folder}/bundle"))
            copies.append(Index.load_index(5, "euclidean", f"{folder}/bundle/index.ann"))
            with open(f"{folder}/bundle/manifest.json") as f:
                self.assertEqual(json.load(f)["params"]["n_neighbors"], 9)
        self.assertEqual(copies[0].n_neighbors, 9)
        self.assertEqual(copies[3].n_neighbors, 9)
        index.unload()
        for copy in copies:
            numpy.testing.assert_array_equal(copy.kneighbors(self.X[:20])[0], before)
        self.assertEqual(len(pickle.loads(pickle.dumps(Index(3, "dot")))), 0)

    def test_graphs_matrices_and_frames_have_what_a_search_gives(self):
        index = self.built()
        handle = index.index
        cluster.wait_for("the items are counted", 5, lambda: len(handle) == 200)
        ids, distances = index.kneighbors(self.X[:20], 4)
        for each in (index, handle):
            graph = each.kneighbors_graph(self.X[:20], 4, mode="distance", **({"search_k": 12} if each is index else {}))
            self.assertEqual(graph.shape, (20, 200))
            self.assertEqual(sorted(graph[3].indices.tolist()), sorted(each.kneighbors(self.X[3:4], 4)[0][0].tolist()))
            self.assertEqual(each.kneighbors_graph(self.X[:20], 4).sum(), 80)
            numpy.testing.assert_array_equal(each.to_scipy_csr([5, 3]).toarray(), self.X[[5, 3]])
        numpy.testing.assert_allclose(index.kneighbors_graph(self.X[:20], 4, mode="distance")[3, ids[3]].toarray()[0], distances[3])
        with self.assertRaises(ValueError):
            index.kneighbors_graph(self.X[:2], 2, mode="best")
        far = grove.Index.create("far", 2, "euclidean")
        self.addCleanup(far.drop)
        far.add([1, 2**40], [[0, 0], [1, 1]])
        with self.assertRaises(ValueError):
            far.kneighbors_graph([[0, 0]], 2)  # its columns would be too many
        self.assertEqual(far.kneighbors_graph([[0, 0]], 1).shape, (1, 2))
        self.assertEqual(handle.from_yaml(handle.to_yaml()).name, handle.name)
        self.assertEqual(Index.from_yaml(index.to_yaml()).get_params(), index.get_params())

    def test_a_frame_has_the_ids_for_its_index(self):
        frame = self.built().to_pandas([5, 3])
        self.assertEqual((frame.index.tolist(), frame.index.name, frame.shape), ([5, 3], "id", (2, 5)))
        numpy.testing.assert_array_equal(frame.to_numpy(), self.X[[5, 3]])

    def test_plots_show_each_item_and_its_neighbours(self):
        matplotlib.use("Agg")
        index = self.built()
        cluster.wait_for("the items are counted", 5, lambda: len(index.index) == 200)
        labels = [i % 3 for i in range(200)]
        for each in (index, index.index):
            _, ax = matplotlib.pyplot.subplots()
            places, ids, same = each.plot_index(labels, ax=ax, title="all")
            self.assertIs(same, ax)
            self.assertEqual(ids.tolist(), list(range(200)))
            numpy.testing.assert_allclose(ax.collections[0].get_offsets(), places)
            numpy.testing.assert_allclose(numpy.cov(places.T)[0, 1], 0, atol=1e-9)  # principal components
            each.plot_knn_edges(places, ids=ids, k=3, ax=ax)
            lines = {tuple(map(tuple, line)) for line in ax.collections[1].get_segments()}
            self.assertGreaterEqual(len(lines), 300)
            self.assertLessEqual(len(lines), 600)
            near = [i for i in each.query_by_item(7, 4).tolist() if i != 7][0]
            self.assertTrue({(tuple(places[7]), tuple(places[near])), (tuple(places[near]), tuple(places[7]))} & lines)
            few, some, _ = each.plot_index(ids=[9, 4, 7], ax=ax, dims=(1, 2), l2_normalize=True)
            self.assertEqual((few.shape, some.tolist()), ((3, 2), [9, 4, 7]))
            each.plot_knn_edges(few, ids=some, k=199, ax=ax, undirected=False)
            self.assertEqual(len(ax.collections[3].get_segments()), 6)  # none to items that are not there
            matplotlib.pyplot.close()
            for wrong in (lambda: each.plot_index(labels[:3], ax=ax), lambda: each.plot_index(ids=[1, 2], dims=(0, 2), ax=ax),
                          lambda: each.plot_knn_edges(places[:5], ids=[1], ax=ax)):
                self.assertRaises(ValueError, wrong)

    def test_what_notebooks_and_scikit_learn_ask_for(self):
        index = self.built(n_neighbors=3)
        self.assertIn("<td>200</td>", index._repr_html_())
        self.assertIn("n_items=200", index.repr_info())
        self.assertGreater(index.memory_usage(), 200 * 20)
        self.assertEqual(Index(4, "dot").memory_usage(), 0)
        self.assertEqual(index.get_feature_names_out().tolist(), ["neighbor_0", "neighbor_1", "neighbor_2"])
        copy = clone(index)
        self.assertEqual((len(copy), copy.get_params()), (0, index.get_params()))


if __name__ == "__main__":
    cluster.run()
