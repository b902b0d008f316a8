"""Rows: which devices are known, by which key, for which person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, DateTime, Engine, String, Table, Text, bindparam, insert, select, update

from projectone.contracts.devices import Enrolment
from projectone.server.audit import SERVER, record
from projectone.server.database import METADATA, reading, writing

DEVICES = Table(
    "devices",
    METADATA,
    Column("device_id", String(96), primary_key=True),
    Column("contributor_id", String(96), nullable=False, index=True),
    Column("public_key", String(44), nullable=False),
    Column("enrolled_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("revoked_because", Text),
)
_DEVICE = select(DEVICES).where(DEVICES.c.device_id == bindparam("wanted"))


@dataclass(frozen=True)
class Device:
    """A device that may sign requests."""

    device_id: str
    contributor_id: str
    public_key: str
    enrolled_at: datetime
    revoked_at: datetime | None = None
    revoked_because: str | None = None


class DeviceCatalog:
    """The known devices."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, device_id: str) -> Device | None:
        """The device, unless it is unknown or revoked."""
        with reading(self._engine) as connection:
            row = connection.execute(_DEVICE, {"wanted": device_id}).one_or_none()
        if row is None or row.revoked_at is not None:
            return None
        return _device(row)

    def enrol(self, enrolment: Enrolment, now: datetime) -> tuple[Device, bool] | None:
        """The device and whether it is new; None if the name is taken by another key or person."""
        with writing(self._engine) as connection:
            query = select(DEVICES).where(DEVICES.c.device_id == enrolment.device_id)
            row = connection.execute(query).one_or_none()
            if row is None:
                values = enrolment.model_dump(include={"device_id", "contributor_id", "public_key"})
                connection.execute(insert(DEVICES).values(**values, enrolled_at=now))
                return Device(**values, enrolled_at=now), True
        known = (row.contributor_id, row.public_key, row.revoked_at)
        if known != (enrolment.contributor_id, enrolment.public_key, None):
            return None
        return _device(row), False

    def listed(self) -> list[Device]:
        """Every device, revoked ones included, the newest first."""
        with reading(self._engine) as connection:
            query = select(DEVICES).order_by(DEVICES.c.enrolled_at.desc(), DEVICES.c.device_id)
            return [_device(row) for row in connection.execute(query)]

    def known(self, device_id: str) -> Device | None:
        """The device, revoked or not; None if it was never enrolled."""
        with reading(self._engine) as connection:
            row = connection.execute(select(DEVICES).where(DEVICES.c.device_id == device_id)).one_or_none()
        return None if row is None else _device(row)

    def revoked_since(self, moment: datetime) -> list[Device]:
        """Devices that were revoked at that moment or later."""
        with reading(self._engine) as connection:
            return [_device(row) for row in connection.execute(select(DEVICES).where(DEVICES.c.revoked_at >= moment))]

    def revoke(self, device_id: str, now: datetime, *, by: str = SERVER, because: str | None = None) -> bool:
        """Refuse this device from its next request on; False if it is not known, or was refused before."""
        with writing(self._engine) as connection:
            statement = update(DEVICES).where(DEVICES.c.device_id == device_id, DEVICES.c.revoked_at.is_(None))
            is_known = connection.execute(statement.values(revoked_at=now, revoked_because=because)).rowcount == 1
            if is_known:
                record(connection, "device-revoked", device_id, by=by, now=now)
            return is_known


def _device(row: Any) -> Device:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    # SQLite forgets the zone; everything we write is UTC.
    revoked_at = None if row.revoked_at is None else row.revoked_at.replace(tzinfo=UTC)
    enrolled_at = row.enrolled_at.replace(tzinfo=UTC)
    return Device(row.device_id, row.contributor_id, row.public_key, enrolled_at, revoked_at, row.revoked_because)
