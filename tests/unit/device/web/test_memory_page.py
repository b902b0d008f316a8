"""The page of what is remembered: the switch, a note, and the way out."""

from __future__ import annotations

import html

import pytest
from tests.unit.device.web.pages import Pages

from projectone.assist import usual_encoder
from projectone.assist.embeddings import HashingEmbedder
from projectone.device.client import DeviceClient


@pytest.fixture
def pages(client: DeviceClient, monkeypatch: pytest.MonkeyPatch) -> Pages:
    monkeypatch.setattr(usual_encoder, "_encoder", lambda: HashingEmbedder(usual_encoder.WIDTH))
    return Pages(client)


def test_memory_is_off_at_first_and_keeps_nothing(pages: Pages) -> None:
    assert pages.get("/api/memory")["is_on"] is False
    assert "this device keeps no memory" in pages.get("/memory")
    assert pages.ask("POST", "/api/memory", {"text": "Anna likes tea"})[0] >= 400


def test_a_note_is_listed_found_and_forgotten(pages: Pages) -> None:
    pages.ask("PUT", "/api/memory", {"is_on": True})
    status, kept = pages.ask("POST", "/api/memory", {"text": "my friend Anna <b>likes</b> tea"})
    pages.ask("POST", "/api/memory", {"text": "the door is green"})
    assert status == 201
    shown = pages.get("/memory")
    assert "&lt;b&gt;" in shown and "About Anna." in html.unescape(shown) and "<b>" not in shown
    assert pages.get("/api/memory?words=anna")["memories"][0] == kept
    assert "likes" in pages.get("/memory?words=anna")
    assert pages.ask("DELETE", f"/api/memory/{kept['memory_id']}")[1] == kept
    assert pages.ask("DELETE", f"/api/memory/{kept['memory_id']}")[0] in (404, 422)
    assert pages.ask("DELETE", "/api/memory")[1] == {"forgotten": 1}
    assert pages.get("/api/memory")["memories"] == []


def test_what_is_no_note_is_refused_in_words(pages: Pages) -> None:
    pages.ask("PUT", "/api/memory", {"is_on": True})
    for text in ("", "?!", "x" * 2001, "x \x1b[31mred", "turned \u202e round"):
        status, facts = pages.ask("POST", "/api/memory", {"text": text})
        assert status == 422 and facts["reason"] == "memory-text"
    assert pages.ask("PUT", "/api/memory", {"is_on": "yes"})[0] == 400


def test_a_long_memory_comes_page_by_page_and_is_searched_as_a_whole(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectone.device.web.stretches.ON_A_PAGE", 2)
    pages.ask("PUT", "/api/memory", {"is_on": True})
    kept = [
        f"{thing} lies in drawer {number}" for number, thing in enumerate(("paper", "glue", "string", "tape", "ink"))
    ]
    for text in kept:
        pages.ask("POST", "/api/memory", {"text": text})
    first, last = pages.words("/memory"), pages.words("/memory?skip=4")
    assert "5 memories" in first and "1 to 2 of 5 , the newest first Earlier" in first
    assert "paper lies" in last and "Later" in last and "Earlier" not in last
    assert 'href="/memory?skip=2#found" rel="next"' in pages.get("/memory")
    assert pages.get("/memory?skip=99") == pages.get("/memory?skip=4")
    found, path = [], "/api/memory"
    while path:
        page = pages.get(path)
        found += [memory["text"] for memory in page["memories"]]
        path = page["earlier"]
    assert found == kept[::-1]
    assert "paper lies in drawer 0" in pages.words("/memory?words=paper")  # the oldest, from whatever page
    assert 'href="/memory?words=drawer&amp;skip=2#found"' in pages.get("/memory?words=drawer")
    pages.ask("DELETE", "/api/memory")
    assert "page by page" not in pages.get("/memory") and "Nothing is remembered" in pages.words("/memory?skip=2")


def test_no_memory_is_on_two_pages_of_what_was_found(client: DeviceClient, pages: Pages) -> None:
    pages.ask("PUT", "/api/memory", {"is_on": True})
    for number in range(40):
        pages.ask("POST", "/api/memory", {"text": f"the key number {number} is for door {number}"})
    pages.ask("POST", "/api/memory", {"text": "the keys hang beside the doors"})
    first, second = pages.get("/api/memory?words=key+number"), pages.get("/api/memory?words=key+number&skip=30")
    ids = [memory["memory_id"] for page in (first, second) for memory in page["memories"]]
    assert len(first["memories"]) == 30 and len(set(ids)) == len(ids) >= 40
    assert first["earlier"] == "/api/memory?words=key+number&skip=30" and second["earlier"] is None
