"""A clock that jumps by an hour, wherever it does: nobody writes under a lease that somebody else has."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Engine, event, insert, select
from tests.conformance.vector_stores import postgresql_server

from projectone.errors import LeaseError
from projectone.server.api.quotas import MovingWindow
from projectone.server.console.sessions import Sessions
from projectone.server.database import METADATA, open_engine, writing
from projectone.server.devices.operators import Operator, OperatorTokens
from projectone.server.leases import LEASES, Lease, Leases
from projectone.server.runs import EFFECTS

HOUR_S = 3600.0
TTL_S = 60.0
PLACES = (
    "before it is taken",
    "between taking and renewing",
    "between renewing and writing",
    "inside the transaction that writes",
    "while the next one waits",
    "before the paused one wakes",
)


class Clock:
    """The clock of a database, ahead of the machine's by what a test says."""

    def __init__(self, show: Callable[[float], None] = lambda ahead_s: None) -> None:
        self._ahead_s = 0.0
        self._show = show

    @property
    def ahead_s(self) -> float:
        return self._ahead_s

    @ahead_s.setter
    def ahead_s(self, seconds: float) -> None:
        self._ahead_s = seconds
        self._show(seconds)

    def julian_day(self, _: str) -> float:
        return (time.time() + self.ahead_s) / 86400.0 + 2440587.5


@contextlib.contextmanager
def on_sqlite(folder: Path) -> Iterator[tuple[Engine, Clock]]:
    engine, clock = open_engine(f"sqlite:///{folder / 'rows.sqlite'}"), Clock()

    def use_the_clock(connection: sqlite3.Connection, _: object) -> None:
        connection.create_function("julianday", 1, clock.julian_day)

    event.listen(engine, "connect", use_the_clock)
    yield engine, clock
    engine.dispose()


@contextlib.contextmanager
def on_postgresql(url: str) -> Iterator[tuple[Engine, Clock]]:
    """Its `clock_timestamp` is found before the system's. How far it is ahead is in a sequence, which no transaction
    holds back: it jumps for everybody at once, in the midst of what they do.
    """
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE postgres SET search_path = public, pg_catalog")
        connection.execute("CREATE SEQUENCE IF NOT EXISTS ahead_ms MINVALUE -1000000000000 START 0")
        connection.execute(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS $$ "
            "SELECT pg_catalog.clock_timestamp() + (SELECT last_value FROM ahead_ms) * interval '1 millisecond' $$"
        )
        clock = Clock(lambda ahead_s: void(connection.execute("SELECT setval('ahead_ms', %s)", (int(1000 * ahead_s),))))
        clock.ahead_s = 0.0
        engine = open_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
        METADATA.drop_all(engine, tables=[LEASES, EFFECTS])
        yield engine, clock
        engine.dispose()


def void(_: object) -> None:
    """What is done for its effect."""


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    pytest.importorskip("psycopg")
    with postgresql_server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Engine, Clock]]:
    is_file = request.param == "sqlite"
    with on_sqlite(tmp_path) if is_file else on_postgresql(request.getfixturevalue("postgresql_url")) as found:
        METADATA.create_all(found[0], tables=[LEASES, EFFECTS])
        yield found


@pytest.fixture
def engine(database: tuple[Engine, Clock]) -> Engine:
    return database[0]


@pytest.fixture
def clock(database: tuple[Engine, Clock]) -> Clock:
    return database[1]


def test_the_clock_of_the_database_is_the_one_that_jumps(engine: Engine, clock: Clock) -> None:
    leases = Leases(engine)
    leases.take("trainer", "first", ttl_s=HOUR_S - 60)
    with pytest.raises(LeaseError):
        leases.take("trainer", "second", ttl_s=TTL_S)
    clock.ahead_s = HOUR_S
    assert leases.take("trainer", "second", ttl_s=TTL_S).fence == 2


class Story:
    """A worker takes the lease, works, and is paused; another one takes over; the first one wakes and goes on."""

    def __init__(self, engine: Engine, clock: Clock, place: str, jump_s: float, *, is_fenced: bool = True) -> None:
        self.engine, self.clock, self.leases = engine, clock, Leases(engine)
        self.place, self.jump_s, self.is_fenced = place, jump_s, is_fenced
        self.n_tried = 0

    def play(self) -> list[tuple[int, str]]:
        """What was committed, in its order: the token, and who wrote."""
        self.at("before it is taken")
        first = self.leases.take("trainer", "first", ttl_s=TTL_S)
        self.at("between taking and renewing")
        with contextlib.suppress(LeaseError):
            self.leases.renew(first)
        self.at("between renewing and writing")
        self.write(first)
        self.at("while the next one waits")
        second = self.next_one()
        self.write(second)
        self.at("before the paused one wakes")
        self.write(first)
        self.write(second)
        with contextlib.suppress(LeaseError):
            self.leases.renew(first)
        self.leases.release(first)  # what is not its own it cannot end
        self.write(second)
        with self.engine.connect() as connection:
            rows = connection.execute(select(EFFECTS.c.run_id, EFFECTS.c.name).order_by(EFFECTS.c.done_at_s)).all()
        return [(int(row.run_id), row.name) for row in rows]

    def at(self, place: str) -> None:
        if place == self.place:
            self.clock.ahead_s += self.jump_s

    def next_one(self) -> Lease:
        """The lease once it ended by the database's clock, however long that takes."""
        for _ in range(200):
            with contextlib.suppress(LeaseError):
                return self.leases.take("trainer", "second", ttl_s=TTL_S)
            self.clock.ahead_s += TTL_S / 2
        raise AssertionError("the lease of a paused worker never ended")

    def write(self, lease: Lease) -> None:
        self.n_tried += 1
        row = {"run_id": str(lease.fence), "node": str(self.n_tried), "name": lease.holder, "input_sha256": "0"}
        with contextlib.suppress(LeaseError), writing(self.engine) as connection:
            connection.execute(insert(EFFECTS).values(**row, result="{}", done_at_s=float(self.n_tried)))
            if self.n_tried == 1:
                self.at("inside the transaction that writes")
            if self.is_fenced:
                self.leases.check(connection, lease)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_wherever_the_clock_jumps_nobody_writes_after_the_next_holder(
    engine: Engine, clock: Clock, place: str, jump_s: float
) -> None:
    written = Story(engine, clock, place, jump_s).play()
    assert written == sorted(written)
    assert {holder for fence, holder in written if fence == 1} <= {"first"}
    assert {holder for fence, holder in written if fence == 2} == {"second"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_without_the_token_a_paused_worker_writes_after_the_next_one(
    engine: Engine, clock: Clock, place: str, jump_s: float
) -> None:
    written = Story(engine, clock, place, jump_s, is_fenced=False).play()
    assert written != sorted(written)


def test_a_heartbeat_notices_a_lease_that_a_jump_ended(engine: Engine, clock: Clock) -> None:
    leases = Leases(engine)
    lease = leases.take("trainer", "first", ttl_s=0.3)
    clock.ahead_s = HOUR_S
    with leases.heartbeat(lease) as is_lost:
        assert is_lost.wait(60)


def test_a_dead_holder_is_waited_out_when_the_clock_was_set_back_an_hour(engine: Engine, clock: Clock) -> None:
    leases = Leases(engine)
    leases.take("trainer", "dead", ttl_s=0.3)
    clock.ahead_s = -HOUR_S
    begun = time.monotonic()
    assert leases.take_over("trainer", "next", ttl_s=0.3).fence == 2
    assert 0.3 < time.monotonic() - begun < 60


def test_a_living_holder_is_not_robbed_when_the_clock_was_set_back_an_hour(engine: Engine, clock: Clock) -> None:
    leases = Leases(engine)
    lease = leases.take("trainer", "alive", ttl_s=TTL_S)
    clock.ahead_s = -HOUR_S
    with pytest.raises(LeaseError, match="'alive'"):
        leases.take_over("trainer", "next", ttl_s=0.3, on_wait=lambda why: leases.renew(lease))
    leases.assert_held(lease)


@pytest.mark.parametrize("jump_s", [0.0, -HOUR_S])
def test_a_holder_that_renews_seldom_is_not_robbed_by_one_that_waits_with_a_shorter_lease(
    engine: Engine, clock: Clock, jump_s: float
) -> None:
    leases = Leases(engine)
    lease = leases.take("trainer", "alive", ttl_s=6.0)
    clock.ahead_s = jump_s
    with leases.heartbeat(lease) as is_lost:  # every two seconds
        with pytest.raises(LeaseError, match="'alive'"):
            leases.take_over("trainer", "next", ttl_s=0.1)
        assert not is_lost.is_set()
    leases.assert_held(lease)


def test_a_quota_is_not_given_back_by_a_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    window, wall = MovingWindow(1), time.time
    assert window.take("device") is None
    for jump_s in (HOUR_S, -HOUR_S):
        monkeypatch.setattr(time, "time", later(wall, jump_s))
        assert window.take("device") is not None


def later(clock: Callable[[], float], ahead_s: float) -> Callable[[], float]:
    return lambda: clock() + ahead_s


class Tokens:
    """One operator, whose token holds all along."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator

    def find(self, bearer: str, now: datetime) -> Operator:
        return self.operator

    def is_valid(self, token_id: str, now: datetime) -> bool:
        return True


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
def test_an_operators_session_and_proof_hold_no_longer_because_the_clock_jumped(jump: timedelta) -> None:
    now = datetime(2026, 10, 25, 2, 30, tzinfo=UTC)
    operator = Operator(
        token_id="t", name="ann", role="admin", created_at=now, expires_at=now + timedelta(days=9), revoked_at=None
    )
    sessions = Sessions(cast(OperatorTokens, Tokens(operator)), lambda: now)
    secret = sessions.begin("bearer")
    assert secret is not None
    session = sessions.find(secret)
    assert session is not None and session.is_stepped_up(now) and session.is_stepped_up(now - timedelta(seconds=1))
    now += jump
    assert not session.is_stepped_up(now)
    assert sessions.find(secret) is None
