import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, update

from projectone.errors import LeaseError
from projectone.server.database import METADATA, open_engine, writing
from projectone.server.leases import LEASES, Lease, Leases
from projectone.server.runs import EFFECTS


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    METADATA.create_all(engine, tables=[LEASES, EFFECTS])
    yield engine
    engine.dispose()


@pytest.fixture
def leases(engine: Engine) -> Leases:
    return Leases(engine)


def lapse(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(update(LEASES).values(expires_at_s=0.0))


def test_a_held_lease_is_not_given_to_another(leases: Leases) -> None:
    leases.take("trainer", "one", ttl_s=60)
    with pytest.raises(LeaseError, match="'one'"):
        leases.take("trainer", "two", ttl_s=60)


def test_tokens_rise_with_every_taking(engine: Engine, leases: Leases) -> None:
    fences = []
    for number in range(4):
        lease = leases.take("trainer", str(number), ttl_s=60)
        fences.append(lease.fence)
        if number % 2:
            leases.release(lease)
        else:
            lapse(engine)
    assert fences == [1, 2, 3, 4]


def test_a_stale_token_is_refused_inside_the_transaction_that_writes(engine: Engine, leases: Leases) -> None:
    old = leases.take("trainer", "paused", ttl_s=60)
    lapse(engine)
    leases.take("trainer", "new", ttl_s=60)
    row = {"run_id": "r", "node": "n", "name": "e", "input_sha256": "0", "result": "{}", "done_at_s": 0.0}
    with pytest.raises(LeaseError), writing(engine) as connection:
        connection.execute(insert(EFFECTS).values(**row))
        leases.check(connection, old)
    with engine.connect() as connection:
        assert connection.execute(EFFECTS.select()).all() == []


def test_a_holder_that_lapsed_may_not_write_even_if_nobody_took_over(engine: Engine, leases: Leases) -> None:
    lease = leases.take("trainer", "slow", ttl_s=60)
    lapse(engine)
    with pytest.raises(LeaseError):
        leases.assert_held(lease)
    with pytest.raises(LeaseError):
        leases.renew(lease)


def test_of_many_takers_at_once_one_wins(leases: Leases) -> None:
    won: list[Lease] = []
    barrier = threading.Barrier(8)

    def take(number: int) -> None:
        barrier.wait()
        with contextlib.suppress(LeaseError):
            won.append(leases.take("trainer", str(number), ttl_s=60))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lease.fence for lease in won] == [1]


def test_a_dead_holder_is_waited_out(leases: Leases) -> None:
    begun = time.monotonic()
    leases.take("trainer", "dead", ttl_s=0.3)
    assert leases.take_over("trainer", "next", ttl_s=60).fence == 2
    assert time.monotonic() - begun >= 0.2


def test_a_living_holder_is_not_waited_for(leases: Leases) -> None:
    lease = leases.take("trainer", "alive", ttl_s=600)
    with pytest.raises(LeaseError, match="'alive'"):
        leases.take_over("trainer", "next", ttl_s=60, on_wait=lambda why: leases.renew(lease))


def test_the_heartbeat_keeps_a_lease_and_notices_its_loss(engine: Engine) -> None:
    beats = threading.Semaphore(0)

    class Counted(Leases):
        """Beats as fast as for a lease of 30 ms, and renews one that no busy machine can outlast."""

        def renew(self, lease: Lease) -> None:
            super().renew(dataclasses.replace(lease, ttl_s=600))
            beats.release()

    leases = Counted(engine)
    lease = leases.take("trainer", "one", ttl_s=600)
    with writing(engine) as connection:
        connection.execute(update(LEASES).values(expires_at_s=LEASES.c.expires_at_s - 300))
    with leases.heartbeat(dataclasses.replace(lease, ttl_s=0.03)) as is_lost:
        for _ in range(3):
            assert beats.acquire(timeout=60)
        leases.assert_held(lease)
        with engine.connect() as connection:
            assert connection.execute(select(LEASES.c.expires_at_s)).scalar_one() > time.time() + 300
        assert not is_lost.is_set()
        lapse(engine)
        assert is_lost.wait(60)
