"""Which sealed dataset names which sample, so that a withdrawal finds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Engine,
    insert,
    select,
)

from projectone.errors import ConsentError, WithdrawnError
from projectone.server.corpus.tables import (
    CONSENTS,
    SAMPLES,
    SEALED,
    TAKEN_BACK,
    batches,
    uuids,
)
from projectone.server.database import reading, writing


class DatasetRows:
    """What sealed datasets name. A part of the `Catalog`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note_sealed(self, dataset_sha256: str, sample_ids: Iterable[UUID | str]) -> None:
        """Remember which samples a sealed dataset names, so that a withdrawal finds it.

        Raises:
            ConsentError: if one of them has been erased meanwhile.
        """
        wanted = uuids(sample_ids)
        with writing(self._engine) as connection:
            for batch in batches(wanted):
                alive = select(SAMPLES.c.sample_id).where(SAMPLES.c.sample_id.in_(batch), SAMPLES.c.state != "erased")
                found = set(connection.execute(alive).scalars())
                if gone := set(batch) - found:
                    raise ConsentError(f"{len(gone)} samples of a dataset were withdrawn or are unknown; seal it again")
                here = (SEALED.c.dataset_sha256 == dataset_sha256, SEALED.c.sample_id.in_(batch))
                fresh = found - set(connection.execute(select(SEALED.c.sample_id).where(*here)).scalars())
                if fresh:
                    rows = [{"dataset_sha256": dataset_sha256, "sample_id": sample_id} for sample_id in fresh]
                    connection.execute(insert(SEALED), rows)

    def dataset_sha256s(self) -> list[str]:
        """Every sealed dataset, whether or not its list is still there."""
        with reading(self._engine) as connection:
            return list(connection.execute(select(SEALED.c.dataset_sha256).distinct()).scalars())

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
            return set(connection.execute(tainted_datasets()).scalars())


def _names_withdrawn(connection: Connection, dataset_sha256: str, *, is_locking: bool) -> bool:
    """By the consents, few as they are beside the samples; a withdrawal changes them in the transaction that erases.

    What was taken back alone is found in its own row; whoever takes it back holds the person's consents meanwhile.
    """
    theirs = select(SAMPLES.c.consent_receipt_id).join(SEALED, SEALED.c.sample_id == SAMPLES.c.sample_id)
    query = select(CONSENTS.c.withdrawn_at).where(
        CONSENTS.c.receipt_id.in_(theirs.where(SEALED.c.dataset_sha256 == dataset_sha256))
    )
    if is_locking:  # until the commit where a database has row locks; SQLite has its one write lock already
        query = query.with_for_update(read=True)
    if any(moment is not None for moment in connection.execute(query).scalars()):
        return True
    taken_back = select(SAMPLES.c.sample_id).join(SEALED, SEALED.c.sample_id == SAMPLES.c.sample_id)
    gone = (SEALED.c.dataset_sha256 == dataset_sha256, SAMPLES.c.state == "erased", SAMPLES.c.reason == TAKEN_BACK)
    return connection.execute(taken_back.where(*gone).limit(1)).first() is not None


def tainted_datasets() -> Any:  # noqa: ANN401 - a SQLAlchemy query
    """The query for every sealed dataset that ever named a sample which is erased now."""
    joined = select(SEALED.c.dataset_sha256).join(SAMPLES, SAMPLES.c.sample_id == SEALED.c.sample_id)
    return joined.where(SAMPLES.c.state == "erased").distinct()
