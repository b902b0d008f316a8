"""Other ways to the nearest vectors of one owner: a matrix in memory, sqlite-vec, and Faiss with a filter."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from peers.turns import UnsuitedError

Rows = np.ndarray[Any, np.dtype[np.float32]]


class Peer(Protocol):
    """Rows by owner, each owner's put in one go; rows are known by their place among all that were put."""

    def put(self, owner: int, rows: Rows) -> None:
        """Keep these, behind what was put before."""
        ...

    def nearest(self, owner: int, query: Rows, k: int) -> list[int]:
        """The places of the nearest, nearest first."""
        ...


class OneMatrix:
    """Exact, and nothing else: the floor, and what recall is counted against."""

    def __init__(self, n: int, width: int) -> None:
        self._rows = np.empty((n, width), np.float32)
        self._of: dict[int, slice] = {}
        self._n = 0

    def put(self, owner: int, rows: Rows) -> None:
        """See `Peer`."""
        self._of[owner] = slice(self._n, self._n + len(rows))
        self._rows[self._of[owner]] = rows
        self._n += len(rows)

    def nearest(self, owner: int, query: Rows, k: int) -> list[int]:
        """See `Peer`."""
        place = self._of[owner]
        cosines = self._rows[place] @ query
        best = np.argpartition(-cosines, k - 1)[:k] if k < len(cosines) else np.arange(len(cosines))
        return [place.start + int(n) for n in best[np.argsort(-cosines[best])]]


class SqliteVec:
    """vec0, partitioned by owner."""

    def __init__(self, folder: Path, width: int) -> None:
        import sqlite_vec

        self._connection = sqlite3.connect(folder / "vec.sqlite", isolation_level=None)
        if not hasattr(self._connection, "enable_load_extension"):
            raise UnsuitedError("this Python's sqlite3 is built without loading extensions")
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.enable_load_extension(True)
        sqlite_vec.load(self._connection)
        self._connection.enable_load_extension(False)
        self._connection.execute(
            f"CREATE VIRTUAL TABLE v USING vec0(owner TEXT PARTITION KEY, e FLOAT[{width}] DISTANCE_METRIC=cosine)"
        )
        self._n = 0

    def put(self, owner: int, rows: Rows) -> None:
        """See `Peer`."""
        self._connection.execute("BEGIN")
        values = ((self._n + n, f"{owner:064x}", row.tobytes()) for n, row in enumerate(rows))
        self._connection.executemany("INSERT INTO v (rowid, owner, e) VALUES (?, ?, ?)", values)
        self._connection.execute("COMMIT")
        self._n += len(rows)

    def nearest(self, owner: int, query: Rows, k: int) -> list[int]:
        """See `Peer`."""
        sql = "SELECT rowid FROM v WHERE e MATCH ? AND k = ? AND owner = ? ORDER BY distance"
        return [row[0] for row in self._connection.execute(sql, (query.tobytes(), k, f"{owner:064x}"))]


class Faiss:
    """One index over everybody, and a filter by owner."""

    def __init__(self, width: int, *, is_exact: bool) -> None:
        import faiss

        self._faiss, self._is_exact = faiss, is_exact
        faiss.omp_set_num_threads(1)
        metric = faiss.METRIC_INNER_PRODUCT
        self._index = faiss.IndexFlatIP(width) if is_exact else faiss.IndexHNSWFlat(width, 16, metric)
        self._of: dict[int, tuple[int, int]] = {}

    def put(self, owner: int, rows: Rows) -> None:
        """See `Peer`."""
        start = self._index.ntotal
        self._index.add(rows)
        self._of[owner] = (start, start + len(rows))

    def nearest(self, owner: int, query: Rows, k: int) -> list[int]:
        """See `Peer`."""
        of_owner = self._faiss.IDSelectorRange(*self._of[owner])
        words = {"sel": of_owner} if self._is_exact else {"sel": of_owner, "efSearch": 64}
        kind = self._faiss.SearchParameters if self._is_exact else self._faiss.SearchParametersHNSW
        _, places = self._index.search(query[None], k, params=kind(**words))
        return [int(place) for place in places[0] if place >= 0]


def builders(folder: Path, width: int) -> dict[str, Callable[[], Peer]]:
    """How each peer is made."""
    return {
        "sqlite-vec, by owner": lambda: SqliteVec(folder, width),
        "Faiss flat, filtered": lambda: Faiss(width, is_exact=True),
        "Faiss HNSW, filtered": lambda: Faiss(width, is_exact=False),
    }
