"""grove.Index: one index of a cluster, with numpy arrays in and out.

    index = grove.Index.create("shoes", dim=128, metric="euclidean", trees=20)
    index.add(range(1000), X, payloads=[{"label": "boot"}, ...])
    index.build()
    ids, distances = index.search(queries, k=10)
    index.drop()

An Index is a handle: it holds the endpoint, the name and the shape, and no items. It may be shared by threads, carried over a fork, and
pickled. Ids are integers from 0 to 2^64-1, or strings (keys: the cluster makes their ids). Times are in seconds. Errors are those of
grove.errors; arguments of a wrong shape are BadRequest, a ValueError.
"""
from __future__ import annotations

import operator
import time
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy

from . import batches, protocol, vectors
from .batches import BATCH_BYTES
from .client import Client, Pending
from .errors import BadRequest, GroveError, Incomplete, LimitExceeded, OutcomeUnknown
from .index_names import IndexNames
from .progress import Progress, reporter
from .results import Hits, Item, Items, Nearest, SearchResult, full_result, hits_of, nearest_of, result_of
from .writes import Write, write_all

HIT_BYTES = 12  # of a search's reply: an id and a distance
QUERY_BYTES = 44
HEADS_MAX = 64
REPLY_SPARE = 1 << 20  # of the largest reply, for records of missing shards
SEARCH_FIRST, SEARCH_MOST = 64, 1024  # queries in the first request of a long search, and in any
BUILD_LOOK_SECONDS = 0.2
BUILD_DONE = 1000  # permille
BUILD_SECONDS = 86400.0


class Index(IndexNames):
    """A handle of the index `name`.

    client: a grove.Client, an endpoint, or None for GROVE_ENDPOINT, else tcp://127.0.0.1:7600. NotFound if there is none of that name.
    name, dim, metric: of the index. timeout: seconds for each request (a long add or search is many requests).
    """

    def __init__(self, name: str, client: Any = None, *, timeout: Optional[float] = None) -> None:
        self._open(client, name, timeout)
        row = self.client.describe(name)
        self.dim, self.metric = int(row["dim"]), str(row["metric"])

    def _open(self, client: Any, name: str, timeout: Optional[float]) -> None:
        self.client = client if isinstance(client, Client) else Client(client)
        self.name = name
        self._heads: Dict[Any, bytes] = {}  # of searches that were sent, see Client.head()
        self.timeout = self.client.timeout if timeout is None else timeout

    @classmethod
    def create(cls, name: str, dim: int, metric: str, *, client: Any = None, shards: int = 0, trees: int = 0, seed: int = 0,
               timeout: Optional[float] = None, exist_ok: bool = False) -> "Index":
        """Make an index and return its handle. dim: elements of a vector, 1 to 65,536. metric: angular, euclidean, manhattan, hamming or
        dot. shards 0: as many as there are workers. trees 0: 10. exist_ok: take the one that is there, if it has this dim and metric."""
        index = cls.__new__(cls)
        index._open(client, name, timeout)
        try:
            row = index.client.create(name, dim, metric, shards=shards, trees=trees, seed=seed, timeout=index.timeout)
        except GroveError as e:
            if e.code != "exists" or not exist_ok:
                raise
            row = index.client.describe(name)
            if (row["dim"], row["metric"]) != (dim, metric):
                raise BadRequest(f"the index {name!r} has dim {row['dim']} and metric {row['metric']}: choose another name, "
                                 "or drop it") from None
        index.dim, index.metric = int(row["dim"]), str(row["metric"])
        return index

    def __repr__(self) -> str:
        return f"<grove.Index {self.name!r}: {self.metric}, dim {self.dim}, at {self.client.endpoint}>"

    def __enter__(self) -> "Index":
        return self

    def __exit__(self, *_: Any) -> None:
        self.client.close()

    def __getstate__(self) -> Dict[str, Any]:
        return dict(self.__dict__, _heads={})

    def __len__(self) -> int:
        """Items, as the shards last reported them: what was just written is counted within half a second."""
        return int(self.describe()["items"])

    def describe(self) -> Dict[str, Any]:
        """metric, dim, shards, trees, seed, items, shards_serving, shards_building, complete, and shard_rows, one for each shard."""
        return self.client.describe(self.name)

    def drop(self) -> None:
        """Remove the index and all it holds."""
        self.client.drop(self.name, timeout=self.timeout)

    # ---- writing ----

    def add(self, ids: Any, X: Any, payloads: Optional[Sequence[Optional[Dict[str, Any]]]] = None,
            keys: Optional[Sequence[Any]] = None, *, progress: Progress = False) -> None:
        """Store items; one whose id exists is replaced as a whole. When this returns they are on disk, and every search finds them.

        ids: n integers, or n strings (keys). None if keys are given. X: [n x dim]; for `hamming` see vectors.batch_of().
        payloads: n dicts or None. keys: n strings or None, for items that have ids too.
        An error has `.ids` and `.results`: the items that may not be stored (1: certainly not, 2: unknown). All others are.
        """
        numbers, names = (None, None) if ids is None else vectors.names_of(ids)
        names = vectors.keys_of(keys) if keys is not None else names
        dtype, rows = vectors.batch_of(X, self.metric, self.dim)
        if numbers is None and names is None:
            raise BadRequest("items have ids or keys: give one of them")
        for what, given in (("ids", numbers), ("keys", names), ("payloads", payloads)):
            if given is not None and len(given) != len(rows):
                raise BadRequest(f"there are {len(rows)} vectors and {len(given)} {what}: give one for each")
        packed = None if payloads is None else [protocol.pack_payload(p) for p in payloads]
        step = max(1, min(protocol.BATCH_ITEMS_MAX, BATCH_BYTES // (rows.shape[1] * rows.itemsize + 8)))
        write = Write("upsert", numbers, names, rows, dtype, packed)
        write_all(self, write.last_of_each() if len(write) > step else write, step, reporter(progress, f"add to {self.name}"))

    upsert = add

    def delete(self, ids: Any, *, progress: Progress = False) -> None:
        """Remove items, by ids or keys; one that is not there is no error. Errors as in add()."""
        numbers, names = vectors.names_of(ids)
        write_all(self, Write("delete", numbers, names), protocol.BATCH_ITEMS_MAX // 4, reporter(progress, f"delete from {self.name}"))

    def build(self, trees: int = 0, *, timeout: float = BUILD_SECONDS, progress: Progress = False) -> None:
        """Build anew over all items. trees 0: as many as the index was created with. Waits until it is done; after `timeout` seconds
        OutcomeUnknown is raised, and the build goes on: describe() shows how far it is."""
        show = reporter(progress, f"build {self.name}")
        end = time.monotonic() + timeout
        seconds = min(timeout, protocol.TIMEOUT_MAX_MS / 1000)
        pending = self.client.begin("build", timeout=seconds, index=self.name, trees=trees)
        while progress is not False and pending.id not in pending.channel.arrived and time.monotonic() < pending.deadline:
            show(int(self.describe()["progress_permille"]), BUILD_DONE + 1)
            time.sleep(BUILD_LOOK_SECONDS)
        try:
            self.client.finish(pending)
        except OutcomeUnknown:
            if time.monotonic() >= end:
                raise
            self._await_build(end)  # it takes longer than a request may
        show(BUILD_DONE, BUILD_DONE)

    def _await_build(self, end: float) -> None:
        while True:
            row = self.describe()
            if row["complete"] and not row["shards_building"]:
                return
            if time.monotonic() > end:
                raise OutcomeUnknown(f"the build of {self.name!r} is not done yet: it goes on, describe() shows how far it is")
            time.sleep(BUILD_LOOK_SECONDS)

    # ---- reading ----

    def get(self, ids: Any) -> Items:
        """Read items by ids or keys: see Items. All shards that hold them have to answer, so that "not found" is certain."""
        numbers, names = vectors.names_of(ids)
        total = len(names if names is not None else numbers)  # type: ignore[arg-type]
        step = max(1, min(protocol.BATCH_ITEMS_MAX // 4, BATCH_BYTES * 2 // (protocol.row_shape(self.metric, self.dim)[1] + 16)))
        return _joined([self._get(numbers, names, part) for part in batches.ranges(total, step)], self.dim, self.metric)

    def _get(self, numbers: Any, names: Any, part: slice) -> Items:
        n = part.stop - part.start
        frames = [b"" if numbers is None else numbers[part].tobytes(),
                  b"" if names is None else protocol.pack_strings(names[part])]
        try:
            reply = self.client.call("get", frames, timeout=self.timeout, index=self.name, n=n, keys=names is not None)
        except LimitExceeded:
            if n == 1:
                raise
            middle = part.start + n // 2  # large payloads: fewer at once
            return _joined([self._get(numbers, names, slice(part.start, middle)), self._get(numbers, names, slice(middle, part.stop))],
                           self.dim, self.metric)
        width = protocol.row_shape(self.metric, self.dim)[1]
        if [len(reply.frame(i)) for i in (1, 2, 3)] != [8 * n, width * n, n]:
            raise protocol.contradiction("get")
        rows = vectors.rows_back(reply.frame(2), self.metric == "hamming", self.dim)
        payloads = [protocol.unpack_payload(p) for p in protocol.unpack_strings(reply.frame(4), n)]
        return Items(reply.array(1, "<u8"), rows, reply.array(3, "u1").astype(bool), payloads,
                     [key or None for key in protocol.unpack_strings(reply.frame(5), n)])

    def scan(self, *, vectors: bool = True, payloads: bool = True, page: int = 4096) -> Iterator[Items]:
        """All items in pages of at most `page` (1 to 65,536) items and 1 MiB: shard by shard, by ascending id in each; `found` is all true.

        No snapshot: an item that is there from the first page to the last comes exactly once, as it was when its page was read; one that is
        put or deleted meanwhile comes once or not at all. Unavailable if a shard's worker is away: no page is left out. vectors=False: they
        have no columns."""
        cursor = b""
        while True:
            reply = self.client.call("scan", [cursor] if cursor else [], timeout=self.timeout, index=self.name, limit=page,
                                     with_vector=vectors, with_payload=payloads, cursor=bool(cursor))
            items = self._page(reply, vectors)
            cursor = reply.frame(5)
            if len(cursor) != (protocol.CURSOR_BYTES if reply.header.get("cursor") else 0):
                raise protocol.contradiction("scan")
            if len(items.ids):
                yield items
            if not cursor:
                return

    def _page(self, reply: protocol.Reply, vectors_asked: bool) -> Items:
        ids = reply.array(1, "<u8")
        n, width = len(ids), protocol.row_shape(self.metric, self.dim)[1] if vectors_asked else 0
        if reply.header.get("n") != n or len(reply.frame(2)) != width * n:
            raise protocol.contradiction("scan")
        rows = vectors.rows_back(reply.frame(2), self.metric == "hamming", self.dim) if width else numpy.zeros((n, 0), numpy.float32)
        return Items(ids, rows, numpy.ones(n, bool), [protocol.unpack_payload(p) for p in protocol.unpack_strings(reply.frame(3), n)],
                     [key or None for key in protocol.unpack_strings(reply.frame(4), n)])

    def items(self, *, vectors: bool = True, payloads: bool = True) -> Iterator[Item]:
        """All items one by one, as scan() gives them."""
        for page in self.scan(vectors=vectors, payloads=payloads):
            for number, vector, payload, key in zip(page.ids.tolist(), page.vectors, page.payloads, page.keys):
                yield Item(number, vector if vectors else None, payload, key)

    def search(self, X: Any, k: int = 10, *, recall: Optional[float] = None, search_k: Optional[int] = None, exact: bool = False,
               mode: Optional[str] = None, payloads: bool = False, min_coverage: Optional[float] = None,
               timeout: Optional[float] = None, progress: Progress = False) -> SearchResult:
        """The k nearest items to each of the vectors X [nq x dim]: see SearchResult. `ids, distances = index.search(X, 10)`.

        recall: the share of the true k nearest that is wanted, more than 0 and less than 1; when nothing is said, 0.95. Or search_k:
        candidates to score in the whole index. exact: compare with every item. mode: `graph`, the cluster's default, or `forest`, which
        searches as Annoy does (search_k; None: k x trees). payloads: fetch them too.
        min_coverage: the share of the items, 0 to 1, that has to be searched; below it Incomplete is raised, with `.result`.
        """
        dtype, rows = vectors.batch_of(X, self.metric, self.dim)
        return self._search(rows, k, progress, timeout, dim=self.dim, dtype=dtype, with_payload=payloads or None,
                            min_coverage=min_coverage, **effort(exact, mode, recall, search_k))

    def search_ids(self, ids: Iterable[int], k: int = 10, *, recall: Optional[float] = None, search_k: Optional[int] = None,
                   exact: bool = False, mode: Optional[str] = None, payloads: bool = False, min_coverage: Optional[float] = None,
                   timeout: Optional[float] = None, progress: Progress = False) -> SearchResult:
        """As search(), near stored items; each is among its own neighbours. NotFound if one of the ids is not stored."""
        rows = vectors.ids_of(ids).reshape(-1, 1)
        return self._search(rows, k, progress, timeout, by_id=True, with_payload=payloads or None, min_coverage=min_coverage,
                            **effort(exact, mode, recall, search_k))

    def search_one(self, row: bytes, k: int, dtype: Optional[str], mode: Optional[str] = None, search_k: Optional[int] = None) -> Nearest:
        """One query and its hits, with as little as possible around it. row: bytes of the wire, of that dtype; None: it is an id."""
        client, seconds = self.client, self.timeout
        asked = (client.identity, self.name, seconds, k, dtype, mode, search_k)
        head = self._heads.get(asked)
        if head is None:
            by_id, dim = (True, None) if dtype is None else (None, self.dim)
            head = self._head(asked, seconds, k=k, by_id=by_id, dim=dim, dtype=dtype, mode=mode, search_k=search_k)
        return nearest_of(client.finish(client.begin_head(head, "search", (row,), seconds)))

    def _begin_search(self, rows: Any, seconds: float, k: int, fields: Dict[str, Any]) -> Pending:
        asked = (self.client.identity, self.name, seconds, k, *fields.items())
        head = self._heads.get(asked) or self._head(asked, seconds, k=k, **fields)
        return self.client.begin_head(head, "search", (rows,), seconds)

    def _head(self, asked: Any, seconds: float, **fields: Any) -> bytes:
        """Of a search, kept under what was asked."""
        if len(self._heads) == HEADS_MAX:
            self._heads.clear()
        head = self._heads[asked] = self.client.head("search", seconds, index=self.name, **fields)
        return head

    def _search(self, rows: numpy.ndarray, k: int, progress: Progress, timeout: Optional[float], **fields: Any) -> SearchResult:
        seconds = self.timeout if timeout is None else timeout
        k = operator.index(k)
        show = reporter(progress, f"search {self.name}")
        farthest = -numpy.inf if self.metric == "dot" else numpy.inf
        most = search_most(rows, k)

        def begin(part: slice) -> Pending:
            fields["nq"] = part.stop - part.start
            return self._begin_search(rows[part].data, seconds, k, fields)

        if 0 < len(rows) <= min(SEARCH_FIRST, most):
            found = batches.one(self.client, slice(0, len(rows)), begin)
            result = full_result(found[1], len(rows), k) if found[2] is None else None
            if result is not None:
                show(len(rows), len(rows))
                return result
            outcomes: Iterable[Any] = [found]
        else:
            outcomes = batches.paced(self.client, len(rows), batches.Pace(SEARCH_FIRST, most, seconds), begin)

        def pieces(part: slice) -> List[Tuple[slice, Any, Any]]:
            return [outcome for half in halves(part) for outcome in batches.run(self.client, [half], begin)]

        parts: List[Hits] = []
        incomplete: Optional[Incomplete] = None
        for part, reply, error in outcomes:
            todo = [(part, reply, error)]
            while todo:
                part, reply, error = todo.pop(0)
                if isinstance(error, LimitExceeded) and fields.get("with_payload") and part.stop - part.start > 1:
                    todo = pieces(part) + todo  # large payloads: fewer queries at once
                    continue
                if isinstance(error, Incomplete):
                    incomplete, reply = error, getattr(error, "reply")
                elif error is not None:
                    raise error
                parts.append(hits_of(reply))
                show(part.stop, len(rows))
        result = result_of(parts, farthest)
        if incomplete is not None:
            incomplete.result = result
            raise incomplete
        return result


def effort(exact: bool, mode: Optional[str], recall: Optional[float], search_k: Optional[int]) -> Dict[str, Any]:
    """How thoroughly to search, as fields of the protocol: one line for each option."""
    if recall is not None and not 0 < recall < 1:
        raise BadRequest(f"recall is more than 0 and less than 1, not {recall!r}: exact=True finds everything")
    if search_k is not None and not 0 < operator.index(search_k) <= protocol.SEARCH_K_MAX:
        raise LimitExceeded(f"search_k is 1 to {protocol.SEARCH_K_MAX}, not {search_k!r}")
    return {"mode": "exact" if exact else mode,
            "recall": recall,
            "search_k": search_k}


def search_most(rows: numpy.ndarray, k: int) -> int:
    """The most queries of one request, so that it, its hits and its reply respect their limits."""
    k = max(k, 1)  # 0 is refused by the cluster
    return max(1, min(SEARCH_MOST, protocol.BATCH_QUERIES_MAX, protocol.QUERY_HITS_MAX // k,
                      protocol.FRAME_MAX // (rows.shape[1] * rows.itemsize),
                      (protocol.FRAME_MAX - REPLY_SPARE) // (HIT_BYTES * k + QUERY_BYTES)))


def halves(part: slice) -> List[slice]:
    middle = (part.start + part.stop) // 2
    return [slice(part.start, middle), slice(middle, part.stop)]


def _joined(parts: List[Items], dim: int, metric: str) -> Items:
    if len(parts) == 1:
        return parts[0]
    dtype = numpy.uint8 if metric == "hamming" else numpy.float32
    empty = Items(numpy.zeros(0, numpy.uint64), numpy.zeros((0, dim), dtype), numpy.zeros(0, bool), [], [])
    return Items(*(numpy.concatenate([empty[i]] + [p[i] for p in parts]) for i in range(3)),  # type: ignore[arg-type]
                 *([x for p in parts for x in p[i]] for i in (3, 4)))
