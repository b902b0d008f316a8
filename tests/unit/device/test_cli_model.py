"""`projectone update --when-idle`, `--status` and `projectone model`; and the files that start them every night."""

from __future__ import annotations

import base64
import json
import os
import plistlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.device_rooms import TextEngine, text_model, tone
from tests.fakes.release_server import FakeServer

from projectone.contracts.releases import ReleaseNotes
from projectone.device import conditions
from projectone.device.cli import main
from projectone.device.conditions import Conditions

TIMERS = Path(__file__).parents[3] / "docs/timers"


@pytest.fixture(autouse=True)
def _device(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    monkeypatch.setattr(conditions, "look", lambda: Conditions(is_quiet=True, is_away=False, is_on_mains=True))
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_SERVER", server.url)
    monkeypatch.setenv("PROJECTONE_RELEASE_ROOT", base64.b64encode(server.root).decode())
    server.release(text_model("please call at nine"), seq=1, version="1.0.0")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_timer_fetches_and_leaves_the_trial_for_a_better_moment(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(capsys, "update")[1]["status"] == "updated"
    server.release(text_model("please call ana at nine"), seq=2, version="1.1.0")
    code, facts = run(capsys, "update", "--when-idle", "--max-wait", 0)
    assert (code, facts["status"], facts["to_version"]) == (0, "staged", "1.0.0")
    code, facts = run(capsys, "update", "--status")
    assert (code, facts["phase"], facts["staged_version"]) == (0, "staged", "1.1.0")
    assert facts["waits_for"] == ["you are using this machine"]
    assert {item["role"] for item in facts["models"]} == {"current", "staged"}
    monkeypatch.setattr(conditions, "look", lambda: Conditions(is_quiet=True, is_away=True, is_on_mains=True))
    assert run(capsys, "update", "--when-idle", "--max-wait", 0)[1]["status"] == "updated"


def test_what_a_model_changed_for_this_user_is_said(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "update")
    assert "No new model was tried" in (text := shown(capsys, "model"))
    assert "What is new in it:\n  Its release does not say what is new in it." in text
    for number, name in enumerate(("ana", "bo", "cem", "dee", "eve")):
        wav = tmp_path / "note.wav"
        wav.write_bytes(tone(pitch_hz=300.0 + number))
        run(capsys, "transcribe", wav)
        run(capsys, "correct", "last", f"please call {name} at mine")
    notes = ReleaseNotes(after="1.0.0", n_words=200, n_wrong=10, n_wrong_before=30)
    server.release(text_model("please call you at mine"), seq=2, version="1.1.0", notes=notes)
    assert run(capsys, "update")[1]["status"] == "updated"
    code, facts = run(capsys, "model")
    assert facts["notes"] == notes.model_dump()
    assert (code, facts["version"], facts["comparisons"][0]["verdict"]) == (0, "1.1.0", "better")
    assert (facts["last"]["wrong_before"], facts["last"]["wrong_after"], facts["tier"]) == (10, 5, "float16")
    text = shown(capsys, "model")
    assert "it gets 5.0 % wrong; model 1.0.0 got 15.0 % wrong." in text
    assert "model 1.0.0 got 10 words wrong and model 1.1.0 got 5. It hears you better." in text


def test_automatic_updates_are_switched_off_and_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert [run(capsys, "model", "--automatic", what)[1]["is_automatic"] for what in ("off", "on")] == [False, True]


@pytest.mark.parametrize(
    "arguments", [("--when-idle", "--now"), ("--when-idle", "--max-wait", "-1"), ("--when-idle", "--max-wait", "99999")]
)
def test_what_makes_no_sense_with_waiting_is_said(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts = run(capsys, "update", *arguments)
    assert (code, facts["error"]["kind"]) == (2, "settings")


def test_a_budget_that_is_too_small_is_said_with_the_number_that_would_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: FakeServer
) -> None:
    server.release(text_model("big", padding=20_000), seq=2, version="1.1.0")
    monkeypatch.setenv("PROJECTONE_MODEL_BUDGET_MB", "1")
    code, facts = run(capsys, "update")
    assert (code, facts["error"]["kind"]) == (2, "over-budget")
    assert "PROJECTONE_MODEL_BUDGET_MB allows 1 MB: set it to 11 or more" in facts["error"]["message"]
    assert server.ranges == []
    monkeypatch.setenv("PROJECTONE_MODEL_BUDGET_MB", "11")
    assert run(capsys, "update")[1]["status"] == "updated"


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main([*arguments]) == 0
    return capsys.readouterr().out


def verify(folder: Path) -> str:
    """What systemd finds wrong with the units in a folder; its exit code says nothing about them."""
    units = [str(path) for path in sorted(folder.glob("projectone-update.*"))]
    environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)}
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", *units], capture_output=True, text=True, env=environment
        )
    except FileNotFoundError:
        pytest.skip("systemd-analyze is not installed")
    if "initialize manager" in done.stderr:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr}")
    return done.stderr


def test_the_units_of_systemd_are_units(tmp_path: Path) -> None:
    for path in TIMERS.glob("projectone-update.*"):
        shutil.copy(path, tmp_path)
    assert verify(tmp_path) == ""
    service = tmp_path / "projectone-update.service"
    service.write_text(service.read_text().replace("Type=oneshot", "Type=often"))
    assert "often" in verify(tmp_path)  # the control


def test_the_agent_of_launchd_is_a_property_list_that_runs_the_command() -> None:
    agent = plistlib.loads((TIMERS / "org.projectone.update.plist").read_bytes())
    assert agent["ProgramArguments"][-1].endswith("exec projectone update --when-idle --max-wait 300")
    assert agent["StartCalendarInterval"] == {"Hour": 0, "Minute": 30}
