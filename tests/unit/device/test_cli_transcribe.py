"""`projectone transcribe` word by word and as subtitles."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tests.fakes.device_rooms import TextEngine, text_model, tone
from tests.fakes.release_server import FakeServer

from projectone.device.cli import main


@pytest.fixture(autouse=True)
def _device(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_SERVER", server.url)
    monkeypatch.setenv("PROJECTONE_RELEASE_KEY", server.public_key)
    monkeypatch.setenv("PROJECTONE_RELEASE_ROOT", base64.b64encode(server.root).decode())
    server.release(text_model("call Ana"))
    assert main(["update"]) == 0
    for name in ("one", "two"):
        (tmp_path / f"{name}.wav").write_bytes(tone())


def out_of(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["transcribe", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_words_are_a_table_with_doubtful_ones_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *words = out_of(capsys, "--words", tmp_path / "one.wav").splitlines()
    assert first.endswith("call Ana")
    assert words == ["      0.00     0.25  50 %  call ?", "      0.25     0.50  99 %  Ana"]


def test_json_holds_the_words_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (heard,) = json.loads(out_of(capsys, "--json", tmp_path / "one.wav"))["recordings"]
    assert heard["words"][0] == {
        "text": "call", "start_s": 0.0, "end_s": 0.25, "probability": 0.5, "is_doubtful": True
    }  # fmt: skip
    assert not heard["words"][1]["is_doubtful"]


def test_subtitles_go_to_a_file_or_one_for_each_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    srt = "1\n00:00:00,000 --> 00:00:00,800\ncall Ana\n"
    assert out_of(capsys, "--format", "srt", tmp_path / "one.wav") == srt
    target = tmp_path / "talk.srt"
    assert str(target) in out_of(capsys, "--format", "srt", "-o", target, tmp_path / "one.wav")
    assert target.read_text() == srt
    (tmp_path / "all").mkdir()
    out_of(capsys, "--format", "vtt", "-o", tmp_path / "all", tmp_path / "one.wav", tmp_path / "two.wav")
    assert {path.name for path in (tmp_path / "all").iterdir()} == {"one.vtt", "two.vtt"}
    assert (tmp_path / "all" / "two.vtt").read_text().startswith("WEBVTT\n\n00:00:00.000 --> ")


def test_text_and_json_are_formats_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert out_of(capsys, "--format", "txt", tmp_path / "one.wav") == "call Ana\n"
    out_of(capsys, "--format", "json", "-o", tmp_path / "one.json", tmp_path / "one.wav")
    assert json.loads((tmp_path / "one.json").read_text())["words"][1]["text"] == "Ana"


def test_where_it_cannot_be_written_is_said_before_anything_is_heard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one.wav", tmp_path / "two.wav"
    for arguments, problem in (
        (["-o", "x.srt", one], "expected --format with it"),
        (["--format", "srt", "-o", tmp_path / "new.srt", one, two], "expected a folder that is there"),
        (["--format", "srt", "-o", tmp_path / "nowhere" / "x.srt", one], "there is no folder"),
        (["--format", "srt", "-o", tmp_path, one, tmp_path / "all" / "one.wav"], "have the same name"),
    ):
        assert problem in out_of(capsys, *arguments, code=2)
    assert main(["recordings"]) == 0
    assert "no recordings yet" in capsys.readouterr().out


def test_an_earlier_recording_is_shown_in_the_same_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out_of(capsys, tmp_path / "one.wav")
    assert main(["recordings", "last", "--words"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "      0.00     0.25  50 %  call ?"
    target = tmp_path / "one.srt"
    assert main(["recordings", "last", "--format", "srt", "-o", str(target)]) == 0
    assert "--> 00:00:00,800" in target.read_text()
    capsys.readouterr()
    for arguments in (["--words"], ["--format", "srt"], ["last", "-o", "x.srt"]):
        assert main(["recordings", *arguments]) == 2
        assert "expected" in capsys.readouterr().err
