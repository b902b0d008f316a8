"""Vectors in this process's memory alone: small sets that are read from elsewhere at every start, and tests."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import numpy as np

from projectone.assist.vectors.blocks import OwnerVectors, facts_of
from projectone.assist.vectors.protocol import Hit, Item, Owner, Row, Vector, checked_k, direction, expiry_us, rows_of


class MatrixVectors:
    """A `VectorStore` that ends with the process.

    Args:
        width: Numbers of a vector.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._owners: dict[str, OwnerVectors] = {}
        self._next_sequence = 1
        self._lock = threading.Lock()

    def put(self, items: Sequence[Item]) -> None:
        """See `VectorStore`."""
        rows = rows_of(items, self._width)
        with self._lock:
            by_owner: dict[str, list[Row]] = defaultdict(list)
            for row in rows:
                by_owner[row.owner].append(row)
            for owner, theirs in by_owner.items():
                kept = self._owners.setdefault(owner, OwnerVectors(self._width))
                kept.drop_ids([row.id for row in theirs])
                sequences = range(self._next_sequence, self._next_sequence + len(theirs))
                self._next_sequence += len(theirs)
                ids = b"".join(row.id.bytes for row in theirs)
                facts = facts_of(ids, sequences, [row.kind for row in theirs], [row.expires_us for row in theirs])
                kept.add(np.stack([row.vector for row in theirs]), facts)

    def nearest(self, query: Vector, owner: Owner, k: int, now: datetime) -> list[Hit]:
        """See `VectorStore`."""
        asked, n, now_us = direction(query, self._width), checked_k(k), expiry_us(now)
        with self._lock:
            self._sweep(now_us)
            kept = self._owners.get(owner.key)
            return kept.nearest(asked, n, now_us) if kept is not None else []

    def drop(self, ids: Sequence[UUID], owner: Owner) -> int:
        """See `VectorStore`."""
        with self._lock:
            kept = self._owners.get(owner.key)
            return kept.drop_ids(ids) if kept is not None else 0

    def forget(self, owner: Owner) -> int:
        """See `VectorStore`."""
        with self._lock:
            return len(self._owners.pop(owner.key, ()))

    def sweep(self, now: datetime) -> int:
        """See `VectorStore`."""
        with self._lock:
            return self._sweep(expiry_us(now))

    def count(self, owner: Owner) -> int:
        """See `VectorStore`."""
        with self._lock:
            return len(self._owners.get(owner.key, ()))

    def close(self) -> None:
        """See `VectorStore`."""
        with self._lock:
            self._owners.clear()

    def _sweep(self, now_us: int) -> int:
        return sum(kept.drop_expired(now_us) for kept in self._owners.values())
