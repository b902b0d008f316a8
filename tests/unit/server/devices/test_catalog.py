"""Devices are known by their first key, until they are revoked."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from projectone.contracts.devices import Enrolment
from projectone.server.database import open_engine
from projectone.server.devices.catalog import DeviceCatalog
from projectone.server.migrations.upgrade import upgrade_database

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LATER = datetime(2026, 12, 1, tzinfo=UTC)


def enrolment(key: str = "A", person: str = "ada") -> Enrolment:
    return Enrolment(device_id="phone", contributor_id=person, public_key=key * 43 + "=", enrolment_code="x")


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[DeviceCatalog]:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    upgrade_database(engine)
    yield DeviceCatalog(engine)
    engine.dispose()


def test_a_device_is_found_after_it_was_enrolled(devices: DeviceCatalog) -> None:
    assert devices.find("phone") is None
    found = devices.enrol(enrolment(), NOW)
    assert found is not None
    assert found == (devices.find("phone"), True)


def test_the_same_again_keeps_the_first_date(devices: DeviceCatalog) -> None:
    devices.enrol(enrolment(), NOW)
    again = devices.enrol(enrolment(), LATER)
    assert again is not None
    assert (again[0].enrolled_at, again[1]) == (NOW, False)


def test_another_key_or_person_does_not_take_the_name(devices: DeviceCatalog) -> None:
    devices.enrol(enrolment(), NOW)
    assert devices.enrol(enrolment(key="B"), NOW) is None
    assert devices.enrol(enrolment(person="bob"), NOW) is None


def test_a_revoked_device_is_gone_for_good(devices: DeviceCatalog) -> None:
    devices.enrol(enrolment(), NOW)
    assert devices.revoke("phone", LATER)
    assert not devices.revoke("phone", LATER)
    assert devices.find("phone") is None
    assert devices.enrol(enrolment(), LATER) is None
