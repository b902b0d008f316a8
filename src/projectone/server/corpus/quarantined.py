"""Samples that were set aside with a run, and their way back once a human has looked at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, Engine, Integer, String, Table, Text, func, insert, select, update

from projectone.errors import DataError
from projectone.server.audit import record
from projectone.server.corpus.sample_words import opened
from projectone.server.corpus.tables import CONSENTS, SAMPLES, SampleRow, utc
from projectone.server.corpus.vault import Vault
from projectone.server.database import METADATA, reading, writing
from projectone.server.runs import RUNS

RETURNED = "returned"
"""What a sample that waits again says as its reason; its run stays named beside it."""

RETURNS = Table(
    "sample_returns",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(96), nullable=False, index=True),
    Column("returned_at", DateTime(timezone=True), nullable=False),
    Column("returned_by", String(96), nullable=False),
    Column("reason", Text),
    Column("n_samples", Integer, nullable=False),
)


@dataclass(frozen=True)
class Return:
    """Samples of one run that wait again: how many, since when, by whose decision and why."""

    run_id: str
    returned_at: datetime
    returned_by: str
    reason: str | None
    n_samples: int


class Quarantined:
    """The catalog's samples in the state `quarantined`, by the run that set them aside."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def counts(self) -> dict[str, int]:
        """How many samples each run still holds."""
        query = select(SAMPLES.c.run_id, func.count()).where(SAMPLES.c.state == "quarantined")
        with reading(self._engine) as connection:
            found = connection.execute(query.group_by(SAMPLES.c.run_id)).all()
        return {str(run_id): int(n) for run_id, n in found}

    def samples(self, run_id: str) -> list[SampleRow]:
        """What a run holds, oldest first, consent or not: it is for the operator's eyes."""
        query = select(SAMPLES).where(SAMPLES.c.state == "quarantined", SAMPLES.c.run_id == run_id)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(SAMPLES.c.received_at, SAMPLES.c.sample_id)).all()
        return opened(rows, self._vault)

    def returns(self) -> list[Return]:
        """Every return, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(RETURNS).order_by(RETURNS.c.number)).all()
        return [Return(row.run_id, utc(row.returned_at), row.returned_by, row.reason, row.n_samples) for row in rows]

    def give_back(
        self, run_id: str, *, by: str, reason: str | None, now: datetime, sample_ids: Sequence[UUID] = ()
    ) -> Return:
        """Let a run's samples wait again, so that the next run may take them; recorded in the same transaction.

        What was withdrawn since is erased and does not come back.

        Args:
            run_id: Whose samples.
            by: Who decided.
            reason: Why, in their words.
            now: When.
            sample_ids: Only these; without any, all that the run holds.

        Raises:
            DataError: ``run-at-work`` if the run has not ended; ``nothing-to-return`` if it holds no such sample.
        """
        held = [SAMPLES.c.state == "quarantined", SAMPLES.c.run_id == run_id]
        is_allowed = select(CONSENTS.c.receipt_id).where(CONSENTS.c.withdrawn_at.is_(None))
        held.append(SAMPLES.c.consent_receipt_id.in_(is_allowed))
        with writing(self._engine) as connection:
            # A quarantine that is repeated after a crash would take them again.
            state = connection.execute(select(RUNS.c.state).where(RUNS.c.run_id == run_id)).scalar()
            if state in ("requested", "running", "waiting"):
                raise DataError("run-at-work", f"run {run_id}: is still at work; return its samples once it has ended")
            found = set(connection.execute(select(SAMPLES.c.sample_id).where(*held)).scalars())
            wanted = set(sample_ids) or found
            if not wanted or wanted - found:
                what = ", ".join(sorted(map(str, wanted - found))) or "any sample"
                raise DataError("nothing-to-return", f"run {run_id}: does not hold {what} in quarantine")
            back = update(SAMPLES).where(*held, *([SAMPLES.c.sample_id.in_(wanted)] if sample_ids else []))
            n = connection.execute(back.values(state="waiting", reason=RETURNED)).rowcount
            values = {"run_id": run_id, "returned_at": now, "returned_by": by, "reason": reason, "n_samples": n}
            connection.execute(insert(RETURNS).values(**values))
            record(connection, "samples-returned", run_id, by=by, now=now, n_samples=n)
        return Return(run_id, now, by, reason, n)
