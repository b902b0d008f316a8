"""A sample's whole story in rows: what was sent, under which consent, what became of it and where it was used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, select

from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.corrections import SampleKind
from projectone.errors import DataError
from projectone.server.corpus.sample_words import words_of_row
from projectone.server.corpus.tables import (
    CLEAR_WORDS,
    CONSENTS,
    COPIES,
    SAMPLES,
    SEALED,
    State,
    receipt_of_row,
    utc,
)
from projectone.server.corpus.vault import Vault
from projectone.server.database import reading

_HEX_DIGITS = 32
_LOOKUP_BATCH = 500


@dataclass(frozen=True)
class KnownSample:
    """A sample in any state. Of one that was erased only ids, moments and the length are left; the rest is None."""

    sample_id: UUID
    contributor_id: str
    kind: str
    language: str
    text: str | None
    heard: str | None
    heard_by: str | None
    accent: str | None
    script_id: str | None
    clip_sha256: str | None
    duration_s: float
    recorded_at: datetime
    received_at: datetime
    state: State
    reason: str | None
    run_id: str | None
    checks: str | None


@dataclass(frozen=True)
class History:
    """A sample, its consent as it stands now, the datasets that ever named it, and of a copy what stands for it."""

    sample: KnownSample
    consent: ConsentReceipt
    dataset_sha256s: tuple[str, ...]
    original_id: UUID | None


class Histories:
    """Reads stories; changes nothing."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def tell(self, named: str) -> History:
        """The story of one sample.

        Args:
            named: Its id, or the beginning of it.

        Raises:
            DataError: ``sample-unknown`` unless exactly one id begins like this.
        """
        digits = named.replace("-", "").lower()
        if not digits or len(digits) > _HEX_DIGITS or not set(digits) <= set("0123456789abcdef"):
            raise DataError("sample-unknown", f"sample {named!r}: expected the beginning of an id, such as 7d0c1f9e")
        # A range, not a pattern: it means the same for ids kept as text and for those of a database that has a type.
        first, last = UUID(digits.ljust(_HEX_DIGITS, "0")), UUID(digits.ljust(_HEX_DIGITS, "f"))
        query = select(SAMPLES).where(SAMPLES.c.sample_id.between(first, last)).limit(2)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
            if len(rows) != 1:
                found = "several" if rows else "none"
                raise DataError("sample-unknown", f"sample {named!r}: expected the beginning of one id, found {found}")
            theirs = select(CONSENTS).where(CONSENTS.c.receipt_id == rows[0].consent_receipt_id)
            consent = receipt_of_row(connection.execute(theirs).one())
            sealed = select(SEALED.c.dataset_sha256).where(SEALED.c.sample_id == rows[0].sample_id)
            datasets = sorted(connection.execute(sealed).scalars())
            original = select(COPIES.c.original_id).where(COPIES.c.sample_id == rows[0].sample_id)
            original_id = connection.execute(original).scalar_one_or_none()
        return History(_known_sample(rows[0], self._vault), consent, tuple(datasets), original_id)

    def newest(
        self,
        n: int,
        *,
        states: Sequence[State] = (),
        reason: str | None = None,
        contributor_id: str | None = None,
        kind: SampleKind | None = None,
    ) -> list[KnownSample]:
        """At most `n` samples, the newest first; of these states, reason, person and kind where they are given."""
        query = select(SAMPLES).order_by(SAMPLES.c.received_at.desc(), SAMPLES.c.sample_id).limit(n)
        if states:
            query = query.where(SAMPLES.c.state.in_(states))
        if reason is not None:
            query = query.where(SAMPLES.c.reason == reason)
        if contributor_id is not None:
            query = query.where(SAMPLES.c.contributor_id == contributor_id)
        if kind is not None:
            query = query.where(SAMPLES.c.kind == kind)
        with reading(self._engine) as connection:
            return [_known_sample(row, self._vault) for row in connection.execute(query)]

    def clips(self) -> set[str]:
        """The digest of every clip that a sample names."""
        query = select(SAMPLES.c.clip_sha256).where(SAMPLES.c.clip_sha256.is_not(None)).distinct()
        with reading(self._engine) as connection:
            return set(connection.execute(query).scalars())

    def naming(self, clip_sha256s: Iterable[str]) -> dict[str, list[UUID]]:
        """The samples that name these clips, by clip; a clip that nothing names is left out."""
        wanted = sorted(set(clip_sha256s))
        found: dict[str, list[UUID]] = {}
        columns = (SAMPLES.c.clip_sha256, SAMPLES.c.sample_id)
        with reading(self._engine) as connection:
            for start in range(0, len(wanted), _LOOKUP_BATCH):
                batch = wanted[start : start + _LOOKUP_BATCH]
                query = select(*columns).where(SAMPLES.c.clip_sha256.in_(batch)).order_by(SAMPLES.c.sample_id)
                for clip_sha256, sample_id in connection.execute(query):
                    found.setdefault(clip_sha256, []).append(sample_id)
        return found


def _known_sample(row: Any, vault: Vault) -> KnownSample:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    values = {name: getattr(row, name) for name in KnownSample.__dataclass_fields__}
    if (words := words_of_row(row, vault)) is not None:
        values |= {name: getattr(words, name) for name in CLEAR_WORDS}
    moments = {name: utc(values[name]) for name in ("recorded_at", "received_at")}
    return KnownSample(**values | moments)
