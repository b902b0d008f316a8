"""The device's identity."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from projectone.contracts.signatures import content_digest, verify_request
from projectone.device.keys import DeviceKeys
from projectone.errors import StorageError


def test_the_identity_is_drawn_once_and_kept_private(tmp_path: Path) -> None:
    first = DeviceKeys.open(tmp_path / "keys", clock_s=time.time)
    again = DeviceKeys.open(tmp_path / "keys", clock_s=time.time)
    assert first.enrolment("code") == again.enrolment("code")
    assert (tmp_path / "keys" / "device.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_two_devices_share_nothing(tmp_path: Path) -> None:
    one, two = (DeviceKeys.open(tmp_path / name, clock_s=time.time).enrolment("") for name in "ab")
    assert one.device_id != two.device_id
    assert one.contributor_id != two.contributor_id
    assert one.public_key != two.public_key


def test_threads_that_come_at_once_get_one_identity(tmp_path: Path) -> None:
    found: list[str] = []
    barrier = threading.Barrier(6)

    def work() -> None:
        barrier.wait()
        found.append(DeviceKeys.open(tmp_path / "keys", clock_s=time.time).device_id)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_a_signature_holds_for_exactly_this_request(tmp_path: Path) -> None:
    keys = DeviceKeys.open(tmp_path, clock_s=lambda: 1000.0)
    headers = keys.sign(method="PUT", path="/v1/samples/x", query="", body=b"sound", sample_header="e30=")
    verified = verify_request(
        keys.enrolment("").public_key,
        method="PUT",
        path="/v1/samples/x",
        query="",
        headers={name.lower(): value for name, value in headers.items()},
        body_digest=content_digest(b"sound"),
        now_s=1000,
    )
    assert (verified.device_id, verified.created_s) == (keys.device_id, 1000)


def test_a_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    DeviceKeys.open(tmp_path, clock_s=time.time)
    (tmp_path / "device.json").chmod(0o644)
    DeviceKeys.open(tmp_path, clock_s=time.time)
    assert (tmp_path / "device.json").stat().st_mode & 0o777 == 0o600


def test_a_damaged_identity_is_said(tmp_path: Path) -> None:
    (tmp_path / "device.json").write_text("{}")
    with pytest.raises(StorageError, match="identity"):
        DeviceKeys.open(tmp_path, clock_s=time.time)


def test_the_private_key_is_in_no_text(tmp_path: Path) -> None:
    keys = DeviceKeys.open(tmp_path, clock_s=time.time)
    assert "private" not in repr(keys.enrolment("code")) + repr(vars(keys))
