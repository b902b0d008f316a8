"""The command line: one line per error, JSON for programs, examples in every help."""

from __future__ import annotations

import base64
import gc
import io
import json
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.device_rooms import TextEngine, text_model, tone
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer

from projectone.contracts.erasures import LearnedRelease
from projectone.device.cli import main
from projectone.device.cli.commands import COMMANDS
from projectone.device.cli.main import SUMMARIES


@pytest.fixture(autouse=True)
def _device(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_SERVER", server.url)
    monkeypatch.setenv("PROJECTONE_ENROLMENT_CODE", ENROLMENT_CODE)
    monkeypatch.setenv("PROJECTONE_RELEASE_KEY", server.public_key)
    monkeypatch.setenv("PROJECTONE_RELEASE_ROOT", base64.b64encode(server.root).decode())


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "note.wav"
    path.write_bytes(tone())
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of one command."""
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def refuse(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error of a command that must end with one."""
    capsys.readouterr()
    assert main([*map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[-1].startswith(f"projectone {arguments[0]}: ")
    return lines[-1]


def test_the_whole_way_from_a_recording_to_a_better_model(
    server: FakeServer, wav: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.release(text_model("won too"), seq=1, version="1.0.0")
    code, updated = run(capsys, "update")
    assert (code, updated["status"], updated["to_version"]) == (0, "updated", "1.0.0")
    code, heard = run(capsys, "transcribe", wav)
    assert (code, heard["recordings"][0]["text"], heard["recordings"][0]["model_version"]) == (0, "won too", "1.0.0")
    assert run(capsys, "consent", "grant", "corrections", "--yes")[1]["is_granted"]
    assert run(capsys, "correct", heard["recordings"][0]["recording_id"][:8], "one two")[1]["is_queued"]
    assert run(capsys, "sync")[1]["sent"] == 1
    assert [correction.text for correction, _ in server.samples.values()] == ["one two"]
    server.release(text_model("one two"), seq=2, version="1.1.0")
    brought = run(capsys, "update")[1]
    assert brought.pop("families").keys() == {"speech", "intents", "safety"}
    assert brought | {"received_bytes": 0} == {
        "status": "updated",
        "from_version": "1.0.0",
        "to_version": "1.1.0",
        "reason": None,
        "received_bytes": 0,
    }
    assert run(capsys, "transcribe", wav)[1]["recordings"][0]["text"] == "one two"
    assert run(capsys, "update", "--rollback")[1] == {"status": "rolled-back", "to_version": "1.0.0"}
    status = run(capsys, "status")[1]
    assert (status["model_version"], status["uploaded"], status["waiting"]) == ("1.0.0", 1, 0)
    assert [item["corrected_text"] for item in run(capsys, "recordings")[1]["recordings"]] == [None, "one two"]
    assert len(run(capsys, "recordings", "--search", "ONE")[1]["recordings"]) == 2
    assert run(capsys, "recordings", "--search", "three")[1]["recordings"] == []
    assert run(capsys, "recordings", "--delete", "last")[1]["may_have_left"] is False
    assert len(run(capsys, "recordings")[1]["recordings"]) == 1
    assert run(capsys, "consent", "withdraw", "corrections")[1]["is_granted"] is False
    assert run(capsys, "sync")[0] == 0
    assert server.samples == {}


def test_an_id_beside_what_is_to_be_deleted_or_searched_is_refused_and_deletes_nothing(
    server: FakeServer, wav: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.release(text_model("won too"))
    run(capsys, "update")
    (heard,) = run(capsys, "transcribe", wav)[1]["recordings"]
    for asked in ("--delete", "--search"):
        assert asked in refuse(capsys, "recordings", "last", asked, heard["recording_id"])
    assert len(run(capsys, "recordings")[1]["recordings"]) == 1


def test_the_list_shows_the_time_of_this_place(
    server: FakeServer, wav: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.release(text_model("won too"))
    run(capsys, "update")
    (heard,) = run(capsys, "transcribe", wav)[1]["recordings"]
    with monkeypatch.context() as there:
        there.setenv("TZ", "XXX+11")
        time.tzset()
        main(["recordings"])
    time.tzset()
    moment = datetime.fromisoformat(heard["recorded_at"]).astimezone(timezone(-timedelta(hours=11)))
    assert f"  {moment:%Y-%m-%d %H:%M}  " in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "--json" in text
    assert f"projectone {name}" in text.split("examples:")[1]


def test_the_texts_for_people_say_what_happened(
    server: FakeServer, wav: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == 0
    assert "none yet: projectone update" in capsys.readouterr().out
    server.release(text_model("won too"))
    main(["update"])
    main(["transcribe", str(wav)])
    main(["correct", "last", "one two"])
    main(["consent", "grant", "corrections", "--yes"])
    main(["consent", "show"])
    main(["sync"])
    main(["recordings"])
    out = capsys.readouterr().out
    for words in (
        "model 1.0.0 is in use",
        "won too",
        "kept on this device only: corrections: the user has not agreed",
        "kept here: 1 earlier recording (",
        "voice_donation: not granted",
        "(version 2, since 2026-11-21)",
        "0 sent, 0 refused, 0 waiting",
        "-> one two",
    ):
        assert words in out


def test_a_recording_in_which_nothing_was_heard_is_not_an_empty_line(
    server: FakeServer, wav: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.release(text_model(""))
    main(["update"])
    capsys.readouterr()
    main(["transcribe", str(wav)])
    assert capsys.readouterr().out.endswith("  (no speech was heard)\n")
    main(["recordings"])
    assert "(no speech was heard)" in capsys.readouterr().out
    assert run(capsys, "transcribe", wav)[1]["recordings"][0]["text"] == ""


def test_a_donation_takes_its_text_from_a_file(
    server: FakeServer, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.txt"
    script.write_text("the quick\nbrown fox\n")
    run(capsys, "consent", "grant", "voice_donation", "--yes")
    assert run(capsys, "donate", wav, "--script", script, "--anyway")[1]["text"] == "the quick brown fox"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"word " * 400_000, "expected a text in UTF-8 of at most 2000 characters, at most 8003 bytes, got more"),
        (b"w" * 2001, "expected at most 2000 characters, got 2001"),
        (b"", "expected at least one letter or digit"),
        (b"\x89PNG\r\n", "expected a text in UTF-8 of at most 2000 characters, got other bytes"),
    ],
)
def test_a_script_that_is_none_is_named_in_one_short_line(
    content: bytes, words: str, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.txt"
    script.write_bytes(content)
    run(capsys, "consent", "grant", "voice_donation", "--yes")
    assert "script: expected a name" in refuse(
        capsys, "donate", wav, "--text", "fox", "--script-id", "../" * 99, "--anyway"
    )
    assert run(capsys, "status")[1]["donations"] == 0
    line = refuse(capsys, "donate", wav, "--script", script)
    assert "script.txt" in line
    assert words in line
    assert len(line) < 300


def test_a_device_is_not_read_as_a_recording(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.release(text_model("won too"))
    main(["update"])
    code, facts = run(capsys, "transcribe", "/dev/zero")
    assert code == 1
    assert facts["errors"][0]["message"] == "'/dev/zero': expected a PCM WAV file, got a device"


def test_the_same_donation_again_is_kept_once_and_a_mark_replaces_it(
    server: FakeServer, wav: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "consent", "grant", "voice_donation", "--yes")
    give = ("donate", wav, "--text", "the fox", "--anyway")
    first = run(capsys, *give)[1]
    assert run(capsys, *give)[1] == {**first, "is_again": True}
    assert main([str(word) for word in give]) == 0
    assert "was given before; one is kept" in capsys.readouterr().out
    assert run(capsys, "sync")[1]["sent"] == 1
    assert run(capsys, *give)[1]["is_again"]
    other = run(capsys, *give, "--others-present")[1]
    assert other["sample_id"] != first["sample_id"]
    run(capsys, "sync")
    assert run(capsys, "status")[1]["donations"] == 1
    assert server.samples == {}  # the one without the mark is erased, the one with it stays here
    assert run(capsys, "donate", wav, "--text", "another fox", "--anyway")[1]["is_queued"]


def test_a_second_withdrawal_says_when_the_first_was(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["consent", "withdraw", "evaluation"]) == 0
    assert capsys.readouterr().out == "evaluation: there was no consent; nothing leaves\n"
    run(capsys, "consent", "grant", "evaluation", "--yes")
    run(capsys, "consent", "withdraw", "evaluation")
    assert main(["consent", "withdraw", "evaluation"]) == 0
    assert "evaluation: withdrawn already, on 20" in capsys.readouterr().out


def test_errors_are_one_line(server: FakeServer, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "projectone update" in refuse(capsys, "transcribe", wav)
    assert "no such recording" in refuse(capsys, "correct", "0123abcd", "one")
    assert "has not agreed" in refuse(capsys, "donate", wav, "--text", "fox")
    assert "consent grant" not in refuse(capsys, "consent", "grant")
    assert "--yes" in refuse(capsys, "consent", "grant", "corrections")
    assert "no earlier model" in refuse(capsys, "update", "--rollback")
    server.faults.answer = lambda method, path: (451, "closed")
    assert "closed" in refuse(capsys, "update")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["transcribe", "note.wav"], "artifact", "projectone update"),
        (["donate", "missing.wav", "--text", "fox"], "consent", "has not agreed"),
        (["correct", "0123abcd", "one"], "data", "no such recording"),
        (["correct", "0123abcd"], "usage", "TEXT"),
        (["sing"], "usage", "invalid choice: 'sing'"),
        ([], "usage", "COMMAND"),
    ],
)
def test_with_json_an_error_is_an_object_too(
    arguments: list[str], kind: str, words: str, wav: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(wav.parent)
    assert main([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert error["kind"] == kind
    assert words in error["message"]
    assert captured.err.endswith(f": {error['message']}\n")  # people find the same words where they were
    assert main(arguments) == 2
    assert capsys.readouterr().out == ""


def test_an_interruption_is_told_to_programs_too(
    wav: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("projectone.device.wiring.open_client", interrupt)
    assert main(["transcribe", str(wav), "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "interrupted"


# Ctrl-C while the libraries of a command load.
EARLY = """
import sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "pydantic":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from projectone.device.cli import main
sys.exit(main(["status"]))
"""


def test_an_early_interruption_is_one_line_and_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "\nprojectone status: interrupted; the same command goes on from here\n"


def test_every_command_has_its_line_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(SUMMARIES) == list(COMMANDS)
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert [line for line in SUMMARIES.values() if line not in text] == []


def test_a_bad_file_does_not_cost_the_others(
    server: FakeServer, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.release(text_model("hello"))
    main(["update"])
    text_file = tmp_path / "notes.wav"
    text_file.write_text("not sound")
    code, facts = run(capsys, "transcribe", text_file, tmp_path / "missing.wav", wav)
    assert code == 1
    assert [item["text"] for item in facts["recordings"]] == ["hello"]
    assert [item["reason"] for item in facts["errors"]] == ["wav-not-riff", "file-unreadable"]
    assert facts["error"]["kind"] == "not-done"
    assert "missing.wav" in facts["error"]["message"]


def test_what_could_not_be_sent_is_exit_code_one(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "consent", "grant", "corrections", "--yes")
    server.faults.answer = lambda method, path: (451, "closed")
    code, facts = run(capsys, "sync")
    assert (code, facts["waiting"]) == (1, 1)
    assert facts["error"] == {"kind": "not-done", "message": facts["problem"]}
    assert "closed" in facts["problem"]


def test_a_wrong_setting_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PROJECTONE_RELEASE_KEY", "nonsense")
    assert "release key" in refuse(capsys, "status")
    monkeypatch.setenv("PROJECTONE_SERVER", "nonsense")
    assert "PROJECTONE_SERVER" in refuse(capsys, "status")


def test_a_disk_that_refuses_is_one_line_and_no_traceback(
    wav: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse_to_write(settings: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("projectone.device.wiring.open_client", refuse_to_write)
    assert "No space left on device" in refuse(capsys, "transcribe", wav)


def test_words_that_the_terminal_cannot_show_do_not_end_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "gerät"))
    for arguments in (["status"], ["status", "--json"]):
        terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr("sys.stdout", terminal)
        assert main(arguments) == 0
        terminal.flush()
        shown = terminal.buffer.getvalue().decode()
        assert "ger\\xe4t" in shown or json.loads(shown)["home"].endswith("gerät")


def test_without_an_enrolment_code_sync_says_which_setting_is_missing(
    server: FakeServer, wav: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PROJECTONE_ENROLMENT_CODE")
    server.release(text_model("won too"))
    main(["update"])
    main(["transcribe", str(wav)])
    main(["consent", "grant", "corrections", "--yes"])
    main(["correct", "last", "one two"])
    assert "PROJECTONE_ENROLMENT_CODE" in refuse(capsys, "sync")
    assert run(capsys, "status")[1]["waiting"] == 2
    monkeypatch.setenv("PROJECTONE_ENROLMENT_CODE", ENROLMENT_CODE)
    assert run(capsys, "sync")[1]["sent"] == 1


def test_what_the_server_signed_about_an_erasure_can_be_read_offline(
    server: FakeServer, wav: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["consent", "erased"]) == 0
    assert "no receipt of an erasure" in capsys.readouterr().out
    server.release(text_model("won too"))
    for words in (["update"], ["transcribe", str(wav)], ["consent", "grant", "corrections", "--yes"]):
        assert main(words) == 0
    for words in (["correct", "last", "one two"], ["sync"], ["consent", "withdraw", "corrections"], ["sync"]):
        assert main(words) == 0
    released = {"channel": "stable", "version": "1.1.0", "weights_sha256": "0" * 64, "released_at": "2026-11-01T00:00Z"}
    server.learned.append(LearnedRelease.model_validate(released))
    assert run(capsys, "consent", "erased")[1]["erasures"][0]["releases"] == []
    (receipt,) = run(capsys, "consent", "erased", "--again")[1]["erasures"]
    assert (receipt["n_samples"], receipt["releases"][0]["version"]) == (1, "1.1.0")
    monkeypatch.setenv("PROJECTONE_SERVER", "http://127.0.0.1:1")
    assert main(["consent", "erased", "corrections"]) == 0
    text = capsys.readouterr().out
    assert "samples erased: 1" in text
    assert "model 1.1.0 (stable) had learned from them: not replaced yet" in text
    assert "What erasing does not reach:" in text
    assert run(capsys, "consent", "erased", "evaluation")[1] == {"erasures": []}
    monkeypatch.setenv("PROJECTONE_RELEASE_KEY", "A" * 43 + "=")
    assert "signed by" in refuse(capsys, "consent", "erased")


def test_consent_show_says_offline_what_each_receipt_covers(
    server: FakeServer, wav: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.release(text_model("won too"))
    for words in (["update"], ["transcribe", str(wav)], ["consent", "grant", "corrections", "--yes"]):
        assert main(words) == 0
    for words in (["correct", "last", "one two"], ["sync"], ["transcribe", str(wav)], ["correct", "last", "three"]):
        assert main(words) == 0
    monkeypatch.setenv("PROJECTONE_SERVER", "http://127.0.0.1:1")  # nobody answers there, and nobody is asked
    (record,) = run(capsys, "consent", "show")[1]["records"]
    assert [sample["state"] for sample in record["x_projectone"]["samples"]] == ["sent", "waiting to be sent"]
    assert main(["consent", "show"]) == 0
    text = capsys.readouterr().out
    assert "samples: 1 sent, 1 waiting to be sent" in text
    assert "what withdrawing does not reach" in text
    main(["consent", "withdraw", "corrections"])
    (record,) = run(capsys, "consent", "show", "corrections")[1]["records"]
    assert [event["event_state"] for event in record["events"]] == ["given", "withdrawn"]
    states = [sample["state"] for sample in record["x_projectone"]["samples"]]
    assert states == ["withdrawn after it may have left", "withdrawn before it left"]
    assert run(capsys, "consent", "show", "evaluation")[1]["records"] == []


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answers", "options", "is_adult"), [("y\ny\n", [], True), ("y\nn\n", [], False), ("y\n", ["--minor"], False)]
)
def test_whoever_agrees_is_asked_once_whether_they_are_of_age(
    answers: str,
    options: list[str],
    is_adult: bool,
    wav: Path,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal(answers))
    assert run(capsys, "consent", "grant", "voice_donation", *options)[1]["is_adult"] is is_adult
    kept = run(capsys, "donate", wav, "--text", "the fox", "--anyway")[1]
    run(capsys, "sync")
    assert [correction.is_adult for correction, _ in server.samples.values()] == ([True] if is_adult else [])
    assert kept["is_queued"] is is_adult


def test_whoever_says_no_is_asked_nothing_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal("n\n"))
    assert run(capsys, "consent", "grant", "voice_donation")[0] == 1
    assert run(capsys, "consent", "show")[1]["records"] == []


def test_a_command_leaves_the_collector_of_its_caller_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    before = gc.get_threshold()
    assert main(["status"]) == 0
    assert gc.get_threshold() == before
