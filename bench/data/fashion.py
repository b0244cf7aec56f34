#!/usr/bin/python3
"""fashion, fashion-l1: Fashion-MNIST, 60,000 x 784, from Debian's dataset-fashion-mnist; its 10,000 test images are the
queries. fashion is euclidean; fashion-l1 is the same by manhattan, for the first 1,000 queries.

This is the public original (github.com/zalandoresearch/fashion-mnist)."""
import gzip

import numpy as np

import sets


def images(name):
    path = sets.unpacked("dataset-fashion-mnist") / "usr/share/datasets/fashion-mnist" / name
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784).astype(np.float32)


def main():
    base, queries = images("train-images-idx3-ubyte.gz"), images("t10k-images-idx3-ubyte.gz")
    sets.write("fashion", "euclidean", base, queries, "Fashion-MNIST (dataset-fashion-mnist)")
    sets.write("fashion-l1", "manhattan", base, queries[:sets.QUERIES], "Fashion-MNIST (dataset-fashion-mnist)")


main()
