"""The list: what comes on it, what takes it off, and that it dies with what taught it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.release_server import FakeServer
from tests.unit.device.conftest import Rooms, open_rooms
from tests.unit.device.test_cli import _device, run  # noqa: F401 - the environment of a device

from projectone.device.client import DeviceClient
from projectone.device.corrections import Corrections
from projectone.device.offers import Kept
from projectone.device.sent import Sent
from projectone.device.vocabulary import MAX_TERMS, Vocabulary
from projectone.errors import DataError

_minutes = itertools.count()


def clock() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=next(_minutes))


class Device:
    """Corrections that teach a list."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.vocabulary = Vocabulary(rooms.database, clock=clock)
        self.corrections = Corrections(
            rooms.database,
            rooms.recordings,
            rooms.outbox,
            rooms.consent,
            rooms.offers,
            contributor_id="c",
            clock=clock,
            learn=self.vocabulary.learn,
        )
        self.sent = Sent(rooms.database, rooms.recordings, rooms.outbox)
        self.pitch_hz = 300.0

    def correct(self, heard: str, said: str) -> Kept:
        self.pitch_hz += 7
        return self.corrections.correct(self.rooms.record(heard, pitch_hz=self.pitch_hz).recording_id, said)


@pytest.fixture
def device(rooms: Rooms) -> Device:
    return Device(rooms)


@pytest.fixture
def words(device: Device) -> Vocabulary:
    return device.vocabulary


def test_a_name_that_was_corrected_is_on_the_list_at_once(device: Device, words: Vocabulary) -> None:
    kept = device.correct("call normada", "call Namrata")
    assert kept.learned == ("Namrata",)
    assert words.active() == ("Namrata",)
    (term,) = words.list()
    assert (term.origin, term.is_active, term.n_helped) == ("learned", True, 0)


def test_a_correction_that_is_taken_back_takes_its_terms_with_it(device: Device, words: Vocabulary) -> None:
    kept = device.correct("call normada", "call Namrata")
    device.correct("ask you suf", "ask Yusuf")
    device.sent.undo(str(kept.sample_id))
    assert words.active() == ("Yusuf",)
    assert b"Namrata" not in _table(device.rooms, "vocabulary") + _table(device.rooms, "vocabulary_origins")


def test_a_term_lives_as_long_as_one_correction_that_taught_it(device: Device, words: Vocabulary) -> None:
    first = device.correct("call normada", "call Namrata")
    second = device.correct("nam rata came", "Namrata came")
    device.sent.undo(str(first.sample_id))
    assert words.active() == ("Namrata",)
    device.sent.undo(str(second.sample_id))
    assert words.active() == ()


def test_a_correction_that_is_replaced_teaches_its_new_words_only(device: Device, words: Vocabulary) -> None:
    recording = device.rooms.record("call normada")
    device.corrections.correct(recording.recording_id, "call Namratta")
    device.corrections.correct(recording.recording_id, "call Namrata")
    assert words.active() == ("Namrata",)


def test_what_was_added_by_hand_outlives_every_correction(device: Device, words: Vocabulary) -> None:
    kept = device.correct("call normada", "call Namrata")
    words.add("namrata")
    device.sent.undo(str(kept.sample_id))
    (term,) = words.list()
    assert (term.text, term.origin) == ("namrata", "added")


def test_a_term_that_is_corrected_away_is_switched_off(device: Device, words: Vocabulary) -> None:
    device.correct("call normada", "call Namrata")
    device.correct("call Namrata", "call Nora Marder")
    away = words.term("Namrata")
    assert (away.is_active, away.off_because, away.n_harmed) == (False, "it was corrected away again", 1)
    assert "Namrata" not in words.active()
    back = words.switch("Namrata", is_on=True)
    assert (back.is_active, back.off_because, back.n_harmed) == (True, None, 0)


def test_a_term_that_mostly_helps_stays(device: Device, words: Vocabulary) -> None:
    words.add("Namrata")
    for _ in range(6):
        words.count_helped(["namrata"])
    device.correct("call Namrata", "call Nora Marder")
    assert (words.term("Namrata").is_active, words.term("Namrata").n_helped) == (True, 5)
    device.correct("call Namrata", "call Nora Marder")
    assert not words.term("Namrata").is_active


def test_correcting_to_a_term_that_is_off_brings_it_back(device: Device, words: Vocabulary) -> None:
    words.add("Namrata")
    words.switch("Namrata", is_on=False)
    assert words.term("Namrata").off_because == "by hand"
    device.correct("call normada", "call Namrata")
    assert words.active() == ("Namrata",)


def test_phrases_are_terms_and_case_does_not_make_two(words: Vocabulary) -> None:
    words.add("Ana  Kowalska")
    words.add("ana kowalska")
    assert [term.text for term in words.list()] == ["ana kowalska"]
    assert words.remove("ANA KOWALSKA").text == "ana kowalska"
    assert words.list() == []


def test_what_helped_last_comes_first(words: Vocabulary) -> None:
    for name in ("Ada", "Bela", "Cleo"):
        words.add(name)
    words.count_helped(["Ada"])
    assert words.active() == ("Ada", "Cleo", "Bela")


def test_the_whole_list_can_be_off_and_is_kept(words: Vocabulary) -> None:
    words.add("Ada")
    words.switch_all(is_on=False)
    assert (words.active(), len(words.list()), words.is_on) == ((), 1, False)
    words.switch_all(is_on=True)
    assert words.active() == ("Ada",)


def test_a_full_list_refuses_more_and_a_correction_goes_through(device: Device, words: Vocabulary) -> None:
    device.rooms.database.execute(
        "INSERT INTO vocabulary (term, folded, is_by_hand, added_at) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
        f" SELECT i + 1 FROM n WHERE i < {MAX_TERMS}) SELECT 'w' || i, 'w' || i, 1, '2026-01-01T00:00:00+00:00' FROM n"
    )
    with pytest.raises(DataError, match="at most 1000 terms"):
        words.add("Namrata")
    assert device.correct("call normada", "call Namrata").learned == ()
    assert len(words.active()) == MAX_TERMS


@pytest.mark.parametrize("text", ["", "  ", "?!", "a" * 81, "two\x00words", "hid\u202eden"])
def test_what_nobody_could_say_is_refused(words: Vocabulary, text: str) -> None:
    with pytest.raises(DataError):
        words.add(text)


@pytest.mark.parametrize("action", ["remove", "term"])
def test_a_term_that_is_not_there_is_named(words: Vocabulary, action: str) -> None:
    with pytest.raises(DataError, match="'nobody': not on the list"):
        getattr(words, action)("nobody")


def test_nothing_of_the_list_is_sent(rooms: Rooms, server: FakeServer) -> None:
    device = Device(rooms)
    device.vocabulary.add("Xanthippe")
    rooms.corrections.grant("corrections", "cli")
    rooms.corrections.correct(rooms.record("won").recording_id, "one")
    assert rooms.uploader.sync().sent == 1
    assert "Xanthippe" not in "".join(correction.model_dump_json() for correction, _ in server.samples.values())


@pytest.fixture
def reopened(tmp_path: Path) -> Iterator[None]:
    first = open_rooms(tmp_path / "again", None)
    Vocabulary(first.database, clock=clock).add("Ada")
    first.close()
    yield


def test_the_list_outlives_the_process(reopened: None, tmp_path: Path) -> None:
    second = open_rooms(tmp_path / "again", None)
    assert Vocabulary(second.database, clock=clock).active() == ("Ada",)
    second.close()


def test_the_client_hands_the_list_to_the_model_and_counts_what_helped(
    client: DeviceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.vocabulary.list() == []
    client.vocabulary.add("Ada")
    assert client._rooms.transcriber._terms() == ("Ada",)


def test_the_command_line_lists_adds_switches_and_removes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "vocabulary")[0] == 0
    code, facts = run(capsys, "vocabulary", "add", "Ana Kowalska", "B12")
    assert (code, [term["text"] for term in facts["terms"]]) == (0, ["Ana Kowalska", "B12"])
    run(capsys, "vocabulary", "off", "b12")
    _, facts = run(capsys, "vocabulary", "list")
    assert {term["text"]: term["is_active"] for term in facts["terms"]} == {"Ana Kowalska": True, "B12": False}
    assert run(capsys, "vocabulary", "off")[1] == {"is_on": False}
    assert run(capsys, "vocabulary", "remove", "ana kowalska")[0] == 0
    assert run(capsys, "vocabulary", "remove", "ana kowalska")[0] == 2
    assert run(capsys, "vocabulary", "add")[0] == 2


def test_of_several_terms_all_are_changed_or_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "vocabulary", "add", "Ada", "")[0] == 2
    assert run(capsys, "vocabulary")[1]["terms"] == []
    assert run(capsys, "vocabulary", "add", "Ada", "Bo")[0] == 0
    for action in ("remove", "off"):
        assert run(capsys, "vocabulary", action, "Ada", "unheard-of")[0] == 2
    assert [term["is_active"] for term in run(capsys, "vocabulary")[1]["terms"]] == [True, True]


def _table(rooms: Rooms, name: str) -> bytes:
    return repr([tuple(row) for row in rooms.database.query(f"SELECT * FROM {name}")]).encode()
