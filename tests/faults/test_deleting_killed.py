"""kill -9 between a deletion and the removal of the sound: the next start removes it.

The control starts without looking, and the sound stays for ever.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

from projectone.device.recordings import Recordings
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client

_DELETE = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from tests.fakes.device_rooms import tone
from projectone.device.settings import DeviceSettings
from projectone.device.clips import read_clip
from projectone.device.wiring import open_client
from projectone.storage.blobs import FileBlobs

client = open_client(DeviceSettings(home=Path(sys.argv[1])))
clip = read_clip(tone(0.2))
rows = client._rooms.recordings
deleted = rows.add(clip, text="won", model_version="1.0.0", recorded_at=datetime.now(UTC))
if sys.argv[2] == "twice":
    rows.add(clip, text="won", model_version="1.0.0", recorded_at=datetime.now(UTC))
Recordings = type(rows)
Recordings.remove_audio = lambda self, sha256: os.kill(os.getpid(), signal.SIGKILL)
client.delete_recording(deleted.recording_id)
"""


def delete_and_die(home: Path, how_often: str = "once") -> None:
    """Delete a recording; killed when its rows are gone and its sound is not."""
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", _DELETE, str(home), how_often]
    assert subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode == -signal.SIGKILL
    assert len(sounds(home)) == 1


def sounds(home: Path) -> list[Path]:
    return list((home / "audio").glob("??/*"))


def start(home: Path) -> int:
    """Start the device; gives how many recordings it finds."""
    with open_client(DeviceSettings(home=home)) as client:
        return len(client.recordings())


def test_the_sound_of_a_deleted_recording_is_gone_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete_and_die(tmp_path)
    with monkeypatch.context() as control:
        control.setattr(Recordings, "sweep_audio", lambda self: None)
        assert start(tmp_path) == 0
        assert len(sounds(tmp_path)) == 1
    assert start(tmp_path) == 0
    assert sounds(tmp_path) == []


def test_a_sound_that_another_recording_has_too_stays(tmp_path: Path) -> None:
    delete_and_die(tmp_path, "twice")
    assert (start(tmp_path), start(tmp_path)) == (1, 1)
    assert len(sounds(tmp_path)) == 1
