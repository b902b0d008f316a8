"""Tables of the corpus: contributors, their consents and samples, and which sealed dataset names which sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

from sqlalchemy import (
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    Uuid,
)

from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.corrections import FAMILY_OF_KIND, SampleKind
from projectone.contracts.versions import Family
from projectone.server.database import METADATA

State = Literal["waiting", "held", "used", "discarded", "quarantined", "erased"]
STATES: tuple[State, ...] = ("waiting", "held", "used", "discarded", "quarantined", "erased")
CLEAR_WORDS = ("text", "heard", "heard_by", "accent", "script_id")
"""Columns of `SAMPLES` that lie open only in rows from before there were seals."""

TAKEN_BACK: Final = "deleted"
"""The reason in a row that was emptied because the person took this one sample back."""

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
    # Empty in every row with `words`: no device is named beside the sound.
    Column("device_id", String(96), nullable=False),
    Column("kind", String(16), nullable=False),
    # Of a row with `words` these two are `Vault.mac` of the digests: the digest itself would find the recording.
    Column("upload_sha256", String(64), nullable=False),
    Column("correction_sha256", String(64), nullable=False),
    # Empty after erasure: the row is then a tombstone that keeps the id from being used again.
    Column("clip_sha256", String(64), index=True),
    # Sealed `Words`. The words below are empty then; only rows from before there were seals have them.
    Column("words", LargeBinary),
    # `Vault.mac` of the text as it is learned from: a list of samples pins it without knowing it.
    Column("text_mac", String(64)),
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

# Which sample stands for one that was set aside as its copy.
COPIES = Table(
    "sample_copies",
    METADATA,
    Column("sample_id", Uuid, ForeignKey("samples.sample_id"), primary_key=True),
    Column("original_id", Uuid, ForeignKey("samples.sample_id"), nullable=False, index=True),
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


# What people took back one by one, also of what never came: an upload that arrives late is refused by it.
DELETED = Table(
    "deleted_samples",
    METADATA,
    Column("sample_id", Uuid, primary_key=True),
    Column("contributor_id", String(96), primary_key=True),
    Column("deleted_at", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True)
class SampleRow:
    """A sample that is kept, its words opened.

    Attributes:
        clip_sha256: Names the sealed clip in the blob store; no two samples share one.
        upload_sha256: Stands for the recording as it was sent: the same for the same recording under the same consent.
        recorded_at: The correction's.
    """

    sample_id: UUID
    contributor_id: str
    device_id: str
    kind: SampleKind
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


@dataclass(frozen=True)
class ListedSample:
    """What a list of samples says of one, without its words; whoever reads it needs no key."""

    sample_id: UUID
    contributor_id: str
    clip_sha256: str
    text_mac: str
    duration_s: float


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


def under_consent(query: Any, *states: State) -> Any:  # noqa: ANN401 - a SQLAlchemy query
    """A query on `SAMPLES`, narrowed to these states and to consents in force."""
    joined = query.join(CONSENTS, CONSENTS.c.receipt_id == SAMPLES.c.consent_receipt_id)
    return joined.where(SAMPLES.c.state.in_(states), CONSENTS.c.withdrawn_at.is_(None))


def of_family(query: Any, family: Family | None) -> Any:  # noqa: ANN401 - a SQLAlchemy query
    """A query on `SAMPLES`, narrowed to what models of a family learn from; None leaves it as it is."""
    kinds = [kind for kind, theirs in FAMILY_OF_KIND.items() if theirs == family]
    return query if family is None else query.where(SAMPLES.c.kind.in_(kinds))


def utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; everything we write is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def uuids(sample_ids: Iterable[UUID | str]) -> list[UUID]:
    """Each id once, in their order."""
    return list(dict.fromkeys(UUID(str(sample_id)) for sample_id in sample_ids))


def batches(values: Iterable[V]) -> Iterator[Sequence[V]]:
    """In pieces that a database takes as parameters of one statement."""
    ordered = list(values)
    for start in range(0, len(ordered), _LOOKUP_BATCH):
        yield ordered[start : start + _LOOKUP_BATCH]
