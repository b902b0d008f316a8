"""A disk that is really full: taking back and deleting, which make room, are possible all the same.

The disk is a small one in memory, mounted where nobody else sees it. The control keeps no room, and can do neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY

_DAY = """
import json, subprocess, sys
from datetime import UTC, datetime
from pathlib import Path
from tests.fakes.device_rooms import tone
from projectone.device.clips import read_clip
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import StorageError
from projectone.storage.reserve import Reserve, is_full

disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], check=True)
if sys.argv[2] == "without":
    Reserve.hold = lambda self: None
done = {}
with open_client(DeviceSettings(home=disk / "home")) as client:
    client.grant("corrections", "demo")
    ids = []
    for number in range(10):
        clip = read_clip(tone(2, pitch_hz=300 + number))
        row = client._rooms.recordings.add(clip, text="won", model_version="1.0.0", recorded_at=datetime.now(UTC))
        client.correct(row.recording_id, "one " * 200)
        ids.append(row.recording_id)
    client._rooms.database.empty_log()  # as after a restart: what comes now needs room of its own
    with (disk / "everything else").open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError as error:
            assert is_full(error)
    def attempt(name, work):
        try:
            work()
            done[name] = True
        except (StorageError, OSError) as error:
            done[name] = "full" if is_full(error) else repr(error)
    attempt("record", lambda: client._rooms.recordings.add(
        read_clip(tone(2)), text="won", model_version="1.0.0", recorded_at=datetime.now(UTC)))
    attempt("withdraw", lambda: client.withdraw("corrections"))
    attempt("delete", lambda: client.delete_recording(ids[0]))
    done["in force"] = client.consents()["corrections"] is not None
    done["kept"] = len(client.recordings())
    attempt("record again", lambda: client._rooms.recordings.add(
        read_clip(tone(0.5, pitch_hz=900)), text="won", model_version="1.0.0", recorded_at=datetime.now(UTC)))
print(json.dumps(done))
"""


def a_day(disk: Path, room: str) -> dict[str, Any]:
    """What could be done on a full disk."""
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    command = ["unshare", "--map-root-user", "--mount", sys.executable, "-c", _DAY, str(disk), room]
    ran = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    done: dict[str, Any] = json.loads(ran.stdout)
    return done


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    probe = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(probe, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here (it takes Linux with user namespaces)")
    return tmp_path


def test_on_a_full_disk_a_person_can_withdraw_and_delete(disk: Path) -> None:
    done = a_day(disk, "with")
    assert done["record"] == "full", "the disk was not full"
    assert (done["withdraw"], done["delete"]) == (True, True)
    assert (done["in force"], done["kept"]) == (False, 9)
    assert done["record again"] is True, "a deletion makes room"


def test_control_without_the_room_that_is_kept_neither_is_possible(disk: Path) -> None:
    done = a_day(disk, "without")
    assert (done["withdraw"], done["delete"]) == ("full", "full")
    assert (done["in force"], done["kept"]) == (True, 10)
