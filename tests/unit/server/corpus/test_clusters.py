"""People of one network and hour are one cluster, and after that hour nobody can say which network it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from projectone.server.corpus.clusters import SALTS, Clusters, network_of
from projectone.server.database import open_engine, reading
from projectone.server.migrations.upgrade import upgrade_database

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder: Path = tmp_path_factory.mktemp("clusters")
    made = open_engine(f"sqlite:///{folder / 'rows.db'}")
    upgrade_database(made)
    yield made
    made.dispose()


def test_a_cluster_is_a_network_and_an_hour(engine: Engine) -> None:
    clusters = Clusters(engine)
    clusters.note("ada", "8.8.4.1", NOON)
    clusters.note("eve", "8.8.4.200", NOON + timedelta(minutes=59))
    clusters.note("far", "8.8.5.1", NOON)
    clusters.note("office", "192.168.1.7", NOON)
    clusters.note("late", "8.8.4.1", NOON + timedelta(hours=1))
    clusters.note("ada", "1.1.1.1", NOON + timedelta(hours=1))  # another device of hers
    found = clusters.of_each()
    assert found.keys() == {"ada", "eve", "far", "late"}
    assert found["ada"] == found["eve"]
    assert len(set(found.values())) == 3


def test_the_salt_of_an_hour_is_gone_with_it(engine: Engine) -> None:
    clusters = Clusters(engine)
    for hour in range(5, 9):
        clusters.note(f"person{hour}", "8.8.4.1", NOON + timedelta(hours=hour))
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(SALTS)).scalar_one() == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("8.8.4.4", "8.8.4.0/24"),
        ("::ffff:8.8.4.4", "8.8.4.0/24"),
        ("2001:4860:4860:1::8888", "2001:4860:4860::/48"),
        ("127.0.0.1", None),
        ("10.1.2.3", None),
        ("fe80::1", None),
        ("testclient", None),
    ],
)
def test_only_public_addresses_have_a_network(address: str, network: str | None) -> None:
    assert network_of(address) == network
