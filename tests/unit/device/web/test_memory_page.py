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
