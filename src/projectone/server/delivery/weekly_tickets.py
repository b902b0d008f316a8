"""A key for each week, and one ticket of it for each device: the right to say one thing about that week.

What is signed is the digest of the report itself, which the server does not see: a ticket is good for those bytes and
for nothing else, and when they come back nobody knows whose they are.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Engine, String, Table, Text, delete, insert, select

from projectone.contracts.base import canonical_json, is_name, sha256_hex
from projectone.contracts.health import TicketAnswer
from projectone.contracts.quality import QualityTicketRequest, QualityWeek, week_of, weeks_before
from projectone.errors import DataError
from projectone.server.database import METADATA, reading, writing
from projectone.server.delivery.tickets import TicketKeys

QUALITY_WEEKS = Table(
    "quality_weeks",
    METADATA,
    Column("week", String(8), primary_key=True),
    Column("ticket_key", Text, nullable=False),
)
QUALITY_TICKETS = Table(
    "quality_tickets",
    METADATA,
    Column("week", String(8), primary_key=True),
    Column("device_sha256", String(64), primary_key=True),
    # The same request again gets the same answer: the first may have been lost on its way.
    Column("blinded_sha256", String(64), nullable=False),
    sqlite_with_rowid=False,  # a row's hidden number would tell who asked first
)


def open_week(now: datetime) -> str:
    """The week about which reports are taken now: the one that is just over."""
    return weeks_before(week_of(now), 1)


class WeeklyTickets:
    """Gives each device one ticket a week."""

    def __init__(self, engine: Engine, keys: TicketKeys) -> None:
        self._engine = engine
        self._keys = keys

    def week(self, week: str, now: datetime) -> QualityWeek:
        """The key of the open week, made by whoever asks first; everybody gets the same.

        Raises:
            DataError: `week-closed` if reports about that week are not taken now.
        """
        _require_open(week, now)
        row = QUALITY_WEEKS.c
        asked = select(row.ticket_key).where(row.week == week)
        with reading(self._engine) as connection:
            known = connection.execute(asked).scalar()
        if known is None:
            made = self._keys.new()
            with writing(self._engine) as connection:
                known = connection.execute(asked).scalar()  # another process may have been quicker
                if known is None:
                    connection.execute(insert(QUALITY_WEEKS).values(week=week, ticket_key=made))
                    known = made
            if known != made:
                self._keys.remove(made)
        return QualityWeek(week=week, ticket_key=known)

    def give(self, request: QualityTicketRequest, device_id: str, now: datetime) -> TicketAnswer:
        """Sign what a device blinded.

        Raises:
            DataError: `week-closed`; `ticket-given` if it had another one signed before, for this week.
            ContractError: if it is no number that can be signed.
            SettingsError: if the key is not here.
        """
        assert is_name(device_id), "the policy lets in only devices that are known"
        public = self.week(request.week, now).ticket_key
        answer = TicketAnswer(blind_signature=self._keys.sign(public, request.blinded))
        row = QUALITY_TICKETS.c
        device = sha256_hex(canonical_json(["quality", request.week, device_id]))
        blinded = sha256_hex(request.blinded.encode())
        with writing(self._engine) as connection:
            mine = (row.week == request.week) & (row.device_sha256 == device)
            known = connection.execute(select(row.blinded_sha256).where(mine)).scalar()
            if known is None:
                values = {"week": request.week, "device_sha256": device, "blinded_sha256": blinded}
                connection.execute(insert(QUALITY_TICKETS).values(**values))
            elif known != blinded:
                raise DataError("ticket-given", f"week {request.week}: this device has had its ticket")
        return answer

    def forget(self, now: datetime) -> None:
        """Drop the keys of weeks that are closed, and who had tickets for them."""
        row, open_now = QUALITY_WEEKS.c, open_week(now)
        with reading(self._engine) as connection:
            old = connection.execute(select(row.ticket_key).where(row.week < open_now)).scalars().all()
        for public in old:
            self._keys.remove(public)
        with writing(self._engine) as connection:
            connection.execute(delete(QUALITY_WEEKS).where(row.week < open_now))
            connection.execute(delete(QUALITY_TICKETS).where(QUALITY_TICKETS.c.week < open_now))


def _require_open(week: str, now: datetime) -> None:
    if week != open_week(now):
        raise DataError("week-closed", f"week {week}: reports are taken about {open_week(now)} now, and no other week")
