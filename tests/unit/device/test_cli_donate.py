"""`projectone donate`: from the sentence on the screen to the clip in line, and back."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.device_rooms import TextEngine, text_model
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer
from tests.unit.device.test_cli import refuse, run
from tests.unit.device.test_donation import voice

from projectone.contracts.scripts import PromptScript, ScriptSheet
from projectone.contracts.signatures import sign_scripts
from projectone.device.cli import main
from projectone.waveform.wav import encode_wav

FIRST, SECOND = "the quick brown fox", "seven apples fell"


@pytest.fixture(autouse=True)
def _device(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_SERVER", server.url)
    monkeypatch.setenv("PROJECTONE_ENROLMENT_CODE", ENROLMENT_CODE)
    monkeypatch.setenv("PROJECTONE_RELEASE_KEY", server.public_key)
    monkeypatch.setenv("PROJECTONE_RELEASE_ROOT", base64.b64encode(server.root).decode())
    sheet = ScriptSheet(
        language="en",
        made_at=datetime(2026, 11, 21, tzinfo=UTC),
        scripts=(
            PromptScript(script_id="s-1", text=FIRST, why="'quick' is misheard 9 of 12 times"),
            PromptScript(script_id="s-2", text=SECOND, why="'seven' is misheard 5 of 12 times"),
        ),
    )
    server.scripts = sign_scripts(server.key, sheet)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "reading.wav"
    path.write_bytes(encode_wav(voice()))
    return path


def kept_sounds(home: Path) -> int:
    return sum(path.is_file() for path in (home / "audio").rglob("*"))


def test_the_sentence_is_shown_with_its_reason_and_the_next_one_follows(
    wav: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["donate"]) == 0
    text = capsys.readouterr().out
    assert f"sentence 1 of 2\n  {FIRST}\n  why: 'quick' is misheard 9 of 12 times" in text
    run(capsys, "consent", "grant", "voice_donation", "--yes")
    code, facts = run(capsys, "donate", wav)
    assert (code, facts["text"], facts["next"]["script"]["text"], facts["next"]["n_read"]) == (0, FIRST, SECOND, 1)
    run(capsys, "sync")
    ((correction, _),) = server.samples.values()
    assert (correction.kind, correction.text, correction.script_id) == ("donation", FIRST, "s-1")
    assert run(capsys, "donate", wav)[1]["next"] == {"script": None}
    assert "read every sentence" in refuse(capsys, "donate", wav)


def test_what_the_model_hears_must_be_the_sentence(
    wav: Path, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.release(text_model(SECOND))
    run(capsys, "update")
    run(capsys, "consent", "grant", "voice_donation", "--yes")
    code, facts = run(capsys, "donate", wav)
    assert (code, facts["is_kept"], facts["reason"], facts["heard"]) == (1, False, "other-words", SECOND)
    assert "read the sentence as it stands" in facts["error"]["message"]
    assert run(capsys, "status")[1]["donations"] == 0
    assert kept_sounds(tmp_path / "device") == 0
    assert run(capsys, "donate", wav, "--anyway")[1]["is_queued"]
    assert run(capsys, "donate", wav)[1]["is_queued"]  # now it is the second sentence's turn


def test_a_recording_that_is_too_quiet_is_not_kept_and_says_what_to_do(
    wav: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wav.write_bytes(encode_wav(voice(peak=0.015, floor=0.0)))
    run(capsys, "consent", "grant", "voice_donation", "--yes")
    assert main(["donate", str(wav)]) == 1
    assert "not kept: too quiet: come closer to the microphone" in capsys.readouterr().out
    assert run(capsys, "donate")[1]["script"]["text"] == FIRST  # it is still the one to read


def test_the_last_donation_is_taken_back_before_it_leaves(
    wav: Path, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "consent", "grant", "voice_donation", "--yes")
    run(capsys, "donate", wav)
    assert kept_sounds(tmp_path / "device") == 1
    code, facts = run(capsys, "donate", "--undo")
    assert (code, facts["is_undone"], facts["text"]) == (0, True, FIRST)
    assert kept_sounds(tmp_path / "device") == 0
    run(capsys, "sync")
    assert server.samples == {}
    run(capsys, "donate", "--skip")  # the second one was on the screen
    assert run(capsys, "donate")[1]["script"]["text"] == FIRST  # what was taken back can be read again
    assert run(capsys, "donate", "--undo")[1] == {"is_undone": False}


def test_a_sound_that_something_else_needs_stays(
    wav: Path, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.release(text_model(FIRST))
    run(capsys, "update")
    run(capsys, "transcribe", wav)
    run(capsys, "consent", "grant", "voice_donation", "--yes")
    run(capsys, "donate", wav)
    run(capsys, "donate", "--undo")
    assert kept_sounds(tmp_path / "device") == 1


def test_after_it_was_sent_the_undo_reaches_the_server(
    wav: Path, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "consent", "grant", "voice_donation", "--yes")
    run(capsys, "donate", wav)
    run(capsys, "sync")
    code, facts = run(capsys, "donate", "--undo")
    assert (code, facts["is_undone"], facts["may_have_left"]) == (0, True, True)
    assert run(capsys, "status")[1]["donations"] == 0
    assert kept_sounds(tmp_path / "device") == 0
    run(capsys, "sync")
    assert server.samples == {}
    assert set(server.consents.values()) == {True}


def test_without_a_server_one_reads_what_came_with_the_program(
    wav: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJECTONE_SERVER", "http://127.0.0.1:1")
    facts = run(capsys, "donate")[1]
    assert "the server has not chosen" in facts["script"]["why"]


def test_nobody_reads_aloud_before_they_agreed(wav: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "has not agreed" in refuse(capsys, "donate", wav)
    assert "FILE" in refuse(capsys, "donate", "--text", "fox")
    run(capsys, "consent", "grant", "voice_donation", "--yes")
    assert "missing.wav" in refuse(capsys, "donate", "missing.wav", "--text", "fox")


def test_a_person_at_a_terminal_is_asked_about_others(
    wav: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    run(capsys, "consent", "grant", "voice_donation", "--yes")
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert main(["donate", str(wav)]) == 0
    assert "Can anybody else be heard?" in capsys.readouterr().err
    run(capsys, "sync")
    assert server.samples == {}
    assert [reason for _, reason, _ in map(dict.values, run(capsys, "status")[1]["refused"])] == ["voice-others"]
