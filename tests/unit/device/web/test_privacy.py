"""Consent on the page: on and off at once, exactly what left, the way back, and what the server signed about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from tests.fakes.device_rooms import text_model, tone
from tests.fakes.release_server import FakeServer
from tests.unit.device.web.pages import Pages

from projectone.assist.generation.protocol import GenerationRequest
from projectone.assist.vectors.protocol import Owner
from projectone.contracts.consent import CONSENT_TEXTS, CONSENT_WORDS, ConsentText
from projectone.contracts.signatures import sign_uses
from projectone.contracts.uses import ModelUse, SampleUses
from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.web.context import sentences_of
from projectone.device.wiring import open_client

VERSION = CONSENT_TEXTS["corrections"].version
YES = {"is_adult": True, "version": VERSION}


@pytest.fixture
def pages(client: DeviceClient, server: FakeServer) -> Iterator[Pages]:
    server.release(text_model("won too three"))
    client.update()
    yield Pages(client)


def correct(client: DeviceClient, text: str, *, pitch_hz: float = 440.0) -> None:
    client.correct(client.transcribe(tone(pitch_hz=pitch_hz)).recording_id, text)


@pytest.mark.parametrize("words", CONSENT_WORDS, ids=lambda words: f"{words.scope} {words.version}")
def test_words_that_people_agree_to_are_taken_apart_into_sentences_and_nothing_else(words: ConsentText) -> None:
    sentences = sentences_of(words.text)
    assert " ".join(sentences) == words.text
    assert len(sentences) == len(re.findall(r"[.!?](?: |$)", words.text))


@pytest.mark.parametrize("path", ["/privacy", "/donate", "/quality"])
def test_a_page_shows_every_sentence_of_the_words_on_a_line_of_its_own(path: str, pages: Pages) -> None:
    page = unescape(pages.get(path))
    scopes = {"/privacy": "corrections", "/donate": "voice_donation", "/quality": "quality"}
    for sentence in sentences_of(CONSENT_TEXTS[scopes[path]].text):
        assert f"<li>{sentence}</li>" in page


def test_a_purpose_is_shown_with_its_words_whole_and_its_version(pages: Pages) -> None:
    shown = re.sub(r"\s+", " ", pages.get("/privacy"))
    assert CONSENT_TEXTS["corrections"].text in pages.words("/privacy")
    assert f'Words of version {VERSION}, since <time datetime="2026-11-21">21 November 2026</time>.' in shown
    assert pages.consent()["is_granted"] is False


def test_questions_are_listed_as_they_left_and_go_with_the_consent(pages: Pages, client: DeviceClient) -> None:
    assert "Questions that left" not in pages.get("/privacy")
    words = {"is_adult": True, "version": CONSENT_TEXTS["hosted_answers"].version}
    assert pages.ask("PUT", "/api/consents/hosted_answers", words)[0] == 200
    masked = GenerationRequest(owner=Owner("device", "person"), prompt="write to [NAME_1] <b>now</b>")
    client.answers.before_bytes_leave("answers.example.org", "small-1", masked)
    shown = pages.get("/privacy")
    assert "write to [NAME_1] &lt;b&gt;now&lt;/b&gt;" in shown and "answers.example.org" in shown
    assert "what you ask, masked" in shown  # at the foot of every page
    assert pages.ask("DELETE", "/api/consents/hosted_answers")[0] == 200
    assert "[NAME_1]" not in pages.get("/privacy")


def test_agreeing_needs_the_age_and_the_very_words_that_were_read(pages: Pages, client: DeviceClient) -> None:
    assert pages.ask("PUT", "/api/consents/corrections", {"version": VERSION})[0] == 400
    status, problem = pages.ask("PUT", "/api/consents/corrections", {"is_adult": True, "version": VERSION - 1})
    assert (status, problem["reason"]) == (422, "words-changed")
    assert pages.ask("PUT", "/api/consents/everything", YES)[0] == 400
    assert pages.ask("PUT", "/api/consents/quality", YES)[0] == 400  # its page shows what it sends first
    assert not any(client.consents().values())


def test_what_was_corrected_before_is_sent_only_if_the_person_says_so(pages: Pages, client: DeviceClient) -> None:
    correct(client, "one two three")
    assert pages.consent()["n_earlier"] == 1
    assert pages.ask("PUT", "/api/consents/corrections", YES)[1]["n_queued"] == 0
    assert client.status().consents["corrections"] is not None
    again = {**YES, "is_for_earlier": True}
    assert pages.ask("PUT", "/api/consents/corrections", again)[1]["n_queued"] == 1
    (receipt,) = [account.receipt for account in client.consent_accounts()]
    assert receipt.method == "web"


def test_what_minors_give_stays_here(pages: Pages, client: DeviceClient, server: FakeServer) -> None:
    pages.ask("PUT", "/api/consents/corrections", {**YES, "is_adult": False})
    correct(client, "one two three")
    pages.do("/api/sync")
    assert server.samples == {}
    assert "as you are not of age" in pages.get("/privacy")


def test_off_says_before_and_after_what_stays_here_and_what_is_erased(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    pages.ask("PUT", "/api/consents/corrections", YES)
    correct(client, "one two three")
    assert pages.do("/api/sync")["result"]["sent"] == 1
    correct(client, "four five", pitch_hz=600)
    shown = re.sub(r"\s+", " ", pages.get("/privacy"))
    assert "1 that waits to be sent stays here. The server is told to erase the 1 it has" in shown
    _, off = pages.ask("DELETE", "/api/consents/corrections")
    assert (off["n_kept"], off["n_to_erase"], off["consent"]["is_granted"]) == (1, 1, False)
    assert "To be deleted" in pages.get("/privacy")
    assert pages.do("/api/sync")["result"]["notices"] == 1
    assert server.samples == {}
    shown = re.sub(r"\s+", " ", pages.get("/privacy"))
    assert "Deleted on the server" in shown
    assert "Signature holds" in shown and "1 recording with its words erased." in shown
    assert pages.get("/api/erasures")["erasures"][0]["n_samples"] == 1


def test_after_the_words_changed_what_was_agreed_to_before_can_be_withdrawn(
    pages: Pages, client: DeviceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.ask("PUT", "/api/consents/corrections", YES)
    correct(client, "one two three")
    pages.do("/api/sync")
    newer = CONSENT_TEXTS["corrections"].model_copy(update={"version": VERSION + 1, "text": "Other words."})
    monkeypatch.setitem(CONSENT_TEXTS, "corrections", newer)
    shown = re.sub(r"\s+", " ", pages.get("/privacy"))
    assert f"The words have changed since you agreed to version {VERSION}." in shown
    assert f"1 that you sent under version {VERSION} is still on the server." in shown
    assert pages.ask("DELETE", "/api/consents/corrections")[1]["n_to_erase"] == 1
    assert "still on the server" not in pages.get("/privacy")


def test_a_receipt_of_somebody_else_is_said_to_be_none(pages: Pages, client: DeviceClient, server: FakeServer) -> None:
    pages.ask("PUT", "/api/consents/corrections", YES)
    correct(client, "one two three")
    pages.do("/api/sync")
    server.key = FakeServer().key
    pages.ask("DELETE", "/api/consents/corrections")
    pages.do("/api/sync")
    shown = pages.get("/privacy")
    assert "Signature holds" not in shown and '<div class="notice is-bad">' in shown


def test_the_list_has_the_sound_and_the_bytes_that_left(pages: Pages, client: DeviceClient, server: FakeServer) -> None:
    pages.ask("PUT", "/api/consents/corrections", YES)
    correct(client, "one <two> three")
    pages.do("/api/sync")
    (item,) = pages.get("/api/sent")["sent"]
    ((correction, wav),) = server.samples.values()
    assert item["left_at"] is not None and item["words_version"] == VERSION
    assert pages.get(f"/api/sent/{item['sample_id']}/letter")["raw"].encode() == correction.to_bytes()
    assert pages.content(f"/api/sent/{item['sample_id']}/audio") == wav
    assert "one &lt;two&gt; three" in pages.get("/privacy")


def test_the_list_of_what_was_sent_goes_on_to_the_first_thing_and_its_figures_count_everything(
    pages: Pages, client: DeviceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectone.device.web.stretches.ON_A_PAGE", 2)
    pages.ask("PUT", "/api/consents/corrections", YES)
    said = ["one", "two", "three", "four", "five"]
    for number, text in enumerate(said):
        correct(client, text, pitch_hz=300 + 50 * number)
    pages.do("/api/sync")
    found, path = [], "/api/sent"
    while path:
        page = pages.get(path)
        assert (page["n"], page["n_on_server"]) == (5, 5)
        found += [item["text"] for item in page["sent"]]
        path = page["earlier"]
    assert found == said[::-1]
    first, last = (re.sub(r"\s+", " ", pages.get(f"/privacy{query}")) for query in ("", "?skip=4"))
    assert 'data-n="5"' in first and '<strong class="number">5</strong> on the server' in first
    assert 'href="/privacy?skip=2#sent" rel="next">Earlier' in first and ">Later<" not in first
    assert 'href="/privacy?skip=2#sent" rel="prev">Later' in last and ">Earlier<" not in last
    assert pages.get("/privacy?skip=77") == pages.get("/privacy?skip=4")
    assert pages.ask("GET", f"/api/sent?skip={'9' * 5000}")[0] == 400


def test_one_thing_or_everything_is_deleted_and_the_page_says_until_when_not(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    pages.ask("PUT", "/api/consents/corrections", YES)
    for n, text in enumerate(("one", "two", "three")):
        correct(client, text, pitch_hz=400 + 100 * n)
    pages.do("/api/sync")
    newest = pages.get("/api/sent")["sent"][0]
    assert pages.ask("DELETE", f"/api/sent/{newest['sample_id']}")[1]["may_have_left"] is True
    assert pages.ask("DELETE", "/api/sent")[1] == {"n": 2}
    assert {item["whereabouts"] for item in pages.get("/api/sent")["sent"]} == {"to be deleted"}
    pages.do("/api/sync")
    assert server.samples == {}
    assert {item["whereabouts"] for item in pages.get("/api/sent")["sent"]} == {"deleted"}
    assert pages.ask("DELETE", "/api/sent")[1] == {"n": 0}


def test_a_sound_that_was_taken_back_is_not_played(pages: Pages, client: DeviceClient) -> None:
    pages.ask("PUT", "/api/consents/voice_donation", YES)
    client.donating.give(tone(pitch_hz=800), "the quick brown fox")
    pages.do("/api/sync")
    (item,) = pages.get("/api/sent")["sent"]
    pages.ask("DELETE", f"/api/sent/{item['sample_id']}")
    assert pages.ask("GET", f"/api/sent/{item['sample_id']}/audio")[0] == 404
    assert "The sound is not here any more" in pages.get("/privacy")


def test_offline_everything_can_be_decided_and_the_job_says_what_to_do(pages: Pages, tmp_path: Any) -> None:
    with open_client(DeviceSettings(home=tmp_path / "offline")) as client:
        offline = Pages(client)
        assert offline.ask("PUT", "/api/consents/corrections", YES)[0] == 200
        assert "No server is set up" in offline.get("/privacy")
        failed = offline.do("/api/sync")
        assert failed["state"] == "failed" and "PROJECTONE_SERVER" in failed["error"]["message"]
        assert offline.ask("DELETE", "/api/consents/corrections")[1]["consent"]["is_granted"] is False


def test_when_the_server_does_not_answer_it_is_said_and_waits(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    pages.ask("PUT", "/api/consents/corrections", YES)
    correct(client, "one two three")
    server.faults.answer = lambda method, path: (403, "quota")
    result = pages.do("/api/sync")["result"]
    assert result["waiting"] == 2 and "as the test wished" in result["problem"]


def test_which_models_learned_from_a_sample_is_asked_and_checked(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    pages.ask("PUT", "/api/consents/corrections", YES)
    correct(client, "one two three")
    pages.do("/api/sync")
    (item,) = pages.get("/api/sent")["sent"]
    assert "as the test wished" in pages.do(f"/api/sent/{item['sample_id']}/uses")["error"]["message"]
    uses = SampleUses(
        sample_id=UUID(item["sample_id"]),
        issued_at=datetime.now(UTC),
        models=(ModelUse(channel="stable", version="1.0.0", weights_sha256="0" * 64, released_at=datetime.now(UTC)),),
        n_releases=3,
    )
    server.uses = sign_uses(server.key, uses)
    result = pages.do(f"/api/sent/{item['sample_id']}/uses")["result"]
    assert result["models"] == [{"version": "1.0.0", "has_learned": False, "words": "learned from nobody's recordings"}]
    assert result["n_unnamed"] == 2
