"""One worker at a time: a lease with a fencing token, timed by the database's own clock.

A lease alone does not stop a holder that was paused past its end and woke up. Its token does: it rises with every
taking, and `check` refuses a stale one inside the very transaction that writes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Engine, Float, Integer, String, Table, insert, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from projectone.errors import LeaseError, StorageError
from projectone.server.database import METADATA, reading, writing

LEASES = Table(
    "leases",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("holder", String(160), nullable=False),
    Column("fence", Integer, nullable=False),
    Column("expires_at_s", Float, nullable=False),
    Column("ttl_s", Float, nullable=False, server_default="0"),
)

# The database's clock, in Unix seconds: two hosts whose clocks differ still agree on when a lease ends.
_NOW_S = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "EXTRACT(EPOCH FROM clock_timestamp())",
}
_WATCH_INTERVAL_S = 0.1
# What the database's clock may be moved by in the usual way of keeping it right.
_CLOCK_TURNS_S = 1.0


@dataclass(frozen=True)
class Lease:
    """The right to work, as long as `fence` is the newest."""

    name: str
    holder: str
    fence: int
    ttl_s: float


class Leases:
    """The table of leases: take, renew, check, release."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._now_s = literal_column(_NOW_S[engine.dialect.name], Float)

    def take(self, name: str, holder: str, *, ttl_s: float) -> Lease:
        """The lease, if nobody holds it.

        Raises:
            LeaseError: if somebody does.
        """
        row = LEASES.c
        values = {"holder": holder, "expires_at_s": self._now_s + ttl_s, "ttl_s": ttl_s}
        lapsed = update(LEASES).where(row.name == name, row.expires_at_s <= self._now_s)
        try:
            with writing(self._engine) as connection:
                if connection.execute(lapsed.values(**values, fence=row.fence + 1)).rowcount == 0:
                    other = connection.execute(select(row.holder).where(row.name == name)).scalar()
                    if other is not None:
                        raise LeaseError(f"lease {name!r}: held by {other!r}; wait until it ends")
                    connection.execute(insert(LEASES).values(name=name, fence=1, **values))
                fence = connection.execute(select(row.fence).where(row.name == name)).scalar_one()
        except StorageError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise LeaseError(f"lease {name!r}: somebody else took it at this moment") from error
            raise
        return Lease(name=name, holder=holder, fence=int(fence), ttl_s=ttl_s)

    def take_over(
        self, name: str, holder: str, *, ttl_s: float, on_wait: Callable[[str], None] = lambda why: None
    ) -> Lease:
        """The lease, waiting out a holder that has stopped renewing it.

        A clock that was set back would let a dead holder's lease go on for as long: one that nobody renews for the
        whole length its holder gave it, by a clock that never jumps, ends then. Should its holder live after all, its
        token is stale.

        Args:
            name: Which lease.
            holder: Who takes it.
            ttl_s: How long it holds without a renewal.
            on_wait: Told once, if there is something to wait for.

        Raises:
            LeaseError: if the holder lives: its lease was renewed while we watched.
        """
        (first_seen, length_s), begun_s = self._end_of(name), time.monotonic()
        has_told = False
        while True:
            try:
                return self.take(name, holder, ttl_s=ttl_s)
            except LeaseError as error:
                if self._end_of(name)[0] != first_seen:
                    raise
                if not has_told:
                    on_wait(str(error))
                    has_told = True
                if length_s and time.monotonic() - begun_s > length_s:
                    self._end_if_set_back(name, first_seen)
            time.sleep(_WATCH_INTERVAL_S)

    def renew(self, lease: Lease) -> None:
        """Move the end of the lease to `ttl_s` from now.

        Raises:
            LeaseError: if it is no longer ours.
        """
        with writing(self._engine) as connection:
            self._touch(connection, lease, expires_at_s=self._now_s + lease.ttl_s)

    def release(self, lease: Lease) -> None:
        """End the lease now. The row stays, so that its token never falls."""
        row = LEASES.c
        ended = update(LEASES).where(row.name == lease.name, row.fence == lease.fence).values(expires_at_s=0.0)
        with writing(self._engine) as connection:
            connection.execute(ended)

    def check(self, connection: Connection, lease: Lease) -> None:
        """Refuse the caller's transaction if the lease is stale.

        It is a write, so it takes the row's lock (on SQLite the database's): nobody takes the lease between this
        check and the caller's commit.

        Raises:
            LeaseError: if the lease ended or somebody else has it.
        """
        self._touch(connection, lease, expires_at_s=LEASES.c.expires_at_s)

    def assert_held(self, lease: Lease) -> None:
        """`check` in a transaction of its own, for writes that happen elsewhere right after.

        Raises:
            LeaseError: if the lease ended or somebody else has it.
        """
        with writing(self._engine) as connection:
            self.check(connection, lease)

    @contextlib.contextmanager
    def heartbeat(self, lease: Lease) -> Iterator[threading.Event]:
        """Renew the lease every third of its length; the event is set when it was lost."""
        is_lost, is_over = threading.Event(), threading.Event()

        def beat() -> None:
            last_renewed_s = time.monotonic()
            while not is_over.wait(lease.ttl_s / 3):
                try:
                    self.renew(lease)
                    last_renewed_s = time.monotonic()
                except LeaseError:
                    is_lost.set()
                    return
                except StorageError:  # a busy database: the next beat may get through
                    if time.monotonic() - last_renewed_s > lease.ttl_s:
                        is_lost.set()
                        return

        thread = threading.Thread(target=beat, name=f"lease-{lease.name}", daemon=True)
        thread.start()
        try:
            yield is_lost
        finally:
            is_over.set()
            thread.join()

    def _end_if_set_back(self, name: str, seen_expiry_s: float) -> None:
        """End a lease that was not renewed since it was seen, and whose end is farther away than it was ever set."""
        row = LEASES.c
        is_the_same = (row.name == name, row.expires_at_s == seen_expiry_s)
        is_set_back = row.expires_at_s > self._now_s + row.ttl_s + _CLOCK_TURNS_S
        with writing(self._engine) as connection:
            connection.execute(update(LEASES).where(*is_the_same, is_set_back).values(expires_at_s=0.0))

    def _touch(self, connection: Connection, lease: Lease, *, expires_at_s: object) -> None:
        row = LEASES.c
        ours = update(LEASES).where(row.name == lease.name, row.fence == lease.fence, row.expires_at_s > self._now_s)
        if connection.execute(ours.values(expires_at_s=expires_at_s)).rowcount == 0:
            raise LeaseError(f"lease {lease.name!r}: token {lease.fence} is stale; somebody else may be working")

    def _end_of(self, name: str) -> tuple[float, float]:
        """When the lease ends, and how long it holds without a renewal; 0 where nobody knows."""
        with reading(self._engine) as connection:
            row = connection.execute(
                select(LEASES.c.expires_at_s, LEASES.c.ttl_s).where(LEASES.c.name == name)
            ).one_or_none()
        return (0.0, 0.0) if row is None else (float(row.expires_at_s), float(row.ttl_s))
