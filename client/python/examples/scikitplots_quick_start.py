#!/usr/bin/python3
"""The quick start of scikit-plots' annoy page, with only the import changed: prints 1000 ids, the nearest to item 0 first.
At the end the picture of its gallery, in scikitplots_quick_start.png: all items, and lines from item 0 to its ten nearest.

    python3 scikitplots_quick_start.py"""
import os
import random
import tempfile

from grove.annoy_files import discard
from grove.scikitplots import AnnoyIndex  # was: from scikitplot.annoy import AnnoyIndex
import scatter

random.seed(0)
f = 40  # length of item vector that will be indexed

t = AnnoyIndex(f, "angular")
for i in range(1000):
    v = [random.gauss(0, 1) for z in range(f)]
    t.add_item(i, v)

t.build(10)  # 10 trees
with tempfile.TemporaryDirectory() as folder:
    t.save(os.path.join(folder, "test.ann"))

    u = AnnoyIndex(f, "angular")
    u.load(os.path.join(folder, "test.ann"))
    print(u.get_nns_by_item(0, 1000))  # will find the 1000 nearest neighbors
    nearest = u.get_nns_by_item(0, 1000)[1:11]
    colours = [(200, 30, 30) if i in [0, *nearest] else (160, 180, 210) for i in range(1000)]
    scatter.save("scikitplots_quick_start.png", scatter.flattened(u.to_numpy()), colours, [(0, i) for i in nearest], [0],
                 [("item 0 and its ten nearest, of 1000 in 40 dimensions seen in two", scatter.BLACK)])
    discard(os.path.join(folder, "test.ann"))  # in a cluster the file is a ticket: the index goes with it
