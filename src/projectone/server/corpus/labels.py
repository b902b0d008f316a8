"""Which intents this server teaches: a corrected intent has one of these labels or none, or it is not taken."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Column, DateTime, Engine, String, Table, delete, insert, select

from projectone.contracts.assist import MAX_LABEL_CHARACTERS, clean_label
from projectone.server.audit import SERVER, record
from projectone.server.database import METADATA, reading, writing

LABELS = Table(
    "intent_labels",
    METADATA,
    Column("label", String(MAX_LABEL_CHARACTERS), primary_key=True),
    Column("added_at", DateTime(timezone=True), nullable=False),
)


class Labels:
    """The list. A released classifier adds its own; an operator adds and removes.

    A label that is removed is taken no more; samples that have it stay what they are, and no run learns from them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def knows(self, label: str) -> bool:
        """Whether a label is in the list."""
        with reading(self._engine) as connection:
            found = connection.execute(select(LABELS.c.label).where(LABELS.c.label == label)).one_or_none()
        return found is not None

    def all(self) -> tuple[str, ...]:
        """Every label, in the order of the alphabet."""
        with reading(self._engine) as connection:
            return tuple(connection.execute(select(LABELS.c.label).order_by(LABELS.c.label)).scalars())

    def change(
        self, *, add: Iterable[str] = (), remove: Iterable[str] = (), now: datetime, by: str = SERVER
    ) -> tuple[int, int]:
        """Add and remove labels, in one transaction and on the record; gives how many of each were not so before.

        Raises:
            DataError: ``label`` if one cannot be the name of an intent.
        """
        wanted = {clean_label(label) for label in add}
        with writing(self._engine) as connection:
            known = set(connection.execute(select(LABELS.c.label)).scalars())
            fresh, gone = sorted(wanted - known), sorted(set(remove) & known - wanted)
            if fresh:
                connection.execute(insert(LABELS), [{"label": label, "added_at": now} for label in fresh])
            for label in gone:
                connection.execute(delete(LABELS).where(LABELS.c.label == label))
            if fresh or gone:
                record(connection, "labels-changed", "intents", by=by, now=now, n_added=len(fresh), n_gone=len(gone))
        return len(fresh), len(gone)
