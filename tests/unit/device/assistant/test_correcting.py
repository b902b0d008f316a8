"""What was meant, corrected as a transcript is: kept, sent where that is allowed, and taken back."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.device_intents import install_intents, tiny_intents
from tests.fakes.device_rooms import tone
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer

from projectone.contracts.assist import IntentCorrection
from projectone.device.assistant.correcting import check_label
from projectone.device.cli import main
from projectone.device.client import DeviceClient
from projectone.device.clips import read_clip
from projectone.device.migrations import MIGRATIONS
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import DataError
from projectone.storage.database import Database

SENTENCE = "play some zanzibar music"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_intents(tmp_path_factory.mktemp("intents") / "model")


@pytest.fixture
def home(tmp_path: Path, made: Path) -> Path:
    install_intents(tmp_path / "device", made)
    return tmp_path / "device"


@pytest.fixture
def client(home: Path, server: FakeServer) -> Iterator[DeviceClient]:
    with open_client(DeviceSettings(home=home, server=server.url, enrolment_code=ENROLMENT_CODE)) as opened:
        yield opened


def ask(client: DeviceClient, text: str = SENTENCE) -> str:
    return client.assist.understand(text).asked.ask_id


def held(server: FakeServer) -> list[IntentCorrection]:
    found = [letter for letter, _ in server.samples.values()]
    assert all(isinstance(letter, IntentCorrection) for letter in found)
    return found  # type: ignore[return-value]


def test_what_was_meant_is_what_is_remembered(client: DeviceClient) -> None:
    client.memory.switch(is_on=True)
    other, asked = (client.assist.understand(text).asked for text in ("is it warm weather", SENTENCE))
    for question in (other, asked):
        client.memory.asked(question.text, intent=question.label, ask_id=question.ask_id)

    def remembered() -> list[str | None]:
        return [each.about.intent for each in sorted(client.memory.newest(), key=lambda each: each.text)]

    assert remembered() == ["weather", "weather"]
    for meant in ("music", None, "music"):
        client.assist.correct(asked.ask_id, meant)
        assert remembered() == ["weather", meant]
    client.undo(client.assist.undo(asked.ask_id))
    assert remembered() == ["weather", "weather"]


def test_without_consent_a_correction_stays_here(client: DeviceClient, server: FakeServer) -> None:
    kept = client.assist.correct(ask(client), "weather")
    assert (kept.is_queued, kept.text) == (False, "weather")
    assert "consent" in str(kept.reason)
    assert client.sync().sent == 0
    assert (server.requests, client.n_earlier("intents")) == ([], 1)
    client.grant("corrections", "cli")  # another purpose
    client.sync()
    assert server.samples == {}


def test_of_a_sentence_kept_here_nobody_reads_that_it_is_a_recording(
    client: DeviceClient, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client.assist.correct(ask(client), "music")
    monkeypatch.setenv("PROJECTONE_HOME", str(home))
    assert main(["consent", "grant", "intents", "--yes"]) == 0
    assert "kept here: 1 earlier sentence (" in capsys.readouterr().out


def test_with_consent_the_sentence_and_its_meaning_arrive_and_nothing_else(
    client: DeviceClient, server: FakeServer
) -> None:
    client.grant("intents", "cli")
    kept = client.assist.correct(ask(client), "music")
    assert kept.is_queued
    ask(client, "is it warm weather")  # never corrected
    assert client.sync().sent == 1
    ((letter, body),) = server.samples.values()
    assert isinstance(letter, IntentCorrection)
    assert body == SENTENCE.encode()
    assert (letter.text, letter.label, letter.guessed, letter.guessed_by) == (SENTENCE, "music", "weather", "1.0.0")
    assert letter.is_adult is True
    (item,) = client.sent()
    assert (item.point.kind, item.point.shown, item.whereabouts) == ("intent", f"{SENTENCE} -> music", "sent")
    assert json.loads(client.given.letter(str(kept.sample_id)))["text"] == SENTENCE
    with pytest.raises(DataError, match="no sound"):
        client.given.sound(str(kept.sample_id))


def test_none_of_these_is_a_correction_too(client: DeviceClient, server: FakeServer) -> None:
    client.grant("intents", "cli")
    client.assist.correct(ask(client), None)
    client.sync()
    assert [letter.label for letter in held(server)] == [None]
    assert client.assist.asked("last").facts()["correction"]["label"] is None


def test_an_intent_that_the_classifier_does_not_know_is_refused_with_a_hint(client: DeviceClient) -> None:
    with pytest.raises(DataError, match="did you mean 'weather'"):
        client.assist.correct(ask(client), "whether")
    with pytest.raises(DataError, match=r"got 'nosuchlabel'$"):
        check_label("nosuchlabel", ("translate", "weather"))
    assert client.assist.asked("last").meant is None


def test_the_same_again_changes_nothing_and_another_meaning_takes_its_place(
    client: DeviceClient, server: FakeServer
) -> None:
    client.grant("intents", "cli")
    asked = ask(client)
    first = client.assist.correct(asked, "weather")
    assert client.assist.correct(asked, "weather").sample_id == first.sample_id
    client.sync()
    second = client.assist.correct(asked, "music")
    report = client.sync()
    assert (report.sent, report.notices) == (1, 1)
    assert [(letter.sample_id, letter.label) for letter in held(server)] == [(second.sample_id, "music")]
    assert server.deleted == {first.sample_id}


def test_what_was_taken_back_is_deleted_on_the_server_and_may_be_said_again(
    client: DeviceClient, server: FakeServer
) -> None:
    client.grant("intents", "cli")
    asked = ask(client)
    client.assist.correct(asked, "weather")
    client.sync()
    undone = client.undo(client.assist.undo(asked))
    assert (undone.text, undone.may_have_left) == (f"{SENTENCE} -> weather", True)
    with pytest.raises(DataError, match="was not corrected"):
        client.assist.undo(asked)
    client.sync()
    assert server.samples == {}
    assert client.assist.correct(asked, "weather").is_queued
    client.sync()
    assert len(client.undo_all()) == 1


def test_a_withdrawal_erases_intents_and_leaves_recordings(client: DeviceClient, server: FakeServer) -> None:
    client.grant("corrections", "cli")
    client.grant("intents", "cli")
    recording = client._rooms.recordings.add(
        read_clip(tone()), text="play some song", model_version="1.0.0", recorded_at=datetime.now(UTC)
    )
    client.correct(recording.recording_id, "is it warm")
    client.assist.correct(client.assist.understand_recording("last").asked.ask_id, "weather")
    client.sync()
    assert sorted(letter.kind for letter, _ in server.samples.values()) == ["correction", "intent"]
    assert client.recording("last").corrected_text == "is it warm"
    client.withdraw("intents")
    client.sync()
    assert [letter.kind for letter, _ in server.samples.values()] == ["correction"]


def test_a_correction_of_before_is_sent_only_if_that_is_wished(client: DeviceClient, server: FakeServer) -> None:
    client.assist.correct(ask(client), "weather")
    client.grant("intents", "cli")
    assert client.sync().sent == 0
    client.withdraw("intents")
    assert client.grant("intents", "cli", is_for_earlier=True).n_queued == 1
    assert client.sync().sent == 1


def test_of_minors_nothing_leaves(client: DeviceClient, server: FakeServer) -> None:
    client.grant("intents", "cli", is_adult=False)
    kept = client.assist.correct(ask(client), "weather")
    assert (kept.is_queued, client.sync().sent, server.samples) == (False, 0, {})


def test_a_deleted_recording_and_what_is_forgotten_take_their_meanings_with_them(
    client: DeviceClient, server: FakeServer, home: Path
) -> None:
    client.grant("intents", "cli")
    recording = client._rooms.recordings.add(
        read_clip(tone()), text=SENTENCE, model_version="1.0.0", recorded_at=datetime.now(UTC)
    )
    client.assist.correct(client.assist.understand_recording(recording.recording_id).asked.ask_id, "weather")
    client.assist.correct(ask(client, f"{SENTENCE} too"), "weather")
    client.sync()
    assert len(client.delete_recording(recording.recording_id)) == 1
    assert client.assist.forget("last") == 1
    client.sync()
    assert server.samples == {}
    assert [item.point.shown for item in client.sent()] == ["", ""]
    assert not any(b"zanzibar" in path.read_bytes() for path in home.glob("device.sqlite*"))


def test_taking_a_transcript_back_leaves_what_was_meant(client: DeviceClient) -> None:
    recording = client._rooms.recordings.add(
        read_clip(tone()), text="play some song", model_version="1.0.0", recorded_at=datetime.now(UTC)
    )
    client.assist.correct(client.assist.understand_recording("last").asked.ask_id, "weather")
    client.correct(recording.recording_id, "play the song")
    assert len(client.undo_recording(recording.recording_id)) == 1
    found = client.assist.of_recording(recording.recording_id)
    assert found is not None
    assert found.meant is not None
    assert (client.status().corrections, client.status().intents) == (0, 1)


def test_data_points_of_before_keep_everything_and_the_vocabulary_its_memory(tmp_path: Path) -> None:
    path, sample_id = tmp_path / "device.sqlite", str(uuid.uuid4())
    before = MIGRATIONS[: next(i for i, script in enumerate(MIGRATIONS) if "data_points_next" in script)]
    with sqlite3.connect(path) as old:
        for script in before:
            old.executescript(script)
        old.execute(f"PRAGMA user_version = {len(before)}")
        old.execute(
            "INSERT INTO data_points VALUES (?, NULL, 'donation', ?, 1.5, 'said', NULL, NULL, 'page-1', ?, 0, 1, 0)",
            (sample_id, "0" * 64, datetime.now(UTC).isoformat()),
        )
        old.execute("INSERT INTO vocabulary_origins VALUES ('ada', ?)", (sample_id,))
    old.close()
    database = Database(path, MIGRATIONS)
    (row,) = database.query("SELECT * FROM data_points")
    assert (row["sample_id"], row["text"], row["uploaded"], row["utterance"]) == (sample_id, "said", 1, None)
    database.execute("UPDATE data_points SET is_superseded = 1")
    assert database.query("SELECT * FROM vocabulary_origins") == []
    database.close()


def test_the_terminal_corrects_and_takes_back(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJECTONE_HOME", str(home))
    assert main(["ask", SENTENCE]) == 0
    assert main(["ask", "correct", "last", "--label", "weather"]) == 0
    assert "kept on this device only" in capsys.readouterr().out
    assert main(["ask", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["asked"][0]["correction"]["label"] == "weather"
    assert main(["ask", "correct", "last", "--none", "--json"]) == 0
    assert main(["ask", "undo", "last"]) == 0
    assert "it never left this device" in capsys.readouterr().out
    for wrong in (["ask", "correct", "last"], ["ask", "play", "music", "--none"], ["ask", "correct", "--label", "x"]):
        assert main(wrong) == 2
