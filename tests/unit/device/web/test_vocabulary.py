"""The list of terms on the page: where each came from, on, off, and off the list."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.fakes.device_rooms import text_model, tone
from tests.fakes.release_server import FakeServer
from tests.unit.device.web.pages import Pages

from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    with open_client(DeviceSettings(home=tmp_path / "device")) as client:
        yield Pages(client)


def texts(pages: Pages) -> list[str]:
    return [term["text"] for term in pages.get("/api/vocabulary")["terms"]]


def test_a_corrected_name_is_on_the_page_with_where_it_came_from(client: DeviceClient, server: FakeServer) -> None:
    server.release(text_model("call doctor when"))
    client.update()
    client.correct(client.transcribe(tone()).recording_id, "call doctor Nguyen")
    shown = html.unescape(Pages(client).get("/vocabulary"))
    assert '<p class="said">Nguyen</p>' in shown and "Learned from a correction" in shown


def test_a_term_is_added_written_differently_and_removed(pages: Pages) -> None:
    status, term = pages.ask("POST", "/api/vocabulary", {"text": "and/or Ltd"})
    assert (status, term["origin"]) == (201, "added")
    pages.ask("POST", "/api/vocabulary", {"text": "AND/OR Ltd"})
    assert texts(pages) == ["AND/OR Ltd"]
    assert pages.ask("DELETE", f"/api/vocabulary/{quote('and/or Ltd', safe='')}")[1]["text"] == "AND/OR Ltd"
    assert texts(pages) == []
    assert "Nothing here yet" in pages.get("/vocabulary")


def test_a_term_and_the_whole_list_are_switched_off_and_on(pages: Pages) -> None:
    pages.ask("POST", "/api/vocabulary", {"text": "Nguyen"})
    assert pages.ask("PUT", "/api/vocabulary/Nguyen", {"is_on": False})[1]["is_active"] is False
    assert "Off: by hand." in pages.get("/vocabulary")
    assert pages.ask("PUT", "/api/vocabulary/nguyen", {"is_on": True})[1]["is_active"] is True
    assert pages.ask("PUT", "/api/vocabulary", {"is_on": False})[1] == {"is_on": False}
    assert 'class="term is-off"' in pages.get("/vocabulary")


def test_undoing_a_removal_brings_back_the_term_as_it_was_and_nothing_that_was_never_there(pages: Pages) -> None:
    pages.ask("POST", "/api/vocabulary", {"text": "and/or Ltd"})
    was = pages.ask("PUT", "/api/vocabulary/and/or Ltd", {"is_on": False})[1]
    one = f"/api/vocabulary/{quote('and/or Ltd', safe='')}"
    pages.ask("DELETE", one)
    assert pages.ask("POST", one) == (201, was)
    assert pages.get("/api/vocabulary")["terms"] == [was]
    assert pages.ask("POST", one) == (201, was)  # pressed twice
    assert pages.ask("POST", "/api/vocabulary/nobody")[1]["reason"] == "term-unknown"
    assert texts(pages) == ["and/or Ltd"]


def test_a_learned_term_had_back_still_goes_with_its_correction(client: DeviceClient, server: FakeServer) -> None:
    server.release(text_model("call doctor when"))
    client.update()
    pages = Pages(client)
    for is_undone_in_between in (False, True):
        recording = client.transcribe(tone()).recording_id
        client.correct(recording, "call doctor Nguyen")
        (was,) = pages.get("/api/vocabulary")["terms"]
        assert was["origin"] == "learned"
        pages.ask("DELETE", "/api/vocabulary/Nguyen")
        if is_undone_in_between:
            client.undo_recording(recording)
        answer = pages.ask("POST", "/api/vocabulary/Nguyen")
        if is_undone_in_between:
            assert answer[1]["reason"] == "term-unknown"
        else:
            assert answer == (201, was)
            client.undo_recording(recording)
        assert texts(pages) == []


def test_what_is_no_term_is_refused_in_words(pages: Pages) -> None:
    assert pages.ask("POST", "/api/vocabulary", {"text": "x" * 500})[1]["reason"] == "term-too-long"
    assert pages.ask("POST", "/api/vocabulary", {"text": "\u202e"})[0] == 422
    assert pages.ask("PUT", "/api/vocabulary/nobody", {"is_on": True})[0] in (404, 422)


def test_a_term_that_looks_like_markup_stays_text(pages: Pages) -> None:
    pages.ask("POST", "/api/vocabulary", {"text": 'AT&T "quoted"'})
    shown = pages.get("/vocabulary")
    assert "AT&amp;T &#34;quoted&#34;" in shown and 'data-term="AT&T' not in shown
