"""What was held back and is harmless: said on the page Ask beside its answer, listed, taken back and forgotten."""

from __future__ import annotations

import argparse
import html
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.device_intents import install_intents, tiny_intents
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer
from tests.unit.device.assistant.test_guard import FINE, LINE, RUDE, tiny_guard
from tests.unit.device.test_replies import write
from tests.unit.device.web.conftest import Window
from tests.unit.device.web.pages import Pages

from projectone.assist import usual_encoder
from projectone.assist.embeddings import HashingEmbedder
from projectone.device.cli.ask import ASK
from projectone.device.cli.harmless import HARMLESS
from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client

SAID = {"text": RUDE}


@pytest.fixture
def client(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceClient]:
    monkeypatch.setattr(usual_encoder, "weights_folder", lambda: None)
    monkeypatch.setattr(usual_encoder, "_encoder", lambda: HashingEmbedder(usual_encoder.WIDTH))
    home = tmp_path / "device"
    install_intents(home, tiny_intents(tmp_path / "intents"))
    settings = DeviceSettings(
        home=home,
        server=server.url,
        enrolment_code=ENROLMENT_CODE,
        release_keys=(server.public_key,),
        release_root=server.root,
    )
    server.release(tiny_guard(tmp_path / "guard"), channel=LINE)
    with open_client(settings) as opened:
        assert opened.update(family="safety").status == "updated"
        opened.replies.install(write(server, tmp_path / "set.json", 1))
        yield opened


@pytest.fixture
def pages(client: DeviceClient) -> Pages:
    return Pages(client)


def kind_of(pages: Pages, text: str) -> str:
    return str(pages.ask("POST", "/api/ask", {"text": text})[1]["reply"]["kind"])


def test_what_was_held_back_is_said_to_be_harmless_listed_and_taken_back(client: DeviceClient, pages: Pages) -> None:
    assert (kind_of(pages, RUDE), kind_of(pages, FINE) == "unsafe") == ("unsafe", False)
    assert "What you said is harmless" not in pages.words("/ask")
    status, said = pages.ask("POST", "/api/harmless", SAID)
    in_terminal = HARMLESS.execute(client, argparse.Namespace(action="say", text=RUDE)).text
    assert (status, said["told"] in in_terminal) == (201, True)  # the same words
    assert [item["text"] for item in said["harmless"]] == [RUDE]
    assert kind_of(pages, RUDE) != "unsafe"
    assert f"{RUDE} Said on" in pages.words("/ask")
    assert f'aria-label="Take back that this is harmless: {RUDE}"' in pages.get("/ask")
    assert pages.ask("DELETE", "/api/harmless", SAID) == (200, {"harmless": []})
    assert kind_of(pages, RUDE) == "unsafe"
    assert pages.get("/api/harmless") == {"harmless": []}


def test_its_words_are_text_and_nothing_else_on_the_page(client: DeviceClient, pages: Pages) -> None:
    rude = f'{RUDE} "<b>'
    client._rooms.database.execute("INSERT INTO harmless VALUES ('k', ?, '2026-11-01T10:00:00+00:00')", (rude,))
    assert rude in html.unescape(pages.get("/ask")) and "<b>" not in pages.get("/ask")


def test_what_cannot_be_said_is_refused_in_words(pages: Pages) -> None:
    status, problem = pages.ask("POST", "/api/harmless", {"text": FINE})
    assert (status, problem["reason"]) == (422, "not-warned-of") and "does not warn of this" in problem["detail"]
    status, problem = pages.ask("DELETE", "/api/harmless", SAID)
    assert (status, problem["reason"]) == (404, "not-said") and "projectone" not in problem["detail"]
    assert pages.ask("POST", "/api/harmless", {})[0] == 400
    for text in ("x" * 501, f"{RUDE} \x1b[31m", f"{RUDE} \u202e"):
        assert pages.ask("POST", "/api/harmless", {"text": text})[0] == 422
    assert pages.get("/api/harmless") == {"harmless": []}


def test_it_is_forgotten_with_everything_that_was_asked_and_with_nothing_less(
    client: DeviceClient, pages: Pages
) -> None:
    asked = pages.ask("POST", "/api/ask", {"text": RUDE})[1]
    pages.ask("POST", "/api/harmless", SAID)
    assert pages.ask("DELETE", f"/api/ask/{asked['ask_id']}") == (200, {"forgotten": 1})
    assert len(client.harmless.listed()) == 1
    assert 'id="forget-all"' in pages.get("/ask")  # nothing else is there to be forgotten
    assert pages.ask("DELETE", "/api/ask") == (200, {"forgotten": 1})
    assert client.harmless.listed() == [] and kind_of(pages, RUDE) == "unsafe"
    pages.ask("POST", "/api/harmless", SAID)
    parser = argparse.ArgumentParser()
    ASK.add_arguments(parser)
    assert ASK.execute(client, parser.parse_args(["--forget", "all"])).facts == {"forgotten": 2}
    assert client.harmless.listed() == []


def test_no_word_of_it_stays_on_the_disk(client: DeviceClient, pages: Pages, tmp_path: Path) -> None:
    pages.ask("POST", "/api/harmless", SAID)

    def is_written() -> bool:
        files = [path for path in (tmp_path / "device").rglob("*") if path.is_file()]
        return any(RUDE.encode() in path.read_bytes() for path in files)

    assert is_written()  # the control
    pages.ask("DELETE", "/api/harmless", SAID)
    assert not is_written()


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_no_other_website_says_it(window: Window, method: str) -> None:
    theirs = {"origin": "http://evil.example", "content-type": "application/json"}
    assert window.browser.request(method, "/api/harmless", headers=theirs, json=SAID).status_code == 403
    ours = {"origin": str(window.browser.base_url).rstrip("/")}
    assert window.browser.request(method, "/api/harmless", headers=ours, json=SAID).status_code in (404, 422)
    assert window.client.harmless.listed() == []
