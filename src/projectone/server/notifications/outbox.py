"""What is to be said, as rows: written once per key, sent at least once.

A crash between the sending and its row sends again, with the same key. Exactly once is not on offer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Column, Connection, Engine, Float, Integer, String, Table, Text, insert, select, update

from projectone.errors import TransportError
from projectone.server.database import METADATA, reading, writing

NOTIFICATIONS = Table(
    "notifications",
    METADATA,
    Column("key", String(160), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    Column("created_at_s", Float, nullable=False),
    Column("sent_at_s", Float),
)


@dataclass(frozen=True, kw_only=True)
class Message:
    """One thing to say. The reader may see it twice; `key` tells that it is the same."""

    key: str
    subject: str
    body: str


class NotificationOutbox:
    """Messages that wait for their channels."""

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._engine = engine
        self._clock = clock

    def add(
        self, message: Message, channels: Sequence[str], *, guard: Callable[[Connection], None] | None = None
    ) -> None:
        """Keep `message` for each channel; a key that is there already is left as it is."""
        row = NOTIFICATIONS.c
        with writing(self._engine) as connection:
            if guard is not None:
                guard(connection)
            known = set(connection.execute(select(row.channel).where(row.key == message.key)).scalars())
            for channel in channels:
                if channel not in known:
                    values = {"channel": channel, "attempts": 0, "created_at_s": self._clock().timestamp()}
                    connection.execute(insert(NOTIFICATIONS).values(**vars(message), **values))

    def waiting(self) -> list[tuple[str, Message]]:
        """What was not sent yet, oldest first, with its channel."""
        row = NOTIFICATIONS.c
        unsent = select(row.channel, row.key, row.subject, row.body).where(row.sent_at_s.is_(None))
        with reading(self._engine) as connection:
            rows = connection.execute(unsent.order_by(row.created_at_s, row.key)).all()
        return [(channel, Message(key=key, subject=subject, body=body)) for channel, key, subject, body in rows]

    def flush(self, senders: Mapping[str, Callable[[Message], None]]) -> int:
        """Send what waits; gives how many went out.

        A channel that is down keeps its messages for the next flush and does not hold up the others. A channel that
        is no longer configured keeps them too, until it is again.
        """
        n_sent = 0
        is_down: set[str] = set()
        for channel, message in self.waiting():
            send = senders.get(channel)
            if send is None or channel in is_down:
                continue
            error: str | None = None
            try:
                send(message)
                n_sent += 1
            except TransportError as caught:
                is_down.add(channel)
                error = str(caught)
            self._record(channel, message.key, error)
        return n_sent

    def _record(self, channel: str, key: str, error: str | None) -> None:
        row = NOTIFICATIONS.c
        sent_at_s = None if error is not None else self._clock().timestamp()
        values = {"attempts": row.attempts + 1, "last_error": error, "sent_at_s": sent_at_s}
        with writing(self._engine) as connection:
            connection.execute(update(NOTIFICATIONS).where(row.key == key, row.channel == channel).values(**values))
