"""Memories that came back with rows of before: the store of keys remembers who was forgotten since.

It needs no store of vectors: what rows name there goes with the next sweep, and finds nothing until then.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from datetime import datetime
from uuid import UUID

from projectone.server.audit import record
from projectone.server.database import Engine, forget_freed_pages, writing
from projectone.server.memories.rows import HostedRows, every_key


def forget_destroyed(engine: Engine, destroyed: Callable[[], Set[UUID]], now: datetime) -> int:
    """Empty the rows of everybody whose key is destroyed, on the record; gives how many people. The same again is safe.

    A forgetting that was begun here is not among them: a sweep ends it, and keeps what was linked meanwhile.

    Args:
        engine: The server's database.
        destroyed: Every key that was destroyed.
        now: The time.

    Raises:
        StorageError: if the database refused; the next call goes on.
    """
    if not (keys := [(owner, key_id) for owner, key_id, is_forgotten in every_key(engine) if not is_forgotten]):
        return 0
    gone = destroyed()
    n_people = sum(_forget(engine, HostedRows(engine, owner), key_id, now) for owner, key_id in keys if key_id in gone)
    if n_people:
        forget_freed_pages(engine)
    return n_people


def vectors_are_elsewhere(engine: Engine) -> None:
    """No vector counts any more: a backup holds none, for they lie open. Sweeps make them anew."""
    for owner, _, _ in every_key(engine):
        HostedRows(engine, owner).unmark()


def _forget(engine: Engine, rows: HostedRows, key_id: UUID, now: datetime) -> bool:
    rows.begin_forgetting()  # the link goes too: it went then
    n_memories = rows.n_alive()
    with writing(engine) as connection:
        is_ended_here = rows.end_forgetting(connection, key_id, now.timestamp())
        if is_ended_here:
            record(connection, "memories-forgotten", rows.owner.key, now=now, memories=n_memories, reason="restored")
    return is_ended_here
