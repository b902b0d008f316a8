"""Samples that were set aside as copies, and the ones that stand for them: rows, gone with either of the two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from uuid import UUID

from sqlalchemy import Connection, Engine, delete, insert, select, update

from projectone.server.corpus.duplicates import Copy
from projectone.server.corpus.tables import COPIES, SAMPLES
from projectone.server.database import reading, writing

_LOOKUP_BATCH = 500


class Collapsed:
    """Which sample is a copy of which. The clip of a copy stays where it is: when the original is erased, it waits."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def mark(
        self,
        copies: Mapping[str, Copy],
        *,
        run_id: str,
        guard: Callable[[Connection], None] = lambda connection: None,
    ) -> int:
        """Discard copies, by id; gives how many. One whose original has been erased meanwhile goes on waiting.

        `guard` refuses the transaction it is called in, as a worker's stale lease does: all are marked, or none.
        """
        by_original: defaultdict[tuple[UUID, str], list[UUID]] = defaultdict(list)
        for sample_id, copy in copies.items():
            by_original[UUID(copy.original), copy.reason].append(UUID(sample_id))
        n_marked = 0
        with writing(self._engine) as connection:
            guard(connection)
            for (original, reason), sample_ids in sorted(by_original.items()):
                alive = select(SAMPLES.c.sample_id).where(SAMPLES.c.sample_id == original, SAMPLES.c.state != "erased")
                if connection.execute(alive).one_or_none() is not None:
                    for start in range(0, len(sample_ids), _LOOKUP_BATCH):
                        batch = sample_ids[start : start + _LOOKUP_BATCH]
                        n_marked += _mark(connection, batch, original, reason, run_id)
        return n_marked

    def original_of(self, sample_id: UUID) -> UUID | None:
        """The sample that stands for a copy; None if the sample is none, or the other one is erased."""
        query = select(COPIES.c.original_id).where(COPIES.c.sample_id == sample_id)
        with reading(self._engine) as connection:
            found: UUID | None = connection.execute(query).scalar_one_or_none()
        return found


def _mark(connection: Connection, sample_ids: list[UUID], original: UUID, reason: str, run_id: str) -> int:
    theirs = (SAMPLES.c.sample_id.in_(sample_ids), SAMPLES.c.state != "erased")
    kept = list(connection.execute(select(SAMPLES.c.sample_id).where(*theirs)).scalars())
    if kept:
        values = {"state": "discarded", "reason": reason, "run_id": run_id}
        connection.execute(update(SAMPLES).where(*theirs).values(**values))
        connection.execute(delete(COPIES).where(COPIES.c.sample_id.in_(kept)))
        connection.execute(insert(COPIES), [{"sample_id": one, "original_id": original} for one in kept])
    return len(kept)
