"""Rows: which copies left the vault, so that a withdrawal can say where the person still is."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, Engine, Integer, String, Table, Text, Uuid, insert, select, update

from projectone.contracts.snapshots import sample_key
from projectone.server.audit import SERVER, record
from projectone.server.corpus.tables import SAMPLES, SEALED, utc
from projectone.server.database import METADATA, reading, writing

EXPORTS = Table(
    "exports",
    METADATA,
    Column("export_id", Uuid, primary_key=True),
    Column("snapshot_id", String(64), nullable=False),
    Column("dataset_sha256", String(64), nullable=False, index=True),
    Column("format", String(16), nullable=False),
    Column("destination", Text, nullable=False),
    Column("n_samples", Integer, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("deleted_at", DateTime(timezone=True)),
)


@dataclass(frozen=True)
class Export:
    """A copy outside.

    Attributes:
        destination: A folder, or `owner/name` on the Hub with the commit.
        withdrawn: Ids, as they stand in the copy, of samples that were withdrawn since: delete those, or the copy.
        deleted_at: When the operator said that the copy is gone.
    """

    export_id: uuid.UUID
    snapshot_id: str
    dataset_sha256: str
    format: str
    destination: str
    n_samples: int
    made_at: datetime
    deleted_at: datetime | None
    withdrawn: tuple[str, ...]


class Exports:
    """The record of copies. It is written before a copy leaves, so that none is ever unknown."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(
        self,
        *,
        snapshot_id: str,
        dataset_sha256: str,
        kind: str,
        destination: str,
        n_samples: int,
        now: datetime,
        by: str = SERVER,
    ) -> uuid.UUID:
        """Note that a copy is about to leave, and who takes it; gives its number."""
        export_id = uuid.uuid4()
        with writing(self._engine) as connection:
            values = {"export_id": export_id, "snapshot_id": snapshot_id, "dataset_sha256": dataset_sha256}
            values |= {"format": kind, "destination": destination, "n_samples": n_samples, "made_at": now}
            connection.execute(insert(EXPORTS).values(**values))
            record(
                connection,
                "exported",
                export_id,
                by=by,
                now=now,
                snapshot_id=snapshot_id,
                format=kind,
                n_samples=n_samples,
            )
        return export_id

    def locate(self, export_id: uuid.UUID, destination: str) -> None:
        """Say more exactly where a copy went."""
        with writing(self._engine) as connection:
            statement = update(EXPORTS).where(EXPORTS.c.export_id == export_id)
            connection.execute(statement.values(destination=destination))

    def deleted(self, export_id: uuid.UUID, now: datetime, *, by: str = SERVER) -> bool:
        """Note that a copy is gone, as the operator says; False if there is no such copy."""
        with writing(self._engine) as connection:
            statement = update(EXPORTS).where(EXPORTS.c.export_id == export_id)
            is_known = connection.execute(statement.values(deleted_at=now)).rowcount == 1
            if is_known:
                record(connection, "export-deleted", export_id, by=by, now=now)
            return is_known

    def listed(self) -> list[Export]:
        """Every copy that ever left, the newest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(EXPORTS).order_by(EXPORTS.c.made_at.desc(), EXPORTS.c.export_id)).all()
            erased = select(SEALED.c.dataset_sha256, SAMPLES.c.sample_id).join(
                SAMPLES, SAMPLES.c.sample_id == SEALED.c.sample_id
            )
            withdrawn: dict[str, list[str]] = {}
            for dataset_sha256, sample_id in connection.execute(erased.where(SAMPLES.c.state == "erased")):
                withdrawn.setdefault(dataset_sha256, []).append(sample_key(sample_id))
        return [_export(row, withdrawn.get(row.dataset_sha256, [])) for row in rows]

    def holding(self, dataset_sha256s: Iterable[str]) -> list[Export]:
        """Copies of these datasets that are not known to be gone, with what was withdrawn from each."""
        wanted = set(dataset_sha256s)
        return [export for export in self.listed() if export.deleted_at is None and export.dataset_sha256 in wanted]


def _export(row: Any, withdrawn: list[str]) -> Export:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    return Export(
        export_id=row.export_id,
        snapshot_id=row.snapshot_id,
        dataset_sha256=row.dataset_sha256,
        format=row.format,
        destination=row.destination,
        n_samples=row.n_samples,
        made_at=utc(row.made_at),
        deleted_at=None if row.deleted_at is None else utc(row.deleted_at),
        withdrawn=tuple(sorted(withdrawn)),
    )
