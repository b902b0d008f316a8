"""What was meant, by the classifier installed on this device; kept here, and forgotten again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.device_intents import install_intents, tiny_intents
from tests.fakes.device_rooms import tone

from projectone.assist.protocols import Classifier, Judgement
from projectone.device.assistant import AskedRows
from projectone.device.assistant.asked import KEPT_FOR, MOST_KEPT
from projectone.device.cli import main
from projectone.device.client import DeviceClient
from projectone.device.clips import read_clip
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import ArtifactError, DataError

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
SECRET = "play some zanzibar music"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_intents(tmp_path_factory.mktemp("intents") / "model")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "device"


@pytest.fixture
def client(home: Path) -> Iterator[DeviceClient]:
    with open_client(DeviceSettings(home=home)) as opened:
        yield opened


def record(client: DeviceClient, text: str) -> str:
    recordings = client._rooms.recordings
    return recordings.add(read_clip(tone()), text=text, model_version="1.0.0", recorded_at=NOW).recording_id


def test_without_a_classifier_the_way_to_get_one_is_said(client: DeviceClient) -> None:
    with pytest.raises(ArtifactError, match="no classifier is installed yet: run `projectone update`"):
        client.assist.understand("play some music")
    assert client.assist.newest() == []


def test_a_text_is_understood_kept_and_found_again(client: DeviceClient, home: Path, made: Path) -> None:
    install_intents(home, made, version="1.2.0")
    asked = client.assist.understand("  play some  music ").asked
    assert (asked.text, asked.label, asked.model_version) == ("play some music", "music", "1.2.0")
    assert 0.5 <= asked.probability <= 1
    assert client.assist.asked("last").asked == client.assist.asked(asked.ask_id[:8]).asked == asked
    assert client.assist.labels() == ("music", "weather")


def test_it_is_a_classifier_like_any_other_and_keeps_nothing_then(client: DeviceClient, home: Path, made: Path) -> None:
    install_intents(home, made)
    classifier: Classifier = client.assist
    assert [item.label for item in classifier.classify(["play some song", "is it warm"])] == ["music", "weather"]
    assert client.assist.newest() == []


def test_what_fits_nothing_is_none_of_these(client: DeviceClient, home: Path, tmp_path: Path) -> None:
    install_intents(home, tiny_intents(tmp_path / "strict", threshold=1.1))
    asked = client.assist.understand("play some music").asked
    assert (asked.label, asked.nearest) == (None, "music")


def test_a_recording_is_understood_by_what_was_really_said(client: DeviceClient, home: Path, made: Path) -> None:
    install_intents(home, made)
    recording_id = record(client, "play some song")
    first = client.assist.understand_recording(recording_id)
    assert client.assist.understand_recording(recording_id).asked.ask_id != first.asked.ask_id
    assert len(client.assist.newest()) == 1  # the same was asked twice
    client.correct(recording_id, "is it warm weather")
    assert client.assist.understand_recording("last").asked.label == "weather"
    latest = client.assist.of_recording(recording_id)
    assert latest is not None
    assert latest.asked.text == "is it warm weather"
    with pytest.raises(DataError, match="nothing was said"):
        client.assist.understand_recording(record(client, " "))


@pytest.mark.parametrize("text", ["", "   ", "x" * 501, "bell \x07"])
def test_what_is_no_sentence_is_refused_and_not_kept(text: str, client: DeviceClient, home: Path, made: Path) -> None:
    install_intents(home, made)
    with pytest.raises(DataError):
        client.assist.understand(text)
    assert client.assist.newest() == []


def test_what_is_forgotten_is_gone_from_the_file_and_its_log(client: DeviceClient, home: Path, made: Path) -> None:
    install_intents(home, made)
    asked = client.assist.understand(SECRET).asked
    recording_id = record(client, f"{SECRET} again")
    client.assist.understand_recording(recording_id)
    assert any(SECRET.encode() in path.read_bytes() for path in home.glob("device.sqlite*"))
    assert client.assist.forget(asked.ask_id) == 1
    client.delete_recording(recording_id)
    assert client.assist.newest() == []
    assert not any(SECRET.encode() in path.read_bytes() for path in home.glob("device.sqlite*"))
    with pytest.raises(DataError, match="nothing with this id was asked"):
        client.assist.asked(asked.ask_id)


def test_what_nobody_corrected_goes_after_a_month_or_five_hundred_others(client: DeviceClient) -> None:
    rows, judgement = AskedRows(client._rooms.database), Judgement("music", "music", 0.9, 0.9)
    rows.keep("old", judgement, "1.0.0", recording_id=None, asked_at=NOW - 2 * KEPT_FOR)
    for number in range(MOST_KEPT + 1):
        rows.keep(f"text {number}", judgement, "1.0.0", recording_id=None, asked_at=NOW)
    texts = [item.text for item in rows.newest(MOST_KEPT + 10)]
    assert (len(texts), texts[0], texts[-1]) == (MOST_KEPT, f"text {MOST_KEPT}", "text 1")


def test_a_new_classifier_takes_the_place_of_the_old_one_and_a_broken_one_does_not(
    client: DeviceClient, home: Path, made: Path, tmp_path: Path
) -> None:
    install_intents(home, made)
    assert client.assist.understand("play some song").asked.label == "music"
    turned = tiny_intents(tmp_path / "turned", labels=("weather", "music"))
    install_intents(home, turned, seq=2, version="1.1.0")
    assert _settle(client, home) is None
    turned_asked = client.assist.understand("play some song").asked
    assert (turned_asked.label, turned_asked.model_version) == ("weather", "1.1.0")
    (turned / "head.safetensors").write_bytes(b"no tensors")
    install_intents(home, turned, seq=3, version="1.2.0")
    reason = _settle(client, home)
    assert reason is not None
    assert "head.safetensors" in reason
    assert client.assist.understand("play some song").asked.model_version == "1.1.0"


def _settle(client: DeviceClient, home: Path) -> str | None:
    """Try what was installed; gives why it was not taken."""
    from projectone.device.installed import Installed

    with Installed(home / "intents").changing():
        outcome = client.assist.try_new_model()
    assert outcome is not None
    return outcome.reason


def test_the_terminal_says_it_for_people_and_for_programs(
    home: Path, made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJECTONE_HOME", str(home))
    assert main(["ask", "play some music", "--json"]) == 2
    assert "no classifier is installed yet" in json.loads(capsys.readouterr().out)["error"]["message"]
    install_intents(home, made)
    assert main(["ask", "play", "some", "music", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["text"], facts["label"], facts["nearest"]) == ("play some music", "music", "music")
    assert main(["ask", "is it warm"]) == 0
    assert capsys.readouterr().out.startswith("weather (")
    assert main(["ask", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["ask", "--labels"]) == 0
    assert capsys.readouterr().out.split() == ["music", "weather"]
    assert main(["ask", "--forget", "all"]) == 0
    assert main(["ask", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"asked": []}
    assert main(["ask"]) == 2
