"""What to read next: from the server where there is one, and always something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.fakes.release_server import FakeServer
from tests.unit.device.conftest import Rooms

from projectone.contracts.scripts import PromptScript, ScriptSheet
from projectone.contracts.signatures import SCRIPTS, sign_scripts
from projectone.device.fallback_scripts import FALLBACK
from projectone.device.scripts import Scripts
from projectone.device.transport import Transport
from projectone.device.trust import Trust
from projectone.errors import DataError
from projectone.server.scripts.sentences import read_sentences

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def sheet(*ids: str, language: str = "en", made_at: datetime = NOW) -> ScriptSheet:
    return ScriptSheet(
        language=language,
        made_at=made_at,
        scripts=tuple(PromptScript(script_id=name, text=f"Sentence {name}.", why="a reason") for name in ids),
    )


class Reader:
    """A device that may read, at a time that the test sets."""

    def __init__(self, home: Path, server: FakeServer, transport: Transport, *, language: str = "en") -> None:
        self.now = NOW
        trust = Trust((server.public_key,), channel="stable", runtime="0.1.0")
        self.scripts = Scripts(
            home / "scripts", transport, partial(trust.read, SCRIPTS), language=language, clock=lambda: self.now
        )


@pytest.fixture
def reader(rooms: Rooms, server: FakeServer) -> Reader:
    return Reader(rooms.home, server, rooms.transport)


def publish(server: FakeServer, made: ScriptSheet) -> None:
    server.scripts = sign_scripts(server.key, made)


def test_the_servers_sentences_are_kept_and_read_without_it(reader: Reader, server: FakeServer, rooms: Rooms) -> None:
    publish(server, sheet("a", "b"))
    assert reader.scripts.refresh() is None
    rooms.transport.server = None
    offer = reader.scripts.offer(set())
    assert offer is not None
    assert (offer.script.script_id, offer.n_read, offer.n_scripts) == ("a", 0, 2)


def test_the_server_is_asked_once_a_day(reader: Reader, server: FakeServer) -> None:
    for hours in (0, 1, 23, 25):
        reader.now = NOW + timedelta(hours=hours)
        reader.scripts.refresh()
    assert server.asked("GET", "/v1/scripts") == 2


def test_a_clock_that_was_ahead_keeps_nobody_waiting_until_then(reader: Reader, server: FakeServer) -> None:
    reader.now += timedelta(days=400)
    reader.scripts.refresh()
    reader.now -= timedelta(days=400)
    asked = server.asked("GET", "/v1/scripts")
    reader.scripts.refresh()
    assert server.asked("GET", "/v1/scripts") == asked + 1


def test_without_a_server_there_is_something_to_read(reader: Reader, server: FakeServer) -> None:
    assert "no-scripts" in (reader.scripts.refresh() or "") or server.scripts is None
    offer = reader.scripts.offer(set())
    assert offer is not None
    assert offer.script.text == FALLBACK[0][1]


def test_what_came_with_the_program_is_of_the_servers_corpus() -> None:
    texts = {sentence.script_id: sentence.text for sentence in read_sentences()}
    assert {script_id: texts[script_id] for script_id, _ in FALLBACK} == dict(FALLBACK)


def test_a_sentence_stays_until_it_was_read_whatever_the_server_says(reader: Reader, server: FakeServer) -> None:
    publish(server, sheet("a", "b"))
    reader.scripts.refresh()
    first = reader.scripts.offer(set())
    publish(server, sheet("c", "d", made_at=NOW + timedelta(days=2)))
    reader.now = NOW + timedelta(days=2)
    reader.scripts.refresh()
    again = reader.scripts.offer(set())
    assert first is not None and again is not None
    assert again.script == first.script
    following = reader.scripts.offer({"a"})
    assert following is not None
    assert following.script.script_id == "c"


def test_what_is_skipped_is_never_shown_again_and_the_end_is_told(reader: Reader, server: FakeServer) -> None:
    publish(server, sheet("a", "b"))
    reader.scripts.refresh()
    reader.scripts.offer(set())
    reader.scripts.skip()
    offer = reader.scripts.offer(set())
    assert offer is not None
    assert offer.script.script_id == "b"
    assert reader.scripts.offer({"b"}) is None


def test_a_sheet_that_somebody_else_signed_changes_nothing(reader: Reader, server: FakeServer) -> None:
    publish(server, sheet("a"))
    reader.scripts.refresh()
    server.scripts = sign_scripts(FakeServer().key, sheet("evil", made_at=NOW + timedelta(days=2)))
    reader.now = NOW + timedelta(days=2)
    assert "signed by" in (reader.scripts.refresh() or "")
    assert [script.script_id for script in reader.scripts.sheet().scripts] == ["a"]


def test_an_older_sheet_does_not_come_back(reader: Reader, server: FakeServer) -> None:
    publish(server, sheet("new", made_at=NOW))
    reader.scripts.refresh()
    publish(server, sheet("old", made_at=NOW - timedelta(days=9)))
    reader.now = NOW + timedelta(days=2)
    assert "older" in (reader.scripts.refresh() or "")
    assert [script.script_id for script in reader.scripts.sheet().scripts] == ["new"]


@pytest.mark.parametrize("name", ["sheet.json", "reading.json"])
def test_a_damaged_file_costs_no_more_than_the_place(name: str, reader: Reader, server: FakeServer) -> None:
    publish(server, sheet("a"))
    reader.scripts.refresh()
    reader.scripts.offer(set())
    (reader.scripts._folder / name).write_bytes(b"{half")
    assert reader.scripts.offer(set()) is not None


def test_in_another_language_nothing_english_is_asked_for(rooms: Rooms, server: FakeServer) -> None:
    german = Reader(rooms.home, server, rooms.transport, language="de")
    publish(server, sheet("a"))
    assert "'en'" in (german.scripts.refresh() or "")
    with pytest.raises(DataError, match="'de'"):
        german.scripts.offer(set())
    assert german.scripts.sheet_or_none() == ()
