"""Grove from Python: a distributed nearest-neighbour index.

    client = grove.Client()                      # GROVE_ENDPOINT, else tcp://127.0.0.1:7600
    client.create("shoes", dim=128, metric="euclidean")

Errors are exceptions of `grove.errors`, all of them `grove.GroveError`.
"""
from .client import Client
from .errors import (BadRequest, Busy, Exists, GroveError, Incomplete, LimitExceeded, NotFound, OutcomeUnknown, Timeout, Unavailable,
                     WriteFailed)

__version__ = "0.1.0"
__all__ = ["BadRequest", "Busy", "Client", "Exists", "GroveError", "Incomplete", "LimitExceeded", "NotFound", "OutcomeUnknown", "Timeout",
           "Unavailable", "WriteFailed", "__version__"]
