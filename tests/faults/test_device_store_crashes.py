"""A power cut at any moment of recording, correcting, sending and withdrawing; with seeded bugs that must be found."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.crash_states import Image, crash_states
from tests.faults.device_store import SOUNDS, SPEECH, Server, device, live_through, recording
from tests.faults.server_disk import image_on_disk

import projectone.storage.database as database
from projectone.device.client import DeviceClient
from projectone.device.clips import read_clip
from projectone.device.live.spool import Spool
from projectone.device.outbox import Outbox, OutboxEntry
from projectone.device.recordings import Clip, Recordings
from projectone.device.uploader import Uploader
from projectone.storage import files
from projectone.storage.database import Database
from projectone.waveform.wav import PCM16_HEADER_BYTES

State = tuple[Image, frozenset[str]]
TEARS = tuple(n / 12 for n in range(1, 12))
full = pytest.mark.skipif(
    "PROJECTONE_FULL_KILLS" not in os.environ, reason="PROJECTONE_FULL_KILLS=1 tears at all places"
)


def states_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tears: tuple[float, ...] = TEARS, *, is_short: bool = False
) -> tuple[list[State], Server]:
    """What power cuts could leave of a day, and the server of that day; only where something was promised."""
    (folder / "recorded").mkdir()
    server = Server()
    with recording(folder / "recorded", monkeypatch) as recorder:
        server.say = recorder.acknowledge
        with device(folder / "recorded" / "home", server, monkeypatch) as client:
            live_through(client, recorder.acknowledge, is_short=is_short)
    states = crash_states(recorder, tears=tears, is_thorough=tears is TEARS)
    return [(image, said) for image, said in states if said], server


def lost_recording(client: DeviceClient, said: frozenset[str]) -> str | None:
    """Something that was promised about recordings and is not so."""
    sounds = {}
    for found in client.recordings():
        sounds[client._rooms.recordings.audio(found.audio_sha256)] = found  # raises for a row without its sound
    for name, wav in SOUNDS.items():
        kept = sounds.get(read_clip(wav).wav)
        if f"heard {name}" in said and (kept is None or kept.text != "won"):
            return f"the {name} recording is lost"
        if f"corrected {name}" in said and (kept is None or kept.corrected_text != name):
            return f"the {name} correction is lost"
    spoken = max((int(item.split()[1]) for item in said if item.startswith("spoken ")), default=0)
    if "finished" in said:
        spoken = len(SPEECH)
    left = [sound[PCM16_HEADER_BYTES:] for sound in sounds]
    for item in client.live.unfinished():
        with contextlib.closing(client.live._spools.open(item.live_id)) as spool:
            left.append(spool.read(0, len(SPEECH)))
    if not any(sound[:spoken] == SPEECH[:spoken] for sound in (*left, b"" if spoken else SPEECH)):
        return f"of what was spoken {spoken} bytes were promised"
    return None


def find_violation(home: Path, server: Server, said: frozenset[str], monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What is wrong with the device that finds this disk; None if nothing is."""
    with device(home, server, monkeypatch) as client:
        if (problem := lost_recording(client, said)) is not None:
            return problem
        is_agreed = client.consents()["corrections"] is not None
        if "consent" in said and not is_agreed and "erased" not in said and "synced again" not in said:
            return "the consent is lost"
        if "withdrawn" in said and is_agreed:
            return "the consent is back"
        report = client.sync()
        if report.waiting or report.problem or report.refused:
            return f"sent once more: {report}"
        given = sorted(r.corrected_text for r in client.recordings() if r.corrected_text) if is_agreed else []
        if server.texts() != given or server.conflicts:
            return f"given {given}, the server has {server.texts()}, and otherwise {server.conflicts}"
    with device(home, server, monkeypatch) as client:
        if client.sync().sent or lost_recording(client, said) or server.texts() != given:
            return "the second start is not like the first"
    return None


def explore(
    states: list[State], server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, *, limit: int | None = None
) -> list[str]:
    """What is wrong with devices that find these disks."""
    violations = []
    for image, said in states:
        with image_on_disk(image, folder / "image") as place:
            try:
                problem = find_violation(place / "home", server.as_of(said), said, monkeypatch)
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            violations.append(problem)
            if limit is not None and len(violations) >= limit:
                break
    return violations


@pytest.mark.parametrize(("tears", "every"), [pytest.param(TEARS, 1, marks=full), ((0.5,), 4)])
def test_no_power_cut_loses_or_doubles_what_a_person_gave(
    tears: tuple[float, ...], every: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, server = states_of(folder, monkeypatch, tears)
    print(f"{len(states)} disks that a power cut could leave, one of {every} looked at")
    assert len(states) >= 200, "the steps are no longer seen"
    assert explore(states[::-every], server, folder, monkeypatch) == []


def no_fsync_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "fsync_file", lambda descriptor: None)


def no_fsync_of_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "fsync_folder", lambda path: None)


def a_log_that_is_not_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    open_database = database.open_database

    def open_carelessly(*arguments: Any) -> Any:
        connection = open_database(*arguments)
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    monkeypatch.setattr(database, "open_database", open_carelessly)


def a_row_before_its_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    add, keep = Recordings.add, Recordings.keep_audio

    def add_first(self: Recordings, clip: Clip, **options: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(Recordings, "keep_audio", lambda self, clip: files.hashlib.sha256(clip.wav).hexdigest())
            recording = add(self, clip, **options)
        keep(self, clip)
        return recording

    monkeypatch.setattr(Recordings, "add", add_first)


def sent_before_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    send = Uploader._send

    def mark_first(self: Uploader, entry: OutboxEntry) -> None:
        self._outbox.mark_sent(entry)
        send(self, entry)

    monkeypatch.setattr(Uploader, "_send", mark_first)


def what_was_being_sent_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "recover", lambda self: 0)


def changes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def no_transaction(self: Database) -> Iterator[None]:
        yield

    monkeypatch.setattr(Database, "transaction", no_transaction)


def sound_that_is_called_safe_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_sync(self: Spool) -> None:
        self.n_safe_bytes = self.n_bytes

    monkeypatch.setattr(Spool, "sync", no_sync)


@pytest.mark.parametrize(
    "bug",
    [
        no_fsync_of_files,
        a_row_before_its_sound,
        sent_before_the_answer,
        *(
            pytest.param(bug, marks=pytest.mark.slow)
            for bug in (
                no_fsync_of_folders,
                a_log_that_is_not_flushed,
                what_was_being_sent_is_forgotten,
                changes_in_pieces,
                sound_that_is_called_safe_too_early,
            )
        ),
    ],
)
def test_the_exploration_finds_a_seeded_bug(
    bug: Callable[[pytest.MonkeyPatch], None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        bug(patch)
        # Where no commit is sure, a whole day has tens of thousands of images.
        states, server = states_of(folder, patch, (0.5,), is_short=bug is a_log_that_is_not_flushed)
        # Where most was promised and least is there, first.
        states.sort(key=lambda state: (-len(state[1]), sum(len(content or b"") for content in state[0].values())))
        assert explore(states, server, folder, patch, limit=1)
