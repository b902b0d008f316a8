"""Samples that people took back one by one, while their consent stays."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, insert, select

from projectone.contracts.corrections import Sample
from projectone.errors import DataError
from projectone.server.audit import record
from projectone.server.corpus.consents import erase
from projectone.server.corpus.tables import CONSENTS, DELETED, SAMPLES, TAKEN_BACK, utc
from projectone.server.database import forget_freed_pages, reading, writing

_TAKEN = select(DELETED.c.deleted_at).where(
    DELETED.c.sample_id == bindparam("sample"), DELETED.c.contributor_id == bindparam("contributor")
)


class Deletions:
    """What people took back. A part of the `Catalog`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def delete_sample(self, sample_id: UUID, contributor_id: str, now: datetime) -> tuple[datetime, UUID | None]:
        """Empty a person's sample and refuse it from now on, in one transaction; the same again changes nothing.

        The clip, and every sealed dataset that named it, are doomed in it: `remove_doomed` takes them. Nothing of
        anybody else is touched, so nobody learns by it which ids there are.

        Returns:
            Since when it is taken back, and the consent that it was sent under; None if it never came.
        """
        theirs = (SAMPLES.c.sample_id == sample_id, SAMPLES.c.contributor_id == contributor_id)
        taken = select(DELETED.c.deleted_at).where(
            DELETED.c.sample_id == sample_id, DELETED.c.contributor_id == contributor_id
        )
        with writing(self._engine) as connection:
            # An upload holds its consent till its commit where a database has row locks: it is here before, or sees us.
            consents = select(CONSENTS.c.receipt_id).where(CONSENTS.c.contributor_id == contributor_id)
            connection.execute(consents.with_for_update()).all()
            since = connection.execute(taken).scalar()
            if since is None:
                values = {"sample_id": sample_id, "contributor_id": contributor_id, "deleted_at": now}
                connection.execute(insert(DELETED).values(**values))
            if erase(connection, *theirs, reason=TAKEN_BACK):
                record(connection, "sample-erased", sample_id, now=now)
            receipt_id = connection.execute(select(SAMPLES.c.consent_receipt_id).where(*theirs)).scalar()
        forget_freed_pages(self._engine)
        return now if since is None else utc(since), receipt_id

    def deleted(self) -> set[tuple[UUID, str]]:
        """Every sample that was taken back, and by whom."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(DELETED.c.sample_id, DELETED.c.contributor_id)).all()
        return {(row.sample_id, row.contributor_id) for row in rows}


def refuse_deleted(connection: Connection, sample: Sample) -> None:
    """Refuse a sample that its person took back before it came. In the caller's transaction, which holds the consent.

    Raises:
        DataError: `erased` if it was.
    """
    wanted = {"sample": sample.sample_id, "contributor": sample.contributor_id}
    if connection.execute(_TAKEN, wanted).scalar() is not None:
        raise DataError("erased", f"sample {sample.sample_id}: was deleted by its person and stays so")
