"""The app as a person has it: a real server on loopback over a real home, in Debian's Chromium, with a human voice.

The model is a text file that always hears the same words; everything else is the real thing. What the microphone
hears is a recording of a person, played once.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright
from tests.fakes.device_rooms import TextEngine, text_model
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer
from tests.fakes.release_server import running as running_server

from projectone.device.client import DeviceClient
from projectone.device.settings import DeviceSettings
from projectone.device.web.app import create_app
from projectone.device.web.serving import listening
from projectone.device.wiring import open_client
from projectone.waveform.resample import to_16k_mono
from projectone.waveform.wav import encode_wav

CHROMIUM = Path("/usr/bin/chromium")
SAID = "and so my fellow Americans ask not what your country can do for you"
TOKEN = "the-token"


@pytest.fixture(scope="session")
def voice(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV file of a person who speaks."""
    soundfile = pytest.importorskip("soundfile", reason="FLAC is decoded by the extra `decoders`")
    folder = real_data / "kathleen_arctic"
    first = json.loads((folder / "manifest.jsonl").read_text().splitlines()[0])
    samples, rate_hz = soundfile.read(folder / first["audio"], dtype="float32", always_2d=True)
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    path.write_bytes(encode_wav(to_16k_mono(samples, rate_hz)))
    return path


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """One driver for the tests of a file: while it runs, no test of this process can begin an event loop of its own."""
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    with sync_playwright() as started:
        yield started


def launch(playwright: Playwright, voice: Path) -> Browser:
    """Chromium with a microphone that hears `voice` once, from the moment it is opened."""
    return playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[
            "--no-sandbox",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={voice}%noloop",
            "--use-fake-ui-for-media-stream",
        ],
    )


@pytest.fixture(scope="module")
def browser(playwright: Playwright, voice: Path) -> Iterator[Browser]:
    """One for the tests of a file."""
    opened = launch(playwright, voice)
    yield opened
    opened.close()


@dataclass
class Running:
    """The app, where it listens, what it is made of, and the backend that it may talk to."""

    origin: str
    client: DeviceClient
    backend: FakeServer

    def open(self, browser: Browser, path: str = "/", *, scheme: str = "light", width: int = 1280) -> Page:
        """A window of its own, let in by the token; what its scripts complain about fails the test."""
        context = browser.new_context(
            viewport={"width": width, "height": 860},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
        )
        return self.page_in(context, path)

    def page_in(self, context: BrowserContext, path: str) -> Page:
        """A page of a context that may have no cookie yet."""
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{self.origin}/enter?token={TOKEN}")
        page.wait_for_url(f"{self.origin}/")
        if path != "/":
            page.goto(self.origin + path)
        return page


def asks_before_leaving(page: Page) -> bool:
    """Whether the browser would ask before it closes or reloads the page."""
    asked: bool = page.evaluate("dispatchEvent(new Event('beforeunload', { cancelable: true })) === false")
    return asked


@contextlib.contextmanager
def serving(client: DeviceClient) -> Iterator[str]:
    """The app over a client, on a thread of its own; gives where it listens."""
    with listening(0) as listener:
        port = listener.getsockname()[1]
        pages = create_app(client, port=port, token=TOKEN, renew=lambda: TOKEN)
        server = uvicorn.Server(uvicorn.Config(pages, log_level="warning", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The app of one test module."""
    patch = pytest.MonkeyPatch()
    patch.setattr("projectone.device.wiring._load_engine", lambda folder, settings: TextEngine(folder))
    with running_server(FakeServer()) as backend:
        backend.release(text_model(SAID))
        settings = DeviceSettings(
            home=tmp_path_factory.mktemp("device"),
            server=backend.url,
            enrolment_code=ENROLMENT_CODE,
            release_keys=(backend.public_key,),
            release_root=backend.root,
        )
        with open_client(settings) as client:
            client.update()
            with serving(client) as origin:
                yield Running(origin, client, backend)
    patch.undo()
