"""The corpus as rows: what the pipeline and the devices ask of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    func,
    insert,
    select,
    update,
)

from projectone.contracts.base import sha256_hex
from projectone.contracts.corrections import SCOPE_OF_KIND, Correction
from projectone.contracts.uploads import SampleState, UploadReceipt
from projectone.errors import ConsentError, DataError
from projectone.server.corpus.consents import Consents
from projectone.server.corpus.dataset_rows import DatasetRows
from projectone.server.corpus.tables import (
    CONSENTS,
    SAMPLES,
    STATES,
    SampleRow,
    State,
    batches,
    sample_of,
    under_consent,
    utc,
    uuids,
)
from projectone.server.database import reading, writing


class Catalog(Consents, DatasetRows):
    """The corpus as rows. What has been erased or withdrawn is never given out again."""

    # What the pipeline asks.

    def waiting(self) -> list[SampleRow]:
        """Samples that no run has looked at yet and whose consent holds, oldest first."""
        return self._kept("waiting")

    def usable(self) -> list[SampleRow]:
        """Everything that a model may learn from: waiting or used before, consent still valid, oldest first."""
        return self._kept("waiting", "used")

    def living(self) -> list[SampleRow]:
        """Everything whose consent holds, whatever was decided about it, oldest first."""
        return self._kept(*(state for state in STATES if state != "erased"))

    def mark(
        self,
        sample_ids: Iterable[UUID | str],
        state: State,
        *,
        reason: str | None = None,
        run_id: str | None = None,
        guard: Callable[[Connection], None] = lambda connection: None,
    ) -> int:
        """Say what became of samples; gives how many were changed. What is erased stays erased.

        `guard` refuses the transaction it is called in, as a worker's stale lease does: all are marked, or none.
        """
        if state not in STATES or state == "erased":
            raise ValueError(f"state: expected one of {STATES[:-1]}, got {state!r}; only a withdrawal erases")
        n_changed = 0
        with writing(self._engine) as connection:
            guard(connection)
            for batch in batches(uuids(sample_ids)):
                statement = update(SAMPLES).where(SAMPLES.c.sample_id.in_(batch), SAMPLES.c.state != "erased")
                n_changed += connection.execute(statement.values(state=state, reason=reason, run_id=run_id)).rowcount
        return n_changed

    def counts(self) -> dict[State, int]:
        """How many samples are in each state."""
        query = select(SAMPLES.c.state, func.count()).group_by(SAMPLES.c.state)
        with reading(self._engine) as connection:
            found = {state: n for state, n in connection.execute(query)}
        return {state: found.get(state, 0) for state in STATES}

    def discard_reasons(self) -> dict[str, int]:
        """Why samples were discarded, and how many for each reason, the most frequent first."""
        n = func.count()
        query = select(SAMPLES.c.reason, n).where(SAMPLES.c.state == "discarded").group_by(SAMPLES.c.reason)
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(n.desc(), SAMPLES.c.reason)).all()
        return {reason or "unknown": number for reason, number in found}

    def waiting_since(self) -> datetime | None:
        """When the oldest waiting sample came; None if none waits."""
        oldest = under_consent(select(func.min(SAMPLES.c.received_at)), "waiting")
        with reading(self._engine) as connection:
            found = connection.execute(oldest).scalar()
        return None if found is None else utc(found)

    # What devices ask.

    def receipt_of(self, correction: Correction) -> UploadReceipt | None:
        """The receipt of a sample that is here already; None if it is new.

        Raises:
            DataError: `erased`, or `sample-conflict` if the id holds other content.
        """
        with reading(self._engine) as connection:
            return _known(connection, correction)

    def add(
        self,
        correction: Correction,
        *,
        clip_sha256: str,
        duration_s: float,
        device_id: str,
        now: datetime,
        keep_clip: Callable[[], None],
    ) -> tuple[UploadReceipt, bool]:
        """Keep a sample, if its consent holds at the moment it is committed; gives the receipt and whether it is new.

        `keep_clip` runs inside the transaction: a withdrawal of the same clip by someone else may just have removed it.

        Raises:
            ConsentError: if there is no valid consent of this person for this purpose.
            DataError: `erased` or `sample-conflict`.
            StorageError: if the database refused; nothing was acknowledged.
        """
        with writing(self._engine) as connection:
            if (known := _known(connection, correction)) is not None:
                return known, False
            _require_consent(connection, correction)
            keep_clip()
            values = _row_of(correction) | {"clip_sha256": clip_sha256, "duration_s": duration_s}
            connection.execute(insert(SAMPLES).values(**values, device_id=device_id, received_at=now, state="waiting"))
        receipt = UploadReceipt(sample_id=correction.sample_id, sha256=correction.audio.sha256, received_at=now)
        return receipt, True

    def state_of(self, sample_id: UUID, contributor_id: str) -> SampleState | None:
        """What became of a person's own sample; None for everyone else's."""
        query = select(SAMPLES).where(SAMPLES.c.sample_id == sample_id, SAMPLES.c.contributor_id == contributor_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        received = utc(row.received_at)
        return SampleState(sample_id=sample_id, state=row.state, reason=row.reason, received_at=received)

    def _kept(self, *states: State) -> list[SampleRow]:
        query = under_consent(select(SAMPLES), *states).order_by(SAMPLES.c.received_at, SAMPLES.c.sample_id)
        with reading(self._engine) as connection:
            return [sample_of(row) for row in connection.execute(query)]


def _known(connection: Connection, correction: Correction) -> UploadReceipt | None:
    row = connection.execute(select(SAMPLES).where(SAMPLES.c.sample_id == correction.sample_id)).one_or_none()
    if row is None:
        return None
    if row.contributor_id != correction.contributor_id:
        raise DataError("sample-conflict", f"sample {correction.sample_id}: the id is taken")
    if row.state == "erased":
        raise DataError("erased", f"sample {correction.sample_id}: was erased after a withdrawal and stays so")
    digests = (correction.audio.sha256, sha256_hex(correction.to_bytes()))
    if (row.upload_sha256, row.correction_sha256) != digests:
        raise DataError("sample-conflict", f"sample {correction.sample_id}: the id holds other content")
    received = utc(row.received_at)
    return UploadReceipt(sample_id=correction.sample_id, sha256=row.upload_sha256, received_at=received)


def _require_consent(connection: Connection, correction: Correction) -> None:
    query = select(CONSENTS).where(
        CONSENTS.c.receipt_id == correction.consent_receipt_id,
        CONSENTS.c.contributor_id == correction.contributor_id,
        CONSENTS.c.scope == SCOPE_OF_KIND[correction.kind],
        CONSENTS.c.withdrawn_at.is_(None),
    )
    # Locked until the commit where a database has row locks; SQLite has its one write lock already.
    if connection.execute(query.with_for_update()).one_or_none() is None:
        scope = SCOPE_OF_KIND[correction.kind]
        raise ConsentError(f"sample {correction.sample_id}: no valid consent of this person for {scope!r}")


def _row_of(correction: Correction) -> dict[str, Any]:
    fields = (
        "sample_id contributor_id consent_receipt_id kind text heard heard_by accent script_id language recorded_at"
    )
    return {
        **{name: getattr(correction, name) for name in fields.split()},
        "upload_sha256": correction.audio.sha256,
        "correction_sha256": sha256_hex(correction.to_bytes()),
    }
