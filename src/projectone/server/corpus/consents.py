"""Consents as rows: given, withdrawn, and what a withdrawal leaves to be removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Engine,
    delete,
    func,
    insert,
    select,
    update,
)

from projectone.contracts.consent import ConsentReceipt
from projectone.errors import DataError, StorageError
from projectone.server.audit import record
from projectone.server.corpus.dataset_rows import tainted_datasets
from projectone.server.corpus.duplicates import SUPERSEDED
from projectone.server.corpus.lapses import lapses
from projectone.server.corpus.tables import (
    CLEAR_WORDS,
    CONSENTS,
    CONTRIBUTORS,
    COPIES,
    DOOMED,
    SAMPLES,
    SEALED,
    batches,
    receipt_of_row,
    utc,
)
from projectone.server.database import forget_freed_pages, reading, writing


class Consents:
    """What people allowed and took back. A part of the `Catalog`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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
            record(
                connection,
                "consent-granted",
                receipt.receipt_id,
                now=now,
                scope=receipt.scope,
                version=receipt.text_version,
            )
        return receipt

    def gave_consent(self, receipt_id: UUID, contributor_id: str) -> bool:
        """Whether a consent, in force or not, is this person's."""
        theirs = (CONSENTS.c.receipt_id == receipt_id, CONSENTS.c.contributor_id == contributor_id)
        with reading(self._engine) as connection:
            return connection.execute(select(CONSENTS.c.receipt_id).where(*theirs)).one_or_none() is not None

    def consents(self) -> list[ConsentReceipt]:
        """Every consent, in force or withdrawn."""
        with reading(self._engine) as connection:
            return [receipt_of_row(row) for row in connection.execute(select(CONSENTS))]

    def ended(self) -> dict[str, datetime]:
        """Of everybody who once had agreed to nothing any more: when the last consent was withdrawn, the last time.

        Whoever agreed again since is among them: what goes with a last consent may still have to go.
        """
        n, n_withdrawn = func.count(), func.count(CONSENTS.c.withdrawn_at)
        query = select(CONSENTS.c.contributor_id, func.max(CONSENTS.c.withdrawn_at), n, n_withdrawn)
        with reading(self._engine) as connection:
            rows = connection.execute(query.group_by(CONSENTS.c.contributor_id).having(n_withdrawn > 0)).all()
            again = [contributor_id for contributor_id, _, n_all, n_ended in rows if n_all > n_ended]
            since = {person: utc(last) for person, last, n_all, n_ended in rows if n_all == n_ended}
            return since | {person: moments[-1] for person, moments in lapses(connection, again).items()}

    def forget_freed(self) -> None:
        """Leave no old page of what was just sealed or emptied in SQLite's write-ahead log."""
        forget_freed_pages(self._engine)

    def withdraw(self, receipt_id: UUID, contributor_id: str, now: datetime) -> ConsentReceipt | None:
        """End a consent and empty what was sent under it, in one transaction; None for a consent of someone else.

        The clips, and the sealed datasets that named a sample, are doomed in it: `remove_doomed` takes them.
        """
        theirs = (CONSENTS.c.receipt_id == receipt_id, CONSENTS.c.contributor_id == contributor_id)
        with writing(self._engine) as connection:
            row = connection.execute(select(CONSENTS).where(*theirs).with_for_update()).one_or_none()
            if row is None:
                return None
            is_new = row.withdrawn_at is None
            if is_new:
                connection.execute(update(CONSENTS).where(*theirs).values(withdrawn_at=now))
                row = connection.execute(select(CONSENTS).where(*theirs)).one()
            n_erased = erase(connection, SAMPLES.c.consent_receipt_id == receipt_id)
            if is_new or n_erased:
                record(connection, "consent-withdrawn", receipt_id, now=now, n_erased=n_erased)
        forget_freed_pages(self._engine)
        return receipt_of_row(row)

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
            for batch in batches(sha256 for sha256 in doomed if sha256 not in failed):
                connection.execute(delete(DOOMED).where(DOOMED.c.sha256.in_(batch)))
        if failed:
            first = next(iter(failed.values()))
            raise StorageError(f"{len(failed)} erased blobs could not be removed yet: {first}") from first
        return n_removed


def erase(connection: Connection, *which: Any, reason: str | None = None) -> int:  # noqa: ANN401 - conditions
    """Empty samples, and doom their clips and every sealed dataset that named one; gives how many samples.

    In the caller's transaction; `remove_doomed` takes the bytes.
    """
    living = (SAMPLES.c.state != "erased", *which)
    sealed = select(SAMPLES.c.consent_receipt_id, SEALED.c.dataset_sha256).join(
        SEALED, SEALED.c.sample_id == SAMPLES.c.sample_id
    )
    doomed: defaultdict[UUID, set[str]] = defaultdict(set)
    for query in (select(SAMPLES.c.consent_receipt_id, SAMPLES.c.clip_sha256), sealed):
        for receipt_id, sha256 in connection.execute(query.where(*living)):
            doomed[receipt_id].add(sha256)
    _let_copies_go(connection, select(SAMPLES.c.sample_id).where(*living))
    emptied = dict.fromkeys((*CLEAR_WORDS, "words", "text_mac", "clip_sha256", "checks"))
    digests = {"upload_sha256": "", "correction_sha256": "", "device_id": ""}
    statement = update(SAMPLES).where(*living).values(state="erased", reason=reason, **digests, **emptied)
    n_erased = connection.execute(statement).rowcount
    for receipt_id, sha256s in doomed.items():
        _doom(connection, receipt_id, sha256s)
    return n_erased


def _doom(connection: Connection, receipt_id: UUID, sha256s: Iterable[str]) -> None:
    theirs = select(DOOMED.c.sha256).where(DOOMED.c.consent_receipt_id == receipt_id)
    known = set(connection.execute(theirs).scalars())
    if fresh := [{"sha256": key, "consent_receipt_id": receipt_id} for key in sorted(sha256s) if key not in known]:
        connection.execute(insert(DOOMED), fresh)


def _remove_unnamed(connection: Connection, blob_sha256s: Iterable[str], remove: Callable[[str], None]) -> int:
    n_removed = 0
    tainted = set(connection.execute(tainted_datasets()).scalars())
    for batch in batches(blob_sha256s):
        clips = select(SAMPLES.c.clip_sha256).where(SAMPLES.c.clip_sha256.in_(batch))
        sets = select(SEALED.c.dataset_sha256).where(SEALED.c.dataset_sha256.in_(batch))
        named = set(connection.execute(clips).scalars()) | set(connection.execute(sets).scalars()) - tainted
        for key in sorted(set(batch) - named):
            remove(key)
            n_removed += 1
    return n_removed


def _let_copies_go(connection: Connection, gone: Any) -> None:  # noqa: ANN401 - a SQLAlchemy query
    """What was set aside as a copy of samples that go now waits again; an earlier text of theirs does not."""
    orphans = select(COPIES.c.sample_id).where(COPIES.c.original_id.in_(gone))
    again = (SAMPLES.c.sample_id.in_(orphans), SAMPLES.c.state == "discarded", SAMPLES.c.reason != SUPERSEDED)
    connection.execute(update(SAMPLES).where(*again).values(state="waiting", reason=None, run_id=None))
    connection.execute(delete(COPIES).where(COPIES.c.original_id.in_(gone) | COPIES.c.sample_id.in_(gone)))
