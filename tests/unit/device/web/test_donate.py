"""Reading aloud on the page: what to read and why, whether the recording is good, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.fakes.device_rooms import text_model
from tests.fakes.release_server import FakeServer
from tests.unit.device.test_donation import voice
from tests.unit.device.web.pages import Pages

from projectone.contracts.consent import CONSENT_TEXTS
from projectone.contracts.scripts import PromptScript, ScriptSheet
from projectone.contracts.signatures import sign_scripts
from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.waveform.wav import encode_wav

FIRST, SECOND = "the quick brown fox", "seven apples fell"
GOOD = encode_wav(voice())


@pytest.fixture
def pages(client: DeviceClient, server: FakeServer) -> Iterator[Pages]:
    sheet = ScriptSheet(
        language="en",
        made_at=datetime(2026, 11, 21, tzinfo=UTC),
        scripts=(
            PromptScript(script_id="s-1", text=FIRST, why="'quick' is misheard 9 of 12 times"),
            PromptScript(script_id="s-2", text=SECOND, why="'seven' is misheard 5 of 12 times"),
        ),
    )
    server.scripts = sign_scripts(server.key, sheet)
    client.grant("voice_donation", "web")
    pages = Pages(client)
    pages.get("/api/donation?ask=1")
    yield pages


def keep(pages: Pages, script_id: str, wav: bytes = GOOD, query: str = "") -> tuple[int, Any]:
    return pages.send("PUT", f"/api/donation/{script_id}{query}", wav)


def test_the_page_shows_the_sentence_and_why_it_was_chosen(pages: Pages) -> None:
    page = pages.get("/donate")
    assert f'<p class="sentence" id="sentence">{FIRST}</p>' in page
    assert "&#39;quick&#39; is misheard 9 of 12 times." in page


def test_consent_is_asked_first_and_in_place(pages: Pages, client: DeviceClient) -> None:
    client.withdraw("voice_donation")
    assert CONSENT_TEXTS["voice_donation"].text in pages.words("/donate") and 'id="sentence"' not in pages.get(
        "/donate"
    )
    status, problem = keep(pages, "s-1")
    assert (status, problem["reason"]) == (403, "consent")


def test_a_reading_is_kept_counted_and_followed_by_the_next_sentence(pages: Pages, server: FakeServer) -> None:
    status, kept = keep(pages, "s-1")
    assert (status, kept["is_queued"]) == (200, True)
    state = kept["state"]
    assert (state["script"]["text"], state["today"]["n"], state["today"]["seconds"]) == (SECOND, 1, 2.0)
    pages.do("/api/sync")
    ((correction, wav),) = server.samples.values()
    assert (correction.text, correction.script_id, wav) == (FIRST, "s-1", GOOD)
    assert keep(pages, "s-2")[1]["state"]["script"] is None


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        (voice(peak=0.015, floor=0.0), "Too quiet: come closer to the microphone"),
        (voice(peak=6.0).clip(-1, 1), "Too loud: move back"),
        (voice(0.05), "press record"),
    ],
)
def test_what_is_wrong_with_a_recording_is_said_in_plain_words(pages: Pages, sound: Any, words: str) -> None:
    status, checked = pages.send("POST", "/api/donation/s-1/check", encode_wav(sound))
    assert status == 200 and words in checked["finding"]["advice"]


def test_another_sentence_is_noticed_and_may_be_kept_all_the_same(
    pages: Pages, client: DeviceClient, server: FakeServer
) -> None:
    server.release(text_model(SECOND))
    client.update()
    _, checked = pages.send("POST", "/api/donation/s-1/check", GOOD)
    assert checked["heard"] == SECOND
    assert checked["finding"]["advice"].startswith(f"The model heard “{SECOND}”.")
    assert "--" not in checked["finding"]["advice"]  # there are buttons here
    assert keep(pages, "s-1")[1]["is_queued"]


def test_where_somebody_else_is_heard_it_stays_here(pages: Pages, server: FakeServer) -> None:
    _, kept = keep(pages, "s-1", query="?others=1")
    assert not kept["is_queued"] and "somebody else" in kept["reason"]
    pages.do("/api/sync")
    assert server.samples == {}


def test_a_sentence_is_skipped_for_good(pages: Pages) -> None:
    assert pages.ask("POST", "/api/donation/skip")[1]["script"]["text"] == SECOND
    assert pages.get("/api/donation")["script"]["text"] == SECOND


def test_the_last_reading_is_taken_back(pages: Pages, client: DeviceClient) -> None:
    keep(pages, "s-1")
    _, undone = pages.ask("DELETE", "/api/donation")
    assert (undone["text"], undone["may_have_left"], undone["state"]["ever"]["n"]) == (FIRST, False, 0)
    assert pages.ask("DELETE", "/api/donation")[0] == 404


def test_a_page_from_before_cannot_give_the_wrong_sentence(pages: Pages, client: DeviceClient) -> None:
    pages.ask("POST", "/api/donation/skip")
    status, problem = keep(pages, "s-1")
    assert (status, problem["reason"]) == (422, "script-changed")
    assert client.given.donations().n == 0


def test_a_sentence_from_before_the_servers_list_is_said_to_be_one(
    client: DeviceClient, server: FakeServer, pages: Pages
) -> None:
    assert pages.get("/api/donation")["is_listed"] is True
    sheet = ScriptSheet(
        language="en",
        made_at=datetime(2026, 11, 22, tzinfo=UTC),
        scripts=(PromptScript(script_id="s-9", text=SECOND, why="'seven' is misheard 5 of 12 times"),),
    )
    server.scripts = sign_scripts(server.key, sheet)
    (client.status().home / "scripts" / "sheet.json").write_bytes(server.scripts.to_bytes())
    state = pages.get("/api/donation")
    assert (state["script"]["text"], state["is_listed"]) == (FIRST, False)  # it stays until it is read or skipped
    assert pages.ask("POST", "/api/donation/skip")[1]["script"]["script_id"] == "s-9"


def test_no_request_leaves_before_the_page_is_there(pages: Pages, server: FakeServer) -> None:
    asked = len(server.requests)
    pages.get("/donate")
    assert len(server.requests) == asked


def test_without_a_server_there_is_something_to_read(tmp_path: Any) -> None:
    with open_client(DeviceSettings(home=tmp_path / "offline")) as client:
        client.grant("voice_donation", "web")
        offline = Pages(client)
        state = offline.get("/api/donation?ask=1")
        assert state["n_scripts"] == 40 and state["script"]["why"].startswith("The server has not chosen")
        assert keep(offline, state["script"]["script_id"], encode_wav(voice(4.0)))[1]["is_queued"]


def test_a_language_without_sentences_is_said(tmp_path: Any) -> None:
    with open_client(DeviceSettings(home=tmp_path / "offline", language="fi")) as client:
        client.grant("voice_donation", "web")
        state = Pages(client).get("/api/donation")
    assert state["script"] is None and "'fi'" in state["problem"]
