"""Texts that want to be markup, on the pages of the app in the browser: heard, corrected, sent, listed, asked to read.

A hostile model writes what it likes into a transcript, and a hostile sheet into a sentence's reason. Whatever it is, on
a page it is text: no element, no attribute and no script comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from jinja2 import Environment
from tests.fakes.device_rooms import TextEngine, text_model, tone
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer, running
from tests.unit.device.web.pages import Pages

from projectone.contracts.consent import CONSENT_TEXTS
from projectone.contracts.scripts import PromptScript, ScriptSheet
from projectone.contracts.signatures import sign_scripts
from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import DataError

PATHS = ("/", "/recordings", "/donate", "/privacy", "/model", "/vocabulary", "/memory", "/quality")
CORES = (
    "<evil-mark>",
    "<img src=x onerror=evil()>",
    '"><evil-mark onload=evil()>',
    "'><evil-mark>",
    "</script><script>evil()</script>",
    "<!--><evil-mark>",
    "</title><evil-mark>",
    '" onfocus="evil()" autofocus="',
    "' onfocus='evil()' autofocus='",
    "{{ 7 * 7 }}<evil-mark>",
    "]]><evil-mark>",
    "<svg><evil-mark>",
)
HOSTILE = tuple(f"{before}{core}{after}" for core in CORES for before, after in (("", ""), ("a ", " b")))


class _Marks(HTMLParser):
    """What a page holds that only a hostile text can have put there."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        handlers = [name for name, _ in attributes if name.startswith("on")]
        is_foreign_script = tag == "script" and not any(name in ("src", "type") for name, _ in attributes)
        if tag == "evil-mark" or handlers or is_foreign_script:
            self.found.append(f"{tag} {handlers}")


def marks_in(client: DeviceClient) -> list[str]:
    pages, parser = Pages(client), _Marks()
    for path in (*PATHS, *(f"/recordings/{item.recording_id}" for item in client.recordings(3))):
        parser.feed(pages.get(path))
    return parser.found


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceClient]:
    """A device whose model, user and server all write hostile texts."""
    patch = pytest.MonkeyPatch()
    patch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    with running(FakeServer()) as server:
        settings = DeviceSettings(
            home=tmp_path_factory.mktemp("device"),
            server=server.url,
            enrolment_code=ENROLMENT_CODE,
            release_keys=(server.public_key,),
            release_root=server.root,
        )
        with open_client(settings) as client:
            scripts = [PromptScript(script_id=f"s-{n}", text=text, why=text) for n, text in enumerate(HOSTILE)]
            sheet = ScriptSheet(language="en", made_at=datetime(2026, 11, 21, tzinfo=UTC), scripts=tuple(scripts))
            server.scripts = sign_scripts(server.key, sheet)
            version = {"version": CONSENT_TEXTS["corrections"].version, "is_adult": True}
            made = Pages(client)
            for scope in ("corrections", "voice_donation"):
                made.ask("PUT", f"/api/consents/{scope}", version)
            server.release(text_model(" ".join(CORES)))
            client.update()
            client.memory.switch(is_on=True)
            for n, text in enumerate(HOSTILE):
                client.correct(client.transcribe(tone(0.2, pitch_hz=300 + 11 * n)).recording_id, text)
                try:
                    client.vocabulary.add(text)
                except DataError:  # too long for a term
                    continue
            made.get("/api/donation?ask=1")
            made.do("/api/sync")
            yield client
    patch.undo()


def test_no_text_becomes_a_part_of_a_page(client: DeviceClient) -> None:
    pages = Pages(client)
    shown = "".join(pages.get(path) for path in PATHS)
    assert shown.count("evil-mark&gt;") > len(HOSTILE)  # they are there, as text
    assert marks_in(client) == []


def test_control_without_escaping_they_do(client: DeviceClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "projectone.device.web.context.Environment", lambda **options: Environment(**{**options, "autoescape": False})
    )
    assert len(marks_in(client)) > len(HOSTILE)
