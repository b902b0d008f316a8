"""The corpus as rows: what the pipeline and the devices ask of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Engine,
    bindparam,
    insert,
    select,
    update,
)

from projectone.contracts.corrections import SCOPE_OF_KIND, Sample
from projectone.contracts.texts import clean_transcript
from projectone.contracts.uploads import SampleState, UploadReceipt
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.errors import ConsentError, DataError
from projectone.server.corpus.consents import Consents
from projectone.server.corpus.dataset_rows import DatasetRows
from projectone.server.corpus.deletions import Deletions, refuse_deleted
from projectone.server.corpus.sample_counts import SampleCounts
from projectone.server.corpus.sample_words import (
    is_changed,
    is_same,
    opened,
    place_of_row,
    sealed_row,
    sealed_values,
    words_of_row,
)
from projectone.server.corpus.spent_keys import destroy_spent_keys
from projectone.server.corpus.tables import (
    CONSENTS,
    SAMPLES,
    STATES,
    ListedSample,
    SampleRow,
    State,
    batches,
    of_family,
    under_consent,
    utc,
    uuids,
)
from projectone.server.corpus.vault import Place, Vault
from projectone.server.database import reading, writing
from projectone.server.group_commits import GroupCommits

_PAGE = 500
# Made once: putting a statement together costs more than running it.
_SAMPLE = select(SAMPLES).where(SAMPLES.c.sample_id == bindparam("wanted"))
_CONSENT = select(CONSENTS.c.receipt_id).where(
    CONSENTS.c.receipt_id == bindparam("receipt"),
    CONSENTS.c.contributor_id == bindparam("contributor"),
    CONSENTS.c.scope == bindparam("scope"),
    CONSENTS.c.withdrawn_at.is_(None),
)
_INSERT = insert(SAMPLES)


class Catalog(Consents, Deletions, DatasetRows, SampleCounts):
    """The corpus as rows. What has been erased or withdrawn is never given out again."""

    def __init__(self, engine: Engine, vault: Vault | None = None) -> None:
        """Open the rows.

        Args:
            engine: The server's database.
            vault: Seals and opens what people sent. Without it samples are counted and marked, but not read or added.
        """
        super().__init__(engine)
        self._vault = vault
        self._commits = GroupCommits(engine)

    @property
    def vault(self) -> Vault:
        """What seals and opens here.

        Raises:
            ValueError: if the catalog was opened without one.
        """
        if self._vault is None:
            raise ValueError("catalog: expected a vault to read and add samples with, was opened without one")
        return self._vault

    def destroy_spent_keys(self, now: datetime, *, receipt_id: UUID | None = None) -> int:
        """Destroy keys under whose consents no sample is left, or this one's; gives how many."""
        return destroy_spent_keys(self._engine, self.vault, now, receipt_id=receipt_id)

    # What the pipeline asks.

    def waiting(self, family: Family = DEFAULT_FAMILY) -> list[SampleRow]:
        """Samples that no run has looked at yet and whose consent holds, oldest first."""
        return self._kept(family, "waiting")

    def usable(self, family: Family = DEFAULT_FAMILY) -> list[SampleRow]:
        """Everything that a model may learn from: waiting or used before, consent still valid, oldest first."""
        return self._kept(family, "waiting", "used")

    def usable_pages(self, n_rows: int = _PAGE, family: Family = DEFAULT_FAMILY) -> Iterator[list[SampleRow]]:
        """The same, so many at a time: of the whole corpus no more than the ids are held, 16 bytes each.

        Which samples there are is decided at the first page, what is said of them when their page is read: those that
        were erased or discarded meanwhile are left out.
        """
        return self._pages(family, ("waiting", "used"), n_rows)

    def living(self, family: Family | None = None) -> list[SampleRow]:
        """Everything whose consent holds, whatever was decided about it, oldest first; of all families or of one."""
        return self._kept(family, *(state for state in STATES if state != "erased"))

    def listed(self) -> list[ListedSample]:
        """The same without the words; needs no key."""
        columns = [SAMPLES.c[name] for name in ListedSample.__dataclass_fields__]
        query = under_consent(select(*columns), *(state for state in STATES if state != "erased"))
        with reading(self._engine) as connection:
            return [ListedSample(*row) for row in connection.execute(query.where(SAMPLES.c.text_mac.is_not(None)))]

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

    # What devices ask.

    def receipt_of(self, sample: Sample) -> UploadReceipt | None:
        """The receipt of a sample that is here already; None if it is new.

        Raises:
            DataError: `erased`, or `sample-conflict` if the id holds other content.
        """
        with reading(self._engine) as connection:
            return _known(connection, sample, self.vault)

    def require_consent(self, sample: Sample) -> None:
        """Refuse a sample that nobody allowed, before anything is sealed for it; `add` asks again as it commits.

        Raises:
            ConsentError: if there is no valid consent of this person for this purpose.
        """
        with reading(self._engine) as connection:
            _require_consent(connection, sample, is_locking=False)

    def add(
        self,
        sample: Sample,
        *,
        clip_sha256: str,
        duration_s: float,
        device_id: str,
        now: datetime,
        keep_clip: Callable[[], None],
    ) -> tuple[UploadReceipt, bool]:
        """Keep a sample, if its consent holds at the moment it is committed; gives the receipt and whether it is new.

        `keep_clip` runs inside the transaction: a sweep may just have removed the clip, which nothing named yet.
        Samples that come at the same time share a transaction; this returns after its commit.

        Raises:
            ConsentError: if there is no valid consent of this person for this purpose.
            DataError: `erased` or `sample-conflict`.
            StorageError: if the database refused; nothing was acknowledged.
        """
        row = sealed_row(sample, device_id, self.vault)
        row |= {"clip_sha256": clip_sha256, "duration_s": duration_s, "received_at": now, "state": "waiting"}
        receipt = UploadReceipt(sample_id=sample.sample_id, sha256=sample.payload_sha256, received_at=now)

        def store(connection: Connection) -> tuple[UploadReceipt, bool]:
            if (known := _known(connection, sample, self.vault)) is not None:
                return known, False
            _require_consent(connection, sample, is_locking=True)
            refuse_deleted(connection, sample)
            keep_clip()
            connection.execute(_INSERT, row)
            return receipt, True

        return self._commits.run(store)

    def state_of(self, sample_id: UUID, contributor_id: str) -> SampleState | None:
        """What became of a person's own sample; None for everyone else's."""
        query = select(SAMPLES).where(SAMPLES.c.sample_id == sample_id, SAMPLES.c.contributor_id == contributor_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        received = utc(row.received_at)
        return SampleState(sample_id=sample_id, state=row.state, reason=row.reason, received_at=received)

    # What whoever reads clips and lists asks.

    def places(self, sample_ids: Iterable[UUID | str]) -> dict[str, Place]:
        """What the seals of samples are bound to, by id; of those that are erased or unknown nothing."""
        return {str(row.sample_id): place_of_row(row) for row in self._living_rows(sample_ids)}

    def texts(self, sample_ids: Iterable[UUID | str]) -> dict[str, tuple[Place, str]]:
        """What is said in samples, as it is learned from, by id; of those that are erased or unknown nothing."""
        found = {}
        for row in self._living_rows(sample_ids):
            if (words := words_of_row(row, self.vault)) is not None:
                found[str(row.sample_id)] = (place_of_row(row), clean_transcript(words.text))
        return found

    def unopenable(self) -> list[UUID]:
        """Samples whose words were changed, or moved here from another row: nothing is trained on them."""
        query = select(SAMPLES).where(SAMPLES.c.words.is_not(None)).order_by(SAMPLES.c.sample_id)
        with reading(self._engine) as connection:
            return [row.sample_id for row in connection.execute(query) if is_changed(row, self.vault)]

    def place_of_clip(self, clip_sha256: str) -> Place | None:
        """The sample that names a clip, as what its seal is bound to; None if none does."""
        query = select(SAMPLES).where(SAMPLES.c.clip_sha256 == clip_sha256).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else place_of_row(row)

    # What the sealing of open samples asks.

    def open_samples(self, n: int) -> list[Any]:
        """At most `n` rows of samples that lie open, from before there were seals."""
        query = select(SAMPLES).where(SAMPLES.c.words.is_(None), SAMPLES.c.text.is_not(None)).limit(n)
        with reading(self._engine) as connection:
            return list(connection.execute(query).all())

    def seal_sample(self, row: Any, clip_sha256: str | None) -> bool:  # noqa: ANN401 - a row of SAMPLES
        """Seal the words of an open sample, whose sealed clip is kept; False if it was sealed or erased meanwhile."""
        still = (SAMPLES.c.sample_id == row.sample_id, SAMPLES.c.words.is_(None), SAMPLES.c.text.is_not(None))
        values = sealed_values(row, self.vault) | {"clip_sha256": clip_sha256}
        with writing(self._engine) as connection:
            return bool(connection.execute(update(SAMPLES).where(*still).values(**values)).rowcount)

    def _living_rows(self, sample_ids: Iterable[UUID | str]) -> Iterator[Any]:
        for batch in batches(uuids(sample_ids)):
            query = select(SAMPLES).where(SAMPLES.c.sample_id.in_(batch), SAMPLES.c.state != "erased")
            with reading(self._engine) as connection:
                rows = connection.execute(query).all()
            yield from rows

    def _kept(self, family: Family | None, *states: State) -> list[SampleRow]:
        return [row for page in self._pages(family, states, _PAGE) for row in page]

    def _pages(self, family: Family | None, states: Sequence[State], n_rows: int) -> Iterator[list[SampleRow]]:
        ids = of_family(under_consent(select(SAMPLES.c.sample_id), *states), family)
        ids = ids.order_by(SAMPLES.c.received_at, SAMPLES.c.sample_id)
        packed = bytearray()
        with reading(self._engine) as connection:
            for sample_id in connection.execution_options(yield_per=n_rows).execute(ids).scalars():
                packed += sample_id.bytes
        for start in range(0, len(packed), 16 * n_rows):
            page = packed[start : start + 16 * n_rows]
            wanted = [UUID(bytes=bytes(page[place : place + 16])) for place in range(0, len(page), 16)]
            query = under_consent(select(SAMPLES), *states).where(SAMPLES.c.sample_id.in_(wanted))
            with reading(self._engine) as connection:
                rows = connection.execute(query.order_by(SAMPLES.c.received_at, SAMPLES.c.sample_id)).all()
            yield opened(rows, self.vault)


def _known(connection: Connection, sample: Sample, vault: Vault) -> UploadReceipt | None:
    row = connection.execute(_SAMPLE, {"wanted": sample.sample_id}).one_or_none()
    if row is None:
        return None
    if row.contributor_id != sample.contributor_id:
        raise DataError("sample-conflict", f"sample {sample.sample_id}: the id is taken")
    if row.state == "erased":
        raise DataError("erased", f"sample {sample.sample_id}: was erased and stays so")
    if not is_same(row, sample, vault):
        raise DataError("sample-conflict", f"sample {sample.sample_id}: the id holds other content")
    received = utc(row.received_at)
    return UploadReceipt(sample_id=sample.sample_id, sha256=sample.payload_sha256, received_at=received)


def _require_consent(connection: Connection, sample: Sample, *, is_locking: bool) -> None:
    # Until the commit where a database has row locks; SQLite has its one write lock already.
    query = _CONSENT.with_for_update() if is_locking else _CONSENT
    scope = SCOPE_OF_KIND[sample.kind]
    wanted = {"receipt": sample.consent_receipt_id, "contributor": sample.contributor_id, "scope": scope}
    if connection.execute(query, wanted).one_or_none() is None:
        raise ConsentError(f"sample {sample.sample_id}: no valid consent of this person for {scope!r}")
