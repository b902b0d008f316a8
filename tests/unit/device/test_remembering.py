"""What a device remembers: off at first, with where it came from, and gone with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.device_rooms import text_model, tone
from tests.fakes.release_server import FakeServer

from projectone.assist import usual_encoder
from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.vectors.sqlite import SqliteVectors
from projectone.device.cli.main import main
from projectone.device.client import DeviceClient
from projectone.device.clips import read_clip
from projectone.device.recordings import Recording
from projectone.device.remembering import THE_PERSON
from projectone.errors import ConsentError, DataError


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual_encoder, "_encoder", lambda: HashingEmbedder(usual_encoder.WIDTH))


@pytest.fixture
def hear(client: DeviceClient, server: FakeServer) -> Iterator[Callable[[], Recording]]:
    server.release(text_model("call Anna about the Rome trip"))
    client.update()
    pitch = iter(range(300, 900, 50))
    yield lambda: client.transcribe(tone(0.2, pitch_hz=float(next(pitch))))


def texts(client: DeviceClient) -> list[str]:
    return [memory.text for memory in client.memory.newest()]


def n_vectors(client: DeviceClient) -> int:
    return SqliteVectors(client._rooms.database, usual_encoder.WIDTH).count(THE_PERSON)


def test_nothing_is_remembered_until_it_is_switched_on_and_nothing_after(
    client: DeviceClient, hear: Callable[[], Recording]
) -> None:
    hear()
    assert (client.memory.is_on, texts(client)) == (False, [])
    with pytest.raises(ConsentError, match="memory on"):
        client.memory.note("Anna likes tea")
    client.memory.switch(is_on=True)
    recording = hear()
    (kept,) = client.memory.newest()
    assert (kept.text, kept.about.recording_id) == (recording.text, recording.recording_id)
    assert kept.about.names == ("Anna", "Rome")
    client.memory.switch(is_on=False)
    hear()
    assert client.memory.recall("call Anna") == []
    assert len(texts(client)) == n_vectors(client) == 1


def test_a_memory_says_what_was_really_said_and_goes_with_the_correction(
    client: DeviceClient, hear: Callable[[], Recording]
) -> None:
    client.memory.switch(is_on=True)
    recording = hear()
    for text in ("call Hanna about the Rome trip", "call Hannah about the Rome trip"):
        client.correct(recording.recording_id, text)
        assert texts(client) == [text]
    client.undo("last")
    assert texts(client) == []
    assert n_vectors(client) == 0


@pytest.mark.parametrize("is_on", [True, False])
def test_what_was_heard_wrongly_is_forgotten_where_nothing_takes_its_place(
    client: DeviceClient, hear: Callable[[], Recording], is_on: bool
) -> None:
    client.memory.switch(is_on=True)
    recording = hear()
    client.memory.switch(is_on=is_on)
    client.correct(recording.recording_id, "" if is_on else "call Hannah")
    assert (texts(client), n_vectors(client)) == ([], 0)


def test_a_memory_goes_with_its_recording_and_leaves_nothing_on_the_disk(
    client: DeviceClient, hear: Callable[[], Recording]
) -> None:
    client.memory.switch(is_on=True)
    gone, kept = hear(), hear()
    client.correct(gone.recording_id, "the secret is 74412")
    client.delete_recording(gone.recording_id)
    assert texts(client) == [kept.text]
    assert n_vectors(client) == 1
    home = client.status().home
    assert not any(b"74412" in path.read_bytes() for path in home.glob("device.sqlite*"))


def test_a_memory_of_a_question_goes_with_it(client: DeviceClient) -> None:
    client.memory.switch(is_on=True)
    client._rooms.database.execute(
        "INSERT INTO asked VALUES ('q1', NULL, 'is it warm', NULL, 'weather', 0.5, 0.5, '1.0.0', ?)",
        (datetime.now(UTC).isoformat(),),
    )
    client.memory.asked("is it warm", intent="weather", ask_id="q1")
    assert [memory.about.intent for memory in client.memory.newest()] == ["weather"]
    client._rooms.database.execute("DELETE FROM asked")
    client.memory.tidy()
    assert (texts(client), n_vectors(client)) == ([], 0)


def test_what_was_meant_in_a_recording_is_noted_with_it(client: DeviceClient, hear: Callable[[], Recording]) -> None:
    client.memory.switch(is_on=True)
    recording = hear()
    client.memory.asked(recording.text, intent="call", ask_id="q1", recording_id=recording.recording_id)
    assert [(each.about.kind, each.about.intent) for each in client.memory.newest()] == [("said", "call")]


def test_search_finds_words_first_and_then_what_is_near(client: DeviceClient) -> None:
    client.memory.switch(is_on=True)
    for text in ("Anna likes green tea", "green paint for the door", "the train to Rome"):
        client.memory.note(text)
    found = [memory.text for memory in client.memory.search("green tea", 2)]
    assert found == ["Anna likes green tea", "green paint for the door"]
    assert client.memory.search("zebrafinch") == []


def test_a_name_of_the_vocabulary_is_what_a_memory_is_about(client: DeviceClient) -> None:
    client.vocabulary.add("nguyen")
    client.memory.switch(is_on=True)
    kept = client.memory.note("please call doctor Nguyen")
    assert kept is not None and kept.about.names == ("nguyen",)


def test_the_terminal_lists_searches_and_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_MEMORY_KEEP", "noted=7")

    def run(*words: str) -> dict[str, object]:
        code = main(["memory", *words, "--json"])
        facts: dict[str, object] = json.loads(capsys.readouterr().out)
        assert code == (0 if "error" not in facts else 2)
        return facts

    assert "off" in str(run("add", "Anna likes tea")["error"])
    assert run("on")["is_on"] is True
    first = str(run("add", "Anna", "likes", "tea")["memory_id"])
    run("add", "my doctor is in Rome")
    listed = run()
    assert (listed["count"], listed["days"]) == (2, {"said": 90, "asked": 30, "noted": 7})
    assert "expected an ID" in str(run("forget")["error"])
    assert "no such memory" in str(run("forget", "0000aaaa")["error"])
    assert "no such memory" in str(run("forget", first[:8], "0000aaaa")["error"])
    assert run()["count"] == 2  # a wrong id among several forgets nothing
    assert run("forget", first[:8], first)["forgotten"] == 1
    assert run("forget", "--all") == {"forgotten": 1}
    assert run("off") == {"is_on": False, "count": 0}
    assert main(["memory"]) == 0
    assert "nothing is remembered" in capsys.readouterr().out


def test_vectors_of_what_somebody_else_deleted_go_at_the_next_start(client: DeviceClient) -> None:
    client.memory.switch(is_on=True)
    client.memory.note("Anna likes tea")
    client._rooms.database.execute("DELETE FROM memories")
    assert n_vectors(client) == 1
    with pytest.raises(DataError):
        client.memory.forget("0000aaaa")
    client.memory.sweep()
    assert n_vectors(client) == 0


def test_an_app_that_runs_for_weeks_lets_go_and_makes_vectors_anew(
    client: DeviceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.memory.switch(is_on=True)
    client._rooms.database.execute(
        "INSERT INTO asked VALUES ('q1', NULL, 'is it warm', NULL, 'weather', 0.5, 0.5, '1.0.0', ?)",
        (datetime.now(UTC).isoformat(),),
    )
    client.memory.asked("is it warm", intent="weather", ask_id="q1")
    client.memory.note("Anna likes tea")
    client._rooms.database.execute("UPDATE memories SET embedded_by = 'another'")
    monkeypatch.setattr(client.memory, "_clock", lambda: datetime.now(UTC) + timedelta(days=31))
    assert [each.memory.text for each in client.memory.recall("Anna")] == ["Anna likes tea"]
    rows = client._rooms.database.query("SELECT text FROM memories")
    assert ([row["text"] for row in rows], n_vectors(client)) == (["Anna likes tea"], 1)


def test_a_recording_that_was_kept_is_a_clip(client: DeviceClient) -> None:
    """Whatever its text: what says nothing is not remembered, and is no error."""
    client.memory.switch(is_on=True)
    kept = client._rooms.recordings.add(
        read_clip(tone(0.2)), text="...", model_version="1.0.0", recorded_at=datetime.now(UTC)
    )
    client.memory.heard(kept)
    assert texts(client) == []
