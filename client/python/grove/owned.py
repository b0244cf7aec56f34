"""Indexes that belong to an object of this process, and are dropped when it vanishes."""
from __future__ import annotations

import os
import uuid
import weakref
from typing import Any, Optional, Tuple

from . import cluster
from .channel import Channel
from .client import Client
from .errors import GroveError
from .index import Index

DROP_SECONDS = 1.0


def create(owner: Any, prefix: str, dim: int, metric: str, *, endpoint: Optional[str], timeout: float, shards: int, seed: int
           ) -> Tuple[Index, weakref.finalize]:
    """An index with a name of its own. endpoint None: GROVE_ENDPOINT, else the cluster of this process. The second value drops it when
    called, or when the owner is collected, or at exit; its detach() lets the index live on."""
    where = endpoint or os.environ.get("GROVE_ENDPOINT") or cluster.embedded().endpoint
    index = Index.create(f"{prefix}-{uuid.uuid4().hex}", dim, metric, client=Client(where, timeout), shards=shards, seed=seed)
    return index, weakref.finalize(owner, _drop, where, index.name, os.getpid())


def _drop(endpoint: str, name: str, owner: int) -> None:
    """It may run in the middle of anything (garbage collection), so it uses a socket of its own; it may not raise; and in a forked child
    the index is not ours."""
    if os.getpid() != owner or cluster.has_ended(endpoint):
        return
    try:
        client = Client(endpoint, DROP_SECONDS)
        channel = Channel(endpoint)
        client.finish(client.begin("drop", channel=channel, index=name))
        channel.close()
    except GroveError:
        pass  # nobody is there to be told; `grove list` shows it
