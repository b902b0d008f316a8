"""What the privacy page says never leaves: everything that goes out is looked through for it, and for what may go."""

from __future__ import annotations

import base64
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.device_intents import files_of, tiny_intents
from tests.fakes.device_rooms import text_model, tone
from tests.fakes.release_server import FakeServer
from tests.unit.device.web.pages import Pages

from projectone.contracts import endpoints
from projectone.contracts.assist import IntentCorrection
from projectone.contracts.consent import CONSENT_TEXTS
from projectone.contracts.corrections import Correction
from projectone.contracts.releases import line_of
from projectone.device.client import DeviceClient

HEARD = "only the model heard this"
EARLIER, OTHERS, LONG, ALLOWED = "before consent", "somebody else spoke", "for a whole minute", "this was allowed"
TERM = "Oluwaseun"
ASKED, MEANT = "play some music in the attic", "is it warm in the cellar"
NAME = b"somebody's place and telephone"


@pytest.fixture
def going_out(client: DeviceClient) -> list[bytes]:
    """Every request of this device: address, headers and body, with what travels in a header opened."""
    seen: list[bytes] = []

    def look(request: Any) -> None:
        headers = dict(request.headers)
        letter = headers.get(endpoints.SAMPLE_HEADER.lower(), "")
        lines = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in headers.items())]
        seen.append("\n".join(lines).encode() + b"\n" + base64.urlsafe_b64decode(letter) + b"\n" + request.read())

    client._rooms.transport._client.event_hooks = {"request": [look]}
    return seen


def named(wav: bytes) -> bytes:
    """The same sound in a file that says where it was recorded."""
    chunk = b"LIST" + (len(NAME) + 4).to_bytes(4, "little") + b"INFO" + NAME
    return wav[:4] + (len(wav) + len(chunk) - 8).to_bytes(4, "little") + wav[8:12] + chunk + wav[12:]


def test_what_the_page_says_stays_is_in_nothing_that_goes_out(
    client: DeviceClient, server: FakeServer, going_out: list[bytes], tmp_path: Path
) -> None:
    server.release(text_model(HEARD))
    server.release(files_of(tiny_intents(tmp_path / "intents")), channel=line_of("intents", "stable"))
    client.update()
    client.update(family="intents")
    sounds = {text: tone(0.5, pitch_hz=300 + 70 * n) for n, text in enumerate((HEARD, EARLIER, OTHERS, ALLOWED))}
    sounds[LONG] = tone(61.0, pitch_hz=900)
    client.transcribe(sounds[HEARD])
    client.correct(client.transcribe(sounds[EARLIER]).recording_id, EARLIER)
    client.vocabulary.add(TERM)
    pages = Pages(client)
    body = {"is_adult": True, "version": CONSENT_TEXTS["corrections"].version}
    pages.ask("PUT", "/api/consents/corrections", body)
    client.correct(client.transcribe(sounds[OTHERS]).recording_id, OTHERS, others_present=True)
    client.correct(client.transcribe(sounds[LONG]).recording_id, LONG)
    recording = client.transcribe(named(sounds[ALLOWED]))
    client.correct(recording.recording_id, ALLOWED)
    script_id = pages.get("/api/donation?ask=1")["script"]["script_id"]
    sounds["read and not kept"] = tone(3.0, pitch_hz=1200)
    assert pages.send("POST", f"/api/donation/{script_id}/check", sounds["read and not kept"])[0] == 200
    pages.ask("PUT", "/api/consents/intents", {"is_adult": True, "version": CONSENT_TEXTS["intents"].version})
    pages.ask("POST", "/api/ask", {"text": ASKED})
    meant = pages.ask("POST", "/api/ask", {"text": MEANT})[1]
    pages.ask("PUT", f"/api/ask/{meant['ask_id']}/meaning", {"label": "music"})
    pages.do("/api/sync")
    pages.do("/api/model/update")
    sent = b"\n".join(going_out)
    for kept in (EARLIER, OTHERS, LONG, TERM, ASKED):
        assert kept.encode() not in sent, kept
    for text in sounds.keys() - {ALLOWED}:
        assert sounds[text][44:4044] not in sent, text
    assert NAME not in sent
    # And what was allowed did go, with what the page says goes with it: this search would have found the others.
    assert sounds[ALLOWED][44:4044] in sent and ALLOWED.encode() in sent and HEARD.encode() in sent
    assert MEANT.encode() in sent
    assert sorted(letter.kind for letter, _ in server.samples.values()) == ["correction", "intent"]


def test_every_claim_of_the_page_is_one_that_is_looked_for(client: DeviceClient) -> None:
    page = Pages(client).get("/privacy")
    claims = re.findall(
        r"<li>(.*?)</li>", page[page.index("Never leaves this device") : page.index("Said to the server")]
    )
    assert len(claims) == 7, "a new claim needs its search above"


def test_everything_that_goes_beside_a_recording_is_named_on_the_page() -> None:
    named = {
        "its words": {"text"},
        "its length": {"audio"},
        "what the model heard and which model it was": {"heard", "heard_by"},
        "the number of the sentence you read": {"script_id", "kind"},
        "the language": {"language", "accent"},
        "the moment": {"recorded_at"},
        "whether you are of age and alone in it": {"is_adult", "others_present"},
        "your consent's number": {"consent_receipt_id"},
        "random numbers in place of your name": {"contributor_id", "sample_id"},
    }
    page = resources.files("projectone.device.web").joinpath("templates/privacy.html.j2").read_text()
    assert all(words in page for words in named)
    assert set().union(*named.values()) == set(Correction.model_fields) - {"schema_version"}


def test_everything_that_goes_beside_a_sentence_is_named_on_the_page() -> None:
    named = {
        "the sentence,": {"text"},
        "what it was taken for and by which classifier": {"guessed", "guessed_by", "kind"},
        "what you meant": {"label"},
        "the same facts about you": {
            *("language", "corrected_at", "is_adult", "consent_receipt_id", "contributor_id", "sample_id")
        },
    }
    page = resources.files("projectone.device.web").joinpath("templates/privacy.html.j2").read_text()
    assert all(words in page for words in named)
    assert set().union(*named.values()) == set(IntentCorrection.model_fields) - {"schema_version"}
