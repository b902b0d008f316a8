"""`projectone quality`: what is counted is shown, what would leave is shown byte for byte, off forgets."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.device_rooms import TextEngine, text_model, tone
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer

from projectone.contracts.quality import QualityReport, week_of
from projectone.contracts.questions import HISTOGRAMS
from projectone.device.cli import main


@pytest.fixture(autouse=True)
def _device(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_SERVER", server.url)
    monkeypatch.setenv("PROJECTONE_ENROLMENT_CODE", ENROLMENT_CODE)
    monkeypatch.setenv("PROJECTONE_RELEASE_KEY", server.public_key)
    monkeypatch.setenv("PROJECTONE_RELEASE_ROOT", base64.b64encode(server.root).decode())
    server.release(text_model("won too"))
    (tmp_path / "note.wav").write_bytes(tone())
    assert main(["update"]) == 0


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_what_is_counted_is_shown_and_what_leaves_byte_for_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "transcribe", tmp_path / "note.wav")
    assert run(capsys, "quality")[1]["weeks"] == []  # nothing was allowed yet
    assert run(capsys, "quality", "on", "--yes")[1]["is_on"]
    assert run(capsys, "consent", "show")[1]["consents"]["quality"]["is_granted"]
    run(capsys, "transcribe", tmp_path / "note.wav")
    run(capsys, "correct", "last", "one two")
    (week,) = run(capsys, "quality")[1]["weeks"]
    assert sum(week["counts"]["duration"]) == 1 and week["counts"]["edit_rate"][-1] == 1
    assert main(["quality"]) == 0
    assert "how many words a correction changed" in capsys.readouterr().out
    assert run(capsys, "quality", "payload")[1]["payload"] is None  # the week is not over
    later = datetime.now(UTC) + timedelta(weeks=1)
    monkeypatch.setattr("projectone.device.wiring._now", lambda: later)
    shown = run(capsys, "quality", "payload")[1]
    report = QualityReport.from_bytes(shown["payload"].encode())
    assert report.to_bytes().decode() == shown["payload"] and report.histogram in HISTOGRAMS
    assert report.week == week_of(later - timedelta(weeks=1)) and report.model_version == week["model_version"]
    assert run(capsys, "quality", "payload")[1] == shown  # drawn once
    assert main(["quality", "payload"]) == 0
    assert capsys.readouterr().out.startswith(shown["payload"])


@pytest.mark.parametrize("words", [("quality", "off"), ("consent", "withdraw", "quality")])
def test_off_forgets_and_no_server_hears_of_it(
    tmp_path: Path, server: FakeServer, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    main(["quality", "on", "--yes"])
    main(["transcribe", str(tmp_path / "note.wav")])
    run(capsys, *words)
    found = run(capsys, "quality")[1]
    assert (found["is_on"], found["weeks"], found["told"]) == (False, [], [])
    assert run(capsys, "sync")[1]["sent"] == 0  # a consent that names nobody, and a receipt would
    assert run(capsys, "status")[1]["waiting"] == 0


def test_nobody_agrees_who_was_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quality", "on"]) == 2
    captured = capsys.readouterr()
    assert "A coin decides" in captured.err and "--yes" in captured.err
