"""Grove from Python: a distributed nearest-neighbour index.

    index = grove.Index.create("shoes", dim=128, metric="euclidean")   # at GROVE_ENDPOINT, else tcp://127.0.0.1:7600
    index.add(range(1000), X)
    index.build()
    ids, distances = index.search(queries, k=10)

Programs written for Annoy say `from grove import AnnoyIndex` in place of `from annoy import AnnoyIndex`.

Errors are exceptions of `grove.errors`, all of them `grove.GroveError`.
"""
from .annoy import AnnoyIndex
from .client import Client
from .cluster import LocalCluster
from .errors import (BadRequest, Busy, Exists, GroveError, Incomplete, LimitExceeded, NotFound, OutcomeUnknown, Timeout, Unavailable,
                     WriteFailed)
from .index import Index
from .results import Item, Items, SearchResult

__version__ = "0.1.0"
__all__ = ["AnnoyIndex", "BadRequest", "Busy", "Client", "Exists", "GroveError", "Incomplete", "Index", "Item", "Items", "LimitExceeded",
           "LocalCluster", "NotFound", "OutcomeUnknown", "SearchResult", "Timeout", "Unavailable", "WriteFailed", "__version__"]
