"""The sounds of the app: silent until somebody wants them, made once, and never in the way."""

from __future__ import annotations

import io
import json
import sys
import types
import wave
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from tests.unit.device.web.pages import Pages

from projectone.device.cli import main, speaker
from projectone.device.cues import NAMES, Cues
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import DataError


class FakeSound(types.ModuleType):
    """PortAudio with a loudspeaker that remembers; or without one."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *, is_there: bool = True) -> None:
        super().__init__("sounddevice")
        self.played: list[tuple[int, int]] = []
        self._is_there = is_there

    def play(self, samples: np.ndarray, rate: int, *, blocking: bool) -> None:
        if not self._is_there:
            raise self.PortAudioError("Error querying device -1")
        assert blocking
        self.played.append((len(samples), rate))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.delenv("PROJECTONE_SERVER", raising=False)
    return tmp_path / "device"


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> FakeSound:
    fake = FakeSound()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_cues_are_off_until_they_are_switched_on_and_that_is_kept(tmp_path: Path) -> None:
    assert not Cues(tmp_path / "cues").is_on
    assert not (tmp_path / "cues").exists()
    Cues(tmp_path / "cues").switch(is_on=True)
    assert Cues(tmp_path / "cues").is_on
    Cues(tmp_path / "cues").switch(is_on=False)
    Cues(tmp_path / "cues").switch(is_on=False)
    assert not Cues(tmp_path / "cues").is_on


def test_a_cue_is_made_once_and_an_older_one_of_the_name_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cues = Cues(tmp_path)
    (tmp_path / "sent-0000000000000000.wav").write_bytes(b"of an older version")
    first = cues.wav("sent")
    (kept,) = tmp_path.glob("*.wav")
    assert kept.read_bytes() == first
    monkeypatch.setattr("projectone.device.cues.cue_wav", lambda name: pytest.fail("made again"))
    assert Cues(tmp_path).wav("sent") == first


def test_a_name_that_leads_elsewhere_is_no_cue(tmp_path: Path) -> None:
    for name in ("../sent", "", "on"):
        with pytest.raises(DataError, match="expected one of"):
            Cues(tmp_path).wav(name)


def test_the_terminal_switches_plays_and_writes(
    home: Path, sound: FakeSound, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, "cues") == (0, {"is_on": False, "cues": Cues(home).meanings()})
    assert run(capsys, "cues", "on")[1]["is_on"]
    assert run(capsys, "cues", "play", "sent")[0] == 0
    out = tmp_path / "sent.wav"
    assert run(capsys, "cues", "play", "sent", "--out", out)[0] == 0
    with wave.open(str(out)) as file:
        assert sound.played == [(file.getnframes(), file.getframerate())]
    assert not run(capsys, "cues", "off")[1]["is_on"]
    assert run(capsys, "cues", "play", "gong")[0] == 2
    assert run(capsys, "cues", "play")[0] == 2


def test_without_a_loudspeaker_it_is_said_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSound(is_there=False))
    code, facts = run(capsys, "cues", "play", "sent")
    assert code == 2 and "--out FILE" in facts["error"]["message"]


def test_a_command_is_heard_where_a_person_sits_and_wants_it(
    home: Path, sound: FakeSound, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main(["correct", "last", "one"]) == 2
    assert sound.played == []  # cues are off
    main(["cues", "on"])
    assert main(["correct", "last", "one", "--json"]) == 2
    assert sound.played == []  # a program asks
    assert main(["correct", "last", "one"]) == 2
    assert len(sound.played) == 1
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSound(is_there=False))
    capsys.readouterr()
    assert main(["correct", "last", "one"]) == 2  # nothing but the sound is missing
    assert "loudspeaker" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "facts", "cue"),
    [
        ("sync", {"sent": 2}, "sent"),
        ("sync", {"sent": 0}, None),
        ("update", {"status": "updated"}, "model-updated"),
        ("update", {"status": "current"}, None),
        ("status", {"sent": 2}, None),
    ],
)
def test_what_a_command_did_has_its_cue(
    home: Path, monkeypatch: pytest.MonkeyPatch, command: str, facts: dict[str, Any], cue: str | None
) -> None:
    played: list[str] = []
    monkeypatch.setattr(speaker, "cue", lambda client, name, arguments: played.append(name))
    with (
        open_client(DeviceSettings(home=home)) as client,
        speaker.heard(client, command, types.SimpleNamespace(json=False)) as after,  # type: ignore[arg-type]
    ):
        after(facts)
    assert played == ([] if cue is None else [cue])


def test_the_page_has_a_switch_and_serves_each_sound(home: Path) -> None:
    with open_client(DeviceSettings(home=home)) as client:
        pages = Pages(client)
        assert 'data-cues="on"' not in pages.get("/")
        assert pages.ask("PUT", "/api/cues", {"is_on": True}) == (200, {"is_on": True})
        assert 'data-cues="on"' in pages.get("/vocabulary")
        assert set(pages.get("/api/cues")["cues"]) == set(NAMES)
        for name in NAMES:
            with wave.open(io.BytesIO(pages.content(f"/api/cues/{name}"))) as file:
                assert file.getnframes() > 0
        assert pages.ask("GET", "/api/cues/gong")[0] in (404, 422)
        assert pages.ask("PUT", "/api/cues", {"is_on": "yes"})[0] == 400


def test_a_piece_is_written_as_midi_and_as_sound(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("sound", "--valence", 0.5, "--arousal", 0.2, "--tempo", 70, "--key", "D", "--bars", 2)
    code, facts = run(capsys, *words, "--out", tmp_path / "a.mid", "--wav", tmp_path / "a.wav")
    assert (code, facts["mode"], facts["bars"]) == (0, "ionian", 2)
    assert mido.MidiFile(tmp_path / "a.mid").length == pytest.approx(facts["duration_s"])
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(facts["duration_s"], abs=1e-4)
    run(capsys, *words, "--out", tmp_path / "b.mid")
    run(capsys, *words, "--seed", 1, "--out", tmp_path / "c.mid")
    first, again, other = ((tmp_path / name).read_bytes() for name in ("a.mid", "b.mid", "c.mid"))
    assert first == again != other


@pytest.mark.parametrize("wrong", [(), ("--tempo", 9000, "--out", "x"), ("--key", "H", "--out", "x")])
def test_what_makes_no_piece_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], wrong: tuple[object, ...]
) -> None:
    assert run(capsys, "sound", *wrong)[0] == 2


def test_a_folder_that_is_not_there_is_not_made_by_a_slip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    out = tmp_path / "nosuch" / "x.wav"
    assert main(["sound", "--wav", str(out)]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert not out.parent.exists()
