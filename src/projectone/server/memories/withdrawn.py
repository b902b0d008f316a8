"""Memories of people who took back the last of their consents, where a product said whose consents are whose.

It needs no encoder and no store of vectors, so the process that answers a withdrawal can do it: the key is destroyed
and rows are emptied before the answer. Vectors, which find nothing without rows, go with the next sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from projectone.errors import StorageError
from projectone.server.audit import record
from projectone.server.database import Engine, forget_freed_pages, writing
from projectone.server.memories.rows import HostedRows, Link, every_link, withdrawals_of


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
        ended: Of contributors who had no consent in force at some moment: the last such moment. Whoever agreed again
            since is among them: what was promised at the withdrawal may still be owed.
        now: The time.

    Raises:
        StorageError: if a database refused; everybody else was forgotten, and the next call goes on.
    """
    if not (links := every_link(engine)):
        return 0
    since, n_people = ended(), 0
    refused: StorageError | None = None
    for link in links:
        withdrawn_at = since.get(link.contributor_id)
        if withdrawn_at is None or withdrawn_at.timestamp() < link.linked_s:
            continue
        try:
            n_people += _forget(engine, link, withdrawn_at, destroy, now)
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
    link: Link,
    withdrawn_at: datetime,
    destroy: Callable[[Sequence[UUID]], int],
    now: datetime,
) -> bool:
    """Whether it was done here: of two at the same time one ends it, and puts it on record.

    The other may be late: she agreed again meanwhile, and her products remember and link anew. None of that goes.
    """
    rows = HostedRows(engine, link.owner)
    is_linked, key_id = rows.begin_withdrawal(link, withdrawn_at)
    if not is_linked:
        return False
    if key_id is not None:  # killed from here on, the link says what is left to do
        destroy([key_id])
    with writing(engine) as connection:
        n_forgotten = rows.end_withdrawal(connection, link, key_id, now.timestamp())
        if n_forgotten is None:
            return False
        record(connection, "memories-forgotten", link.owner.key, now=now, memories=n_forgotten, reason="withdrawn")
    return True
