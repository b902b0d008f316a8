"""Rows: contributors, their consents, their samples, and which sealed dataset names which sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    Uuid,
    delete,
    func,
    insert,
    select,
    update,
)

from projectone.contracts.base import sha256_hex
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.corrections import SCOPE_OF_KIND, Correction
from projectone.contracts.uploads import SampleState, UploadReceipt
from projectone.errors import ConsentError, DataError, StorageError, WithdrawnError
from projectone.server.database import METADATA, forget_freed_pages, reading, writing

State = Literal["waiting", "held", "used", "discarded", "quarantined", "erased"]
STATES: tuple[State, ...] = ("waiting", "held", "used", "discarded", "quarantined", "erased")
_LOOKUP_BATCH = 500
V = TypeVar("V")

CONTRIBUTORS = Table(
    "contributors",
    METADATA,
    Column("contributor_id", String(96), primary_key=True),
    Column("first_seen_at", DateTime(timezone=True), nullable=False),
)

CONSENTS = Table(
    "consents",
    METADATA,
    Column("receipt_id", Uuid, primary_key=True),
    Column("contributor_id", String(96), ForeignKey("contributors.contributor_id"), nullable=False, index=True),
    Column("scope", String(32), nullable=False),
    Column("text_version", Integer, nullable=False),
    Column("method", String(16), nullable=False),
    Column("granted_at", DateTime(timezone=True), nullable=False),
    Column("withdrawn_at", DateTime(timezone=True)),
)

SAMPLES = Table(
    "samples",
    METADATA,
    Column("sample_id", Uuid, primary_key=True),
    Column("contributor_id", String(96), ForeignKey("contributors.contributor_id"), nullable=False, index=True),
    Column("consent_receipt_id", Uuid, ForeignKey("consents.receipt_id"), nullable=False, index=True),
    Column("device_id", String(96), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("upload_sha256", String(64), nullable=False),
    Column("correction_sha256", String(64), nullable=False),
    # Empty after erasure: the row is then a tombstone that keeps the id from being used again.
    Column("clip_sha256", String(64), index=True),
    Column("text", Text),
    Column("heard", Text),
    Column("heard_by", String(96)),
    Column("accent", String(96)),
    Column("script_id", String(96)),
    Column("language", String(3), nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("reason", String(64)),
    Column("run_id", String(96)),
    # What was measured and doubted, and what a person decided: `corpus/review.py` writes and reads it.
    Column("checks", Text),
)

SEALED = Table(
    "sealed_samples",
    METADATA,
    Column("dataset_sha256", String(64), primary_key=True),
    Column("sample_id", Uuid, ForeignKey("samples.sample_id"), primary_key=True, index=True),
)

# What a withdrawal took from people and the disk may still have: written with the withdrawal, gone when the bytes are.
DOOMED = Table(
    "doomed_blobs",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("consent_receipt_id", Uuid, ForeignKey("consents.receipt_id"), primary_key=True),
)


@dataclass(frozen=True)
class SampleRow:
    """A sample that is kept: the clip lies in the blob store under `clip_sha256`; `recorded_at` is the correction's."""

    sample_id: UUID
    contributor_id: str
    device_id: str
    kind: str
    clip_sha256: str
    upload_sha256: str
    text: str
    heard: str | None
    language: str
    accent: str | None
    duration_s: float
    recorded_at: datetime
    received_at: datetime
    state: State
    reason: str | None
    run_id: str | None
    checks: str | None


class Catalog:
    """The corpus as rows. What has been erased or withdrawn is never given out again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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
            for batch in _batches(_uuids(sample_ids)):
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
        oldest = _under_consent(select(func.min(SAMPLES.c.received_at)), "waiting")
        with reading(self._engine) as connection:
            found = connection.execute(oldest).scalar()
        return None if found is None else utc(found)

    def note_sealed(self, dataset_sha256: str, sample_ids: Iterable[UUID | str]) -> None:
        """Remember which samples a sealed dataset names, so that a withdrawal finds it.

        Raises:
            ConsentError: if one of them has been erased meanwhile.
        """
        wanted = _uuids(sample_ids)
        with writing(self._engine) as connection:
            for batch in _batches(wanted):
                alive = select(SAMPLES.c.sample_id).where(SAMPLES.c.sample_id.in_(batch), SAMPLES.c.state != "erased")
                found = set(connection.execute(alive).scalars())
                if gone := set(batch) - found:
                    raise ConsentError(f"{len(gone)} samples of a dataset were withdrawn or are unknown; seal it again")
                here = (SEALED.c.dataset_sha256 == dataset_sha256, SEALED.c.sample_id.in_(batch))
                fresh = found - set(connection.execute(select(SEALED.c.sample_id).where(*here)).scalars())
                if fresh:
                    rows = [{"dataset_sha256": dataset_sha256, "sample_id": sample_id} for sample_id in fresh]
                    connection.execute(insert(SEALED), rows)

    def is_withdrawn(self, dataset_sha256: str) -> bool:
        """Whether a sealed dataset names a sample that was withdrawn."""
        with reading(self._engine) as connection:
            return _names_withdrawn(connection, dataset_sha256, is_locking=False)

    def refuse_withdrawn(self, connection: Connection, dataset_sha256: str) -> None:
        """Refuse the caller's transaction if a sealed dataset names a withdrawn sample; till its end none is.

        Raises:
            WithdrawnError: if it does.
        """
        if _names_withdrawn(connection, dataset_sha256, is_locking=True):
            raise WithdrawnError(f"dataset {dataset_sha256}: a sample in it was withdrawn")

    def withdrawn_datasets(self) -> set[str]:
        """Every sealed dataset that ever named a sample which is erased now."""
        with reading(self._engine) as connection:
            return set(connection.execute(_tainted_datasets()).scalars())

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

    def grant(self, receipt: ConsentReceipt, now: datetime) -> ConsentReceipt:
        """Keep a consent; the same again changes nothing, and what was withdrawn stays withdrawn.

        Raises:
            DataError: `consent-conflict` if the id holds another consent.
        """
        with writing(self._engine) as connection:
            row = connection.execute(select(CONSENTS).where(CONSENTS.c.receipt_id == receipt.receipt_id)).one_or_none()
            if row is not None:
                known = receipt_of_row(row)
                if known.model_copy(update={"withdrawn_at": None}) != receipt.model_copy(update={"withdrawn_at": None}):
                    raise DataError("consent-conflict", f"consent {receipt.receipt_id}: the id holds another consent")
                return known
            is_known = select(CONTRIBUTORS).where(CONTRIBUTORS.c.contributor_id == receipt.contributor_id)
            if connection.execute(is_known).one_or_none() is None:
                values = {"contributor_id": receipt.contributor_id, "first_seen_at": now}
                connection.execute(insert(CONTRIBUTORS).values(**values))
            connection.execute(insert(CONSENTS).values(**receipt.model_dump(exclude={"schema_version"})))
        return receipt

    def withdraw(self, receipt_id: UUID, contributor_id: str, now: datetime) -> ConsentReceipt | None:
        """End a consent and empty what was sent under it, in one transaction; None for a consent of someone else.

        The clips, and the sealed datasets that named a sample, are doomed in it: `remove_doomed` takes them.
        """
        theirs = (CONSENTS.c.receipt_id == receipt_id, CONSENTS.c.contributor_id == contributor_id)
        with writing(self._engine) as connection:
            row = connection.execute(select(CONSENTS).where(*theirs).with_for_update()).one_or_none()
            if row is None:
                return None
            if row.withdrawn_at is None:
                connection.execute(update(CONSENTS).where(*theirs).values(withdrawn_at=now))
                row = connection.execute(select(CONSENTS).where(*theirs)).one()
            emptied = dict.fromkeys(
                ("text", "heard", "heard_by", "accent", "script_id", "clip_sha256", "reason", "checks")
            )
            under_it = (SAMPLES.c.consent_receipt_id == receipt_id, SAMPLES.c.state != "erased")
            digests = {"upload_sha256": "", "correction_sha256": ""}
            statement = update(SAMPLES).where(*under_it).values(state="erased", **digests, **emptied)
            clips = set(connection.execute(select(SAMPLES.c.clip_sha256).where(*under_it)).scalars())
            sealed = select(SEALED.c.dataset_sha256).join(SAMPLES, SAMPLES.c.sample_id == SEALED.c.sample_id)
            datasets = set(connection.execute(sealed.where(*under_it)).scalars())
            connection.execute(statement)
            _doom(connection, receipt_id, clips | datasets)
        forget_freed_pages(self._engine)
        return receipt_of_row(row)

    # What retention asks.

    def remove_unnamed(self, blob_sha256s: Iterable[str], remove: Callable[[str], None]) -> int:
        """Call `remove` for each blob that no living sample and no dataset of living samples names; gives how many.

        Runs in a writing transaction, so that an upload of the same clip either sees the blob or puts it back.
        """
        with writing(self._engine) as connection:
            return _remove_unnamed(connection, blob_sha256s, remove)

    def remove_doomed(self, remove: Callable[[str], None], receipt_id: UUID | None = None) -> int:
        """Call `remove` for what withdrawals, or this one, left to be removed, unless somebody else sent the same.

        Gives for how many. What could not be removed stays doomed, and holds up nothing else.

        Raises:
            StorageError: if something could not be removed; the next call tries it again.
        """
        query = select(DOOMED.c.sha256).distinct().order_by(DOOMED.c.sha256)
        if receipt_id is not None:
            query = query.where(DOOMED.c.consent_receipt_id == receipt_id)
        with reading(self._engine) as connection:
            if connection.execute(query.limit(1)).first() is None:
                return 0
        failed: dict[str, Exception] = {}

        def attempt(sha256: str) -> None:
            try:
                remove(sha256)
            except (OSError, StorageError) as error:
                failed[sha256] = error

        with writing(self._engine) as connection:
            doomed = list(connection.execute(query).scalars())
            n_removed = _remove_unnamed(connection, doomed, attempt) - len(failed)
            for batch in _batches(sha256 for sha256 in doomed if sha256 not in failed):
                connection.execute(delete(DOOMED).where(DOOMED.c.sha256.in_(batch)))
        if failed:
            first = next(iter(failed.values()))
            raise StorageError(f"{len(failed)} erased blobs could not be removed yet: {first}") from first
        return n_removed

    def _kept(self, *states: State) -> list[SampleRow]:
        query = _under_consent(select(SAMPLES), *states).order_by(SAMPLES.c.received_at, SAMPLES.c.sample_id)
        with reading(self._engine) as connection:
            return [sample_of(row) for row in connection.execute(query)]


def _doom(connection: Connection, receipt_id: UUID, sha256s: Iterable[str]) -> None:
    theirs = select(DOOMED.c.sha256).where(DOOMED.c.consent_receipt_id == receipt_id)
    known = set(connection.execute(theirs).scalars())
    if fresh := [{"sha256": key, "consent_receipt_id": receipt_id} for key in sorted(sha256s) if key not in known]:
        connection.execute(insert(DOOMED), fresh)


def _remove_unnamed(connection: Connection, blob_sha256s: Iterable[str], remove: Callable[[str], None]) -> int:
    n_removed = 0
    tainted = set(connection.execute(_tainted_datasets()).scalars())
    for batch in _batches(blob_sha256s):
        clips = select(SAMPLES.c.clip_sha256).where(SAMPLES.c.clip_sha256.in_(batch))
        sets = select(SEALED.c.dataset_sha256).where(SEALED.c.dataset_sha256.in_(batch))
        named = set(connection.execute(clips).scalars()) | set(connection.execute(sets).scalars()) - tainted
        for key in sorted(set(batch) - named):
            remove(key)
            n_removed += 1
    return n_removed


def _under_consent(query: Any, *states: State) -> Any:  # noqa: ANN401 - a SQLAlchemy query
    joined = query.join(CONSENTS, CONSENTS.c.receipt_id == SAMPLES.c.consent_receipt_id)
    return joined.where(SAMPLES.c.state.in_(states), CONSENTS.c.withdrawn_at.is_(None))


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


def sample_of(row: Any) -> SampleRow:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    """A row of `SAMPLES` that is not erased."""
    values = {name: getattr(row, name) for name in SampleRow.__dataclass_fields__}
    return SampleRow(**values | {name: utc(values[name]) for name in ("recorded_at", "received_at")})


def receipt_of_row(row: Any) -> ConsentReceipt:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    """A row of `CONSENTS`."""
    return ConsentReceipt(
        receipt_id=row.receipt_id,
        contributor_id=row.contributor_id,
        scope=row.scope,
        text_version=row.text_version,
        method=row.method,
        granted_at=utc(row.granted_at),
        withdrawn_at=None if row.withdrawn_at is None else utc(row.withdrawn_at),
    )


def _names_withdrawn(connection: Connection, dataset_sha256: str, *, is_locking: bool) -> bool:
    """By the consents, few as they are beside the samples; a withdrawal changes them in the transaction that erases."""
    theirs = select(SAMPLES.c.consent_receipt_id).join(SEALED, SEALED.c.sample_id == SAMPLES.c.sample_id)
    query = select(CONSENTS.c.withdrawn_at).where(
        CONSENTS.c.receipt_id.in_(theirs.where(SEALED.c.dataset_sha256 == dataset_sha256))
    )
    if is_locking:  # until the commit where a database has row locks; SQLite has its one write lock already
        query = query.with_for_update(read=True)
    return any(moment is not None for moment in connection.execute(query).scalars())


def _tainted_datasets() -> Any:  # noqa: ANN401 - a SQLAlchemy query
    joined = select(SEALED.c.dataset_sha256).join(SAMPLES, SAMPLES.c.sample_id == SEALED.c.sample_id)
    return joined.where(SAMPLES.c.state == "erased").distinct()


def utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; everything we write is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _uuids(sample_ids: Iterable[UUID | str]) -> list[UUID]:
    return list(dict.fromkeys(UUID(str(sample_id)) for sample_id in sample_ids))


def _batches(values: Iterable[V]) -> Iterator[Sequence[V]]:
    ordered = list(values)
    for start in range(0, len(ordered), _LOOKUP_BATCH):
        yield ordered[start : start + _LOOKUP_BATCH]
