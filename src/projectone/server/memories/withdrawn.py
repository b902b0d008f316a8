"""Memories of people who took back the last of their consents, where a product said whose consents are whose.

It needs no encoder and no store of vectors, so the process that answers a withdrawal can do it: the key is destroyed
and rows are emptied before the answer. Vectors, which find nothing without rows, go with the next sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from projectone.server.audit import record
from projectone.server.database import Engine, forget_freed_pages, writing
from projectone.server.memories.rows import HostedRows, every_link


def forget_withdrawn(
    engine: Engine,
    destroy: Callable[[Sequence[UUID]], int],
    ended: Callable[[], Mapping[str, datetime]],
    now: datetime,
) -> int:
    """Forget everybody who was linked before their last consent ended; gives how many people. The same again is safe.

    Args:
        engine: The server's database.
        destroy: Destroys keys, for good.
        ended: Of contributors with no consent in force any more: since when.
        now: The time.

    Raises:
        StorageError: if a database refused; the next call goes on.
    """
    if not (links := every_link(engine)):
        return 0
    since, n_people = ended(), 0
    for owner, contributor_id, linked_s in links:
        if contributor_id not in since or since[contributor_id].timestamp() < linked_s:
            continue
        rows = HostedRows(engine, owner)
        key_id = rows.begin_forgetting()
        if key_id is not None:
            destroy([key_id])
        with writing(engine) as connection:
            n_forgotten = rows.empty_all(connection, now.timestamp())
            record(connection, "memories-forgotten", owner.key, now=now, memories=n_forgotten, reason="withdrawn")
        n_people += 1
    if n_people:
        forget_freed_pages(engine)
    return n_people
