"""Memories of people who took back the last of their consents, where a product said whose consents are whose.

It needs no encoder and no store of vectors, so the process that answers a withdrawal can do it: the key is destroyed
and rows are emptied before the answer. Vectors, which find nothing without rows, go with the next sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from projectone.assist.vectors.protocol import Owner
from projectone.errors import StorageError
from projectone.server.audit import record
from projectone.server.database import Engine, forget_freed_pages, writing
from projectone.server.memories.rows import HostedRows, every_link, note_withdrawal, withdrawals_of


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
        StorageError: if a database refused; everybody else was forgotten, and the next call goes on.
    """
    if not (links := every_link(engine)):
        return 0
    since, n_people = ended(), 0
    refused: StorageError | None = None
    for owner, contributor_id, linked_s in links:
        if contributor_id not in since or since[contributor_id].timestamp() < linked_s:
            continue
        try:
            n_people += _forget(engine, owner, (contributor_id, since[contributor_id]), destroy, now)
        except StorageError as error:  # one refused key keeps nobody else's
            refused = error
    if n_people:
        forget_freed_pages(engine)
    if refused is not None:
        raise refused
    return n_people


def account(engine: Engine, contributor_id: str, withdrawn_at: datetime) -> tuple[int, bool]:
    """How many memories went with the last consent that a person withdrew at this moment, and whether all have gone."""
    n_memories = sum(n for moment, n in withdrawals_of(engine, contributor_id) if moment == withdrawn_at)
    waiting = (
        linked_s <= withdrawn_at.timestamp() for _, whose, linked_s in every_link(engine) if whose == contributor_id
    )
    return n_memories, not any(waiting)


def _forget(
    engine: Engine,
    owner: Owner,
    whose: tuple[str, datetime],
    destroy: Callable[[Sequence[UUID]], int],
    now: datetime,
) -> bool:
    """Whether it was done here: of two at the same time one ends it, and puts it on record."""
    rows = HostedRows(engine, owner)
    key_id = rows.begin_forgetting(unlinks=False)  # killed from here on, the link says what is left to do
    if key_id is not None:
        destroy([key_id])
    with writing(engine) as connection:
        if not rows.unlink(connection):
            return False
        n_forgotten = rows.empty_all(connection, now.timestamp())
        note_withdrawal(connection, *whose, n_forgotten)
        record(connection, "memories-forgotten", owner.key, now=now, memories=n_forgotten, reason="withdrawn")
    return True
