"""A memory over a database in a folder, and people who talk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.memory import MEMORY_TABLES, About, Kind, Memory, Remembered, Retention
from projectone.assist.vectors.protocol import Owner, VectorStore
from projectone.assist.vectors.sqlite import VECTORS_TABLE, SqliteVectors
from projectone.storage.database import Database

WIDTH = 32
T0 = datetime(2026, 11, 1, 12, tzinfo=UTC)
ANA, BEN = Owner("product", "ana"), Owner("product", "ben")


def open_database(home: Path) -> Database:
    return Database(home / "memory.sqlite", (VECTORS_TABLE, MEMORY_TABLES))


def open_memory(
    database: Database,
    *,
    store: VectorStore | None = None,
    retention: Retention | None = None,
    embedded_by: str = "hashing-32",
) -> Memory:
    return Memory(
        database,
        lambda: store if store is not None else SqliteVectors(database, width=WIDTH),
        HashingEmbedder(WIDTH).embed,
        embedded_by=embedded_by,
        retention=retention,
    )


def say(memory: Memory, owner: Owner, text: str, now: datetime = T0, kind: Kind = "said") -> Remembered:
    kept = memory.remember(owner, text, About(kind, now), now)
    assert kept is not None
    return kept


def days(n: float) -> timedelta:
    return timedelta(days=n)


def recalled(memory: Memory, owner: Owner, text: str, now: datetime = T0, k: int = 100) -> set[UUID]:
    return {each.memory.memory_id for each in memory.recall(owner, text, k, now)}
