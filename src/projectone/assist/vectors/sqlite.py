"""Vectors in the SQLite file that a device has anyway: plain rows by owner, and exact answers from memory.

An owner's rows are read once and then kept in memory. Every question first asks the file whether anything in it has
changed, and if so how many rows the owner has and which was put last. Numbers are given in turn and never twice, so
these two say whether the memory is still what the file holds, whoever changed it; what is new is read, what is gone is
left out.

Why no extension of SQLite: docs/adr/0032-keep-vectors-as-plain-rows.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np

from projectone.assist.vectors.blocks import BLOCK_ROWS, OwnerVectors, facts_of
from projectone.assist.vectors.protocol import (
    NEVER,
    Hit,
    Item,
    Owner,
    Vector,
    checked_k,
    direction,
    expiry_us,
    rows_of,
)
from projectone.errors import StorageError
from projectone.storage.database import Database

VECTORS_TABLE: Final = f"""
CREATE TABLE vectors (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    owner BLOB NOT NULL,
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    expires_us INTEGER NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (owner, id)
) STRICT;
CREATE INDEX vectors_by_owner ON vectors(owner);
CREATE INDEX vectors_by_expiry ON vectors(expires_us) WHERE expires_us < {NEVER};
"""

_EXPIRED: Final = f"FROM vectors WHERE expires_us <= ? AND expires_us < {NEVER}"
_KEPT_BYTES: Final = 256_000_000


class SqliteVectors:
    """A `VectorStore` in a database of this process; other processes may use the same file.

    What is deleted is overwritten in the file, and the log beside it is emptied, so that nothing is left on disk.
    Inside a `database.transaction()` everything is part of it.

    Args:
        database: With `VECTORS_TABLE` among its migrations. Its owner closes it.
        width: Numbers of a vector.
        kept_bytes: How much of the file to keep in memory at most; owners who did not ask for long are let go.
    """

    def __init__(self, database: Database, width: int, *, kept_bytes: int = _KEPT_BYTES) -> None:
        self._database = database
        self._width = width
        self._kept_bytes = kept_bytes
        self._is_own_database = False
        # Who asked last is last. Only used while no other thread has the database: one lock for both.
        self._kept: dict[bytes, OwnerVectors] = {}
        self._seen_at: dict[bytes, tuple[int, int]] = {}

    @classmethod
    def in_file(cls, path: Path, width: int) -> SqliteVectors:
        """The store in a database of its own, which is made if it is missing and closed with the store.

        Raises:
            StorageError: if the file is no database, or newer than this code.
        """
        store = cls(Database(path, (VECTORS_TABLE,)), width)
        store._is_own_database = True
        return store

    def put(self, items: Sequence[Item]) -> None:
        """See `VectorStore`."""
        rows = rows_of(items, self._width)
        with self._database.transaction():
            for row in rows:
                self._database.execute(
                    "INSERT OR REPLACE INTO vectors (owner, id, kind, expires_us, vector) VALUES (?, ?, ?, ?, ?)",
                    (
                        bytes.fromhex(row.owner),
                        row.id.bytes,
                        row.kind,
                        row.expires_us,
                        row.vector.astype("<f4").tobytes(),
                    ),
                )

    def nearest(self, query: Vector, owner: Owner, k: int, now: datetime) -> list[Hit]:
        """See `VectorStore`.

        Raises:
            StorageError: also if the owner's vectors have another width: they are an older encoder's; make them anew.
        """
        asked, n, now_us = direction(query, self._width), checked_k(k), expiry_us(now)
        self._sweep(now_us)
        key = bytes.fromhex(owner.key)
        with self._database.reading():
            return self._current(key).nearest(asked, n, now_us)

    def drop(self, ids: Sequence[UUID], owner: Owner) -> int:
        """See `VectorStore`."""
        key = bytes.fromhex(owner.key)
        with self._database.transaction():
            n_dropped = sum(
                self._database.execute("DELETE FROM vectors WHERE owner = ? AND id = ?", (key, identifier.bytes))
                for identifier in set(ids)
            )
        if n_dropped:
            self._database.empty_log()
        return n_dropped

    def forget(self, owner: Owner) -> int:
        """See `VectorStore`."""
        key = bytes.fromhex(owner.key)
        n_forgotten = self._database.execute("DELETE FROM vectors WHERE owner = ?", (key,))
        with self._database.reading():
            self._kept.pop(key, None)
        self._database.empty_log()
        return n_forgotten

    def sweep(self, now: datetime) -> int:
        """See `VectorStore`."""
        return self._sweep(expiry_us(now))

    def count(self, owner: Owner) -> int:
        """See `VectorStore`."""
        return self._standing(bytes.fromhex(owner.key))[0]

    def close(self) -> None:
        """Let go of what is in memory, and of the file if it is the store's own."""
        with self._database.reading():
            self._kept.clear()
        if self._is_own_database:
            self._database.close()

    def _sweep(self, now_us: int) -> int:
        if not self._database.query(f"SELECT 1 {_EXPIRED} LIMIT 1", (now_us,)):
            return 0  # asking takes no lock and writes nothing
        n_expired = self._database.execute(f"DELETE {_EXPIRED}", (now_us,))
        self._database.empty_log()
        return n_expired

    def _standing(self, key: bytes) -> tuple[int, int]:
        """How many rows the owner has, and the number of the last one."""
        found = self._database.query("SELECT count(*), coalesce(max(sequence), 0) FROM vectors WHERE owner = ?", (key,))
        return int(found[0][0]), int(found[0][1])

    def _current(self, key: bytes) -> OwnerVectors:
        """The owner's vectors as the file has them."""
        mark = self._database.change_mark()  # before it is looked: what changes meanwhile moves the next one
        if key in self._kept and self._seen_at[key] == mark and not self._database.is_changing:
            self._kept[key] = self._kept.pop(key)
            return self._kept[key]
        n_rows, last_sequence = self._standing(key)
        kept = self._kept.pop(key, None) or OwnerVectors(self._width)
        while last_sequence > kept.last_sequence and self._read_more(key, kept):
            pass
        if len(kept) != n_rows:
            alive = self._database.query("SELECT sequence FROM vectors WHERE owner = ?", (key,))
            kept.keep_sequences([row[0] for row in alive])
        # What a transaction has changed may be undone, and its numbers be given again: that is not kept.
        if not self._database.is_changing:
            self._kept[key], self._seen_at[key] = kept, mark
            self._let_go()
        return kept

    def _read_more(self, key: bytes, kept: OwnerVectors) -> bool:
        """Read a block of what was put last; false if there is no more."""
        rows = self._database.query(
            "SELECT sequence, id, kind, expires_us, vector FROM vectors INDEXED BY vectors_by_owner "
            "WHERE owner = ? AND sequence > ? ORDER BY sequence LIMIT ?",
            (key, kept.last_sequence, BLOCK_ROWS),
        )
        if not rows:  # another process has deleted it meanwhile
            return False
        vectors = np.frombuffer(b"".join(row[4] for row in rows), "<f4")
        if vectors.size != len(rows) * self._width:
            raise StorageError(
                f"the vectors that are kept are not {self._width} numbers wide: they were made by another encoder; "
                "forget them and make them anew"
            )
        sequences, ids, kinds, expiries, _ = zip(*rows, strict=True)
        kept.add(vectors.reshape(-1, self._width), facts_of(b"".join(ids), sequences, kinds, expiries))
        return True

    def _let_go(self) -> None:
        total = sum(kept.n_bytes for kept in self._kept.values())
        for key in list(self._kept)[:-1]:
            if total <= self._kept_bytes:
                break
            total -= self._kept.pop(key).n_bytes
        if total > self._kept_bytes:
            self._kept.clear()
        self._seen_at = {key: self._seen_at[key] for key in self._kept}
