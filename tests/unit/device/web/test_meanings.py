"""The page on which one asks what was meant, and says whether that was right."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.device_intents import install_intents, tiny_intents
from tests.fakes.device_rooms import tone
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer
from tests.unit.device.test_replies import write
from tests.unit.device.web.pages import Pages

from projectone.device.cli.ask import meaning_shown
from projectone.device.client import DeviceClient
from projectone.device.clips import read_clip
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_intents(tmp_path_factory.mktemp("intents") / "model")


@pytest.fixture
def client(tmp_path: Path, made: Path, server: FakeServer) -> Iterator[DeviceClient]:
    home = tmp_path / "device"
    install_intents(home, made)
    settings = DeviceSettings(
        home=home, server=server.url, enrolment_code=ENROLMENT_CODE, release_keys=(server.public_key,)
    )
    with open_client(settings) as opened:
        yield opened


@pytest.fixture
def pages(client: DeviceClient) -> Pages:
    return Pages(client)


def test_without_a_classifier_the_page_says_so_and_offers_no_field(tmp_path: Path) -> None:
    with open_client(DeviceSettings(home=tmp_path / "empty")) as client:
        shown = Pages(client).get("/ask")
        assert "There is no classifier on this device yet" in shown and 'id="sentence"' not in shown
        assert Pages(client).ask("POST", "/api/ask", {"text": "play music"})[0] == 409


def test_a_sentence_is_asked_answered_corrected_and_taken_back(pages: Pages) -> None:
    status, found = pages.ask("POST", "/api/ask", {"text": 'is it "warm" <now>'})
    assert (status, found["correction"]) == (201, None)
    shown = html.unescape(pages.get("/ask"))
    assert 'is it "warm" <now>' in shown and "<now>" not in pages.get("/ask")
    assert pages.get("/api/ask/labels") == {"labels": ["music", "weather"]}
    one = f"/api/ask/{found['ask_id']}"
    assert pages.ask("PUT", f"{one}/meaning", {"label": "music"})[1]["correction"]["label"] == "music"
    assert "It stays on this device." in pages.get("/ask")
    assert pages.ask("PUT", f"{one}/meaning", {"label": None})[1]["correction"]["label"] is None
    assert pages.ask("DELETE", f"{one}/meaning") == (200, {"may_have_left": False})
    assert pages.ask("DELETE", f"{one}/meaning")[0] == 404
    assert pages.ask("DELETE", one) == (200, {"forgotten": 1})
    assert pages.ask("DELETE", one)[0] == 404
    assert "Nothing was asked yet" in pages.get("/ask")


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.934, "93 % sure"), (0.9961, "99 % sure"), (1.0, "99 % sure"), (0.5, "50 % sure"), (0.0004, "1 % sure")],
)
def test_no_answer_is_called_certain(client: DeviceClient, pages: Pages, probability: float, words: str) -> None:
    pages.ask("POST", "/api/ask", {"text": "play some music"})
    client._rooms.database.execute("UPDATE asked SET label = 'music', probability = ?", (probability,))
    assert f"It is {words} of this." in pages.words("/ask")
    assert meaning_shown(client.assist.newest()[0].asked) == f"music ({words.removesuffix(' sure')})"


def test_a_recording_leads_to_the_question_and_back(client: DeviceClient, pages: Pages) -> None:
    recording = client._rooms.recordings.add(
        read_clip(tone()), text="play some music", model_version="1.0.0", recorded_at=datetime.now(UTC)
    )
    assert f"/ask?recording={recording.recording_id}" in pages.get("/recordings/last")
    assert pages.ask("POST", "/api/ask", {"recording": "last"})[1]["text"] == "play some music"
    assert f'href="/recordings/{recording.recording_id}"' in pages.get("/ask")


def test_an_approved_answer_comes_first_where_there_is_one(
    client: DeviceClient, pages: Pages, server: FakeServer, tmp_path: Path
) -> None:
    assert pages.ask("POST", "/api/ask", {"text": "is it warm"})[1]["reply"] is None
    client.replies.install(write(server, tmp_path / "set.json", 1))
    reply = pages.ask("POST", "/api/ask", {"text": "is it warm"})[1]["reply"]
    assert (reply["text"], "weather" in reply["reason"]) == ("First the weather.", True)


def test_what_cannot_be_understood_or_meant_is_refused_in_words(pages: Pages) -> None:
    assert pages.ask("POST", "/api/ask", {"text": "x" * 501})[0] == 422
    assert pages.ask("POST", "/api/ask", {"recording": "last"})[0] == 404
    found = pages.ask("POST", "/api/ask", {"text": "play music"})[1]
    status, problem = pages.ask("PUT", f"/api/ask/{found['ask_id']}/meaning", {"label": "whether"})
    assert (status, "knows no such meaning" in problem["detail"]) == (422, True)
    assert pages.ask("PUT", f"/api/ask/{found['ask_id']}/meaning", {})[0] == 400


def test_what_was_sent_of_it_is_listed_without_sound_and_can_be_deleted(client: DeviceClient, pages: Pages) -> None:
    client.grant("intents", "web")
    found = pages.ask("POST", "/api/ask", {"text": "play some music"})[1]
    assert pages.ask("PUT", f"/api/ask/{found['ask_id']}/meaning", {"label": "weather"})[1]["state"] == "waiting"
    client.sync()
    shown = html.unescape(pages.get("/privacy"))
    assert "play some music -> weather" in shown and "A sentence, without sound." in shown
    assert "Corrections are sent, as you allowed" in pages.get("/ask")
    (row,) = pages.get("/api/sent")["sent"]
    assert (row["kind"], row["utterance"], row["is_audible"]) == ("intent", "play some music", False)
    assert pages.ask("DELETE", f"/api/sent/{row['sample_id']}")[1]["may_have_left"] is True
    assert pages.get("/api/ask")["asked"][0]["correction"] is None
