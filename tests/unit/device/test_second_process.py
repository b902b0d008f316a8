"""Another process has the device: every command does its work, or says so in one line, and nothing is half done."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.device_rooms import TextEngine, text_model, tone
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer

import projectone.storage.sqlite as sqlite
from projectone.device.cli import main
from projectone.device.cli.main import SUMMARIES
from projectone.storage.locks import exclusive_lock

# Only `record` and `ui` go on until they are told to end; both open the device as the others do.
COMMANDS: dict[str, tuple[str, ...]] = {
    "transcribe": ("transcribe", "NOTE"),
    "record": ("record", "--unfinished"),
    "recordings": ("recordings",),
    "correct": ("correct", "last", "two"),
    "ask": ("ask", "--list"),
    "vocabulary": ("vocabulary", "add", "Zoë"),
    "memory": ("memory", "on"),
    "policies": ("policies",),
    "harmless": ("harmless",),
    "donate": ("donate", "--text", "one two", "--anyway", "NOTE"),
    "sent": ("sent",),
    "undo": ("undo", "last"),
    "consent": ("consent", "grant", "evaluation", "--yes"),
    "sync": ("sync",),
    "update": ("update",),
    "model": ("model",),
    "health": ("health", "on"),
    "quality": ("quality", "on", "--yes"),
    "answer": ("answer", "how warm is it"),
    "answers": ("answers", "forget"),
    "cues": ("cues", "on"),
    "sound": ("sound", "--bars", "1", "--wav", "SOUND"),
    "status": ("status",),
}
LEFT_OUT = {"ui"}  # serves until it is stopped
# Two processes must not send, or change the model, at the same time.
REFUSED_WHILE_BUSY = {"sync", "update"}


@pytest.fixture
def home(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device with a model, a correction that waits, and a consent."""
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_SERVER", server.url)
    monkeypatch.setenv("PROJECTONE_ENROLMENT_CODE", ENROLMENT_CODE)
    monkeypatch.setenv("PROJECTONE_RELEASE_KEY", server.public_key)
    monkeypatch.setenv("PROJECTONE_RELEASE_ROOT", base64.b64encode(server.root).decode())
    server.release(text_model("one"), seq=1, version="1.0.0")
    (tmp_path / "note.wav").write_bytes(tone())
    for scope in ("corrections", "voice_donation"):
        assert main(["consent", "grant", scope, "--yes"]) == 0
    for command in ("update", f"transcribe {tmp_path}/note.wav", "correct last two"):
        assert main(command.split()) == 0
    server.release(text_model("two"), seq=2, version="1.1.0")
    return tmp_path / "device"


def answers(home: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[int, str]]:
    """What each command ends with and says of an error, one after the other."""
    found = {}
    for name, words in COMMANDS.items():
        capsys.readouterr()
        files = {"NOTE": str(home.parent / "note.wav"), "SOUND": str(home.parent / "sound.wav")}
        code = main([files.get(word, word) for word in (*words, "--json")])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert len(captured.err.splitlines()) <= 3, captured.err
        found[name] = (code, json.loads(captured.out).get("error", {}).get("message", "") if captured.out else "")
    return found


@contextlib.contextmanager
def busy(home: Path) -> Iterator[None]:
    """Another process sends, and another one changes the model."""
    with (
        exclusive_lock(home / "sync.lock", what="sending"),
        exclusive_lock(home / "models" / "update.lock", what="updating"),
    ):
        yield


@contextlib.contextmanager
def writing(home: Path) -> Iterator[None]:
    """Another process is in the middle of a change."""
    with contextlib.closing(sqlite3.connect(home / "device.sqlite", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def test_every_command_is_tried() -> None:
    assert set(COMMANDS) | LEFT_OUT == set(SUMMARIES)


def test_while_another_process_sends_and_updates_all_else_goes_on(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with busy(home):
        found = answers(home, capsys)
    assert {name for name, (code, _) in found.items() if code} == REFUSED_WHILE_BUSY
    for name in REFUSED_WHILE_BUSY:
        assert found[name][0] == 2
        assert "try again when it is done" in found[name][1]
    assert "by the app in the browser, a timer or another command; it goes on by itself" in found["update"][1]
    assert main(["sync"]) == main(["update"]) == 0


def test_a_change_that_another_process_does_not_end_is_told_and_nothing_is_half_done(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_MS", 1)
    with writing(home):
        found = answers(home, capsys)
    told = {name: message for name, (code, message) in found.items() if code == 2}
    assert {"correct", "consent", "sync", "transcribe", "undo"} <= set(told)
    assert {"recordings", "sent", "status"} & set(told) == set()
    assert all("database is locked" in message for message in told.values()), told
    assert {code for code, _ in answers(home, capsys).values()} == {0}
