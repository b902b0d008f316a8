"""kill -9 before every step of an update and of a sync, on real processes and a real disk.

Each has a control with the defence off, which must be caught: a test that cannot fail proves nothing. One loss is
enough for that, so a control is killed before every third step; before every one with `PROJECTONE_FULL_KILLS=1`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY
from tests.fakes.device_rooms import text_model, tone, update
from tests.fakes.release_server import FakeServer, running

from projectone.device.clips import read_clip
from projectone.device.recordings import Recording
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client

EVERY = 1 if os.environ.get("PROJECTONE_FULL_KILLS") else 3
DRIVER = REPOSITORY / "tests" / "faults" / "device_driver.py"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running(FakeServer()) as started:
        yield started


def drive(scenario: str, defence: str, server: FakeServer, folder: Path, *, every: int = 1) -> Iterator[dict[str, Any]]:
    """What was found after each kill, one after the other."""
    command = [sys.executable, str(DRIVER), scenario, defence, str(every), server.url, server.public_key, str(folder)]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment) as driver:
        assert driver.stdout is not None
        try:
            for line in driver.stdout:
                yield json.loads(line)
            assert driver.wait() == 0
        finally:
            driver.kill()


def prepare_install(server: FakeServer, folder: Path) -> None:
    server.release(text_model("old"), seq=5, version="1.0.0")
    update(folder / "base", server)
    server.release(text_model("new"), seq=6, version="1.1.0")


def is_violated(found: dict[str, Any]) -> bool:
    """No whole model, a mixture, no rest, or no way on."""
    return (
        found.get("heard") not in ("old", "new")
        or not found["is_stable"]
        or found["heard_after_update"] != "new"
        or found["left_over"] != []
    )


@pytest.mark.slow
def test_a_kill_at_any_step_of_an_update_leaves_a_whole_model_and_a_way_on(server: FakeServer, folder: Path) -> None:
    prepare_install(server, folder)
    found = list(drive("install", "all on", server, folder))
    assert [item for item in found if is_violated(item)] == []
    assert {item["heard"] for item in found} == {"old", "new"}
    assert len(found) > 30, "the steps are no longer seen"
    assert [item["killed"] for item in found] == [True] * (len(found) - 1) + [False]


@pytest.mark.slow
@pytest.mark.parametrize("defence", ["state written in place", "live folder overwritten"])
def test_the_kills_find_an_install_that_is_done_wrong(defence: str, server: FakeServer, folder: Path) -> None:
    prepare_install(server, folder)
    assert any(is_violated(item) for item in drive("install", defence, server, folder, every=EVERY))


def record(folder: Path, server: FakeServer) -> list[Recording]:
    """A home with three corrections in line."""
    made = []
    with open_client(DeviceSettings(home=folder / "base", server=server.url)) as client:
        client.grant("corrections", "demo")
        for number in range(3):
            clip = read_clip(tone(pitch_hz=300 + 50 * number))
            recording = client._rooms.recordings.add(
                clip, text="won", model_version="1.0.0", recorded_at=client._rooms.clock()
            )
            client.correct(recording.recording_id, "one")
            made.append(recording)
    return made


def is_lost(found: dict[str, Any]) -> bool:
    """Something was not sent after all, or is not known to be."""
    return found.get("uploaded") != 3 or found["waiting"] != 0


@pytest.mark.slow
def test_a_kill_at_any_step_of_a_sync_loses_and_doubles_nothing(server: FakeServer, folder: Path) -> None:
    record(folder, server)
    found = list(drive("sync", "all on", server, folder))
    assert [item for item in found if is_lost(item)] == []
    assert len(found) > 30, "the steps are no longer seen"
    assert {item.get("sent") for item in found} == {0, 1, 2, 3}
    # Every home is a copy of one device: whatever was sent again had the same ids and the same bytes.
    assert len(server.samples) == 3


@pytest.mark.slow
def test_the_kills_find_an_outbox_that_does_not_recover(server: FakeServer, folder: Path) -> None:
    record(folder, server)
    assert any(is_lost(item) for item in drive("sync", "what was being sent is forgotten", server, folder))
