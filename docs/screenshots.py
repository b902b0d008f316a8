"""Takes pictures of every page of the app, light and dark, narrow and wide: `python docs/screenshots.py FOLDER`.

Of each the first screen, and the whole page where it is longer (`-whole`); dialogs, the classifier on *Ask*, a newer
model on offer, a long list; and every page of a device on which nothing was done yet (`empty-`).

The device is the real one, in a home that is made for this; its recordings are people from the folder of real speech
(PROJECTONE_DATA, as in the tests). What was heard in them is written down here, with words that a model could have
doubted, so that the pictures are the same each time. With `--docs` the few that the documentation shows are written
to docs/images; with `--paint` nothing is pictured, and it is said how soon each page is seen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.fakes.device_intents import files_of, tiny_intents  # noqa: E402
from tests.fakes.device_rooms import TextEngine, text_model  # noqa: E402
from tests.fakes.release_server import ENROLMENT_CODE, FakeServer, running  # noqa: E402

from projectone.contracts.releases import ReleaseNotes, line_of  # noqa: E402
from projectone.device import clips, wiring  # noqa: E402
from projectone.device.client import DeviceClient  # noqa: E402
from projectone.device.heard import Word  # noqa: E402
from projectone.device.settings import DeviceSettings  # noqa: E402
from projectone.device.web.app import create_app  # noqa: E402
from projectone.device.web.serving import listening  # noqa: E402
from projectone.waveform.resample import to_16k_mono  # noqa: E402
from projectone.waveform.wav import encode_wav  # noqa: E402

# A page, and the button that opens a dialog on it.
DIALOGS = {
    "recording-delete": ("/recordings/last", "Delete this recording"),
    "model-back": ("/model", "Go back to 1.0.0"),
    "ask-forget": ("/ask", "Forget all"),
    "privacy-erase": ("/privacy", "Delete all I sent"),
}
DATA = Path(os.environ.get("PROJECTONE_DATA", REPOSITORY.parent / "shared" / "data"))
CHROMIUM = "/usr/bin/chromium"
TOKEN = "pictures"
WIDTHS = {"narrow": (390, 844), "wide": (1280, 860)}
SPOKEN = "misc_en/audio/jfk.flac"
SAID = "and so my fellow Americans, ask not what your country can do for you"
# Sound, and what was heard in it; a word after "?" is one that the model doubted.
HEARD = (
    ("kathleen_arctic", 0, "Not at this particular case Tom apologized ?Whit ?more"),
    ("kathleen_arctic", 1, "Gad your letter came just in time"),
    ("misc_en", 0, "Printing in the only sense with which we are at present concerned differs from most if not from "
     "all the arts and crafts represented in the ?Expedition"),
    ("kathleen_arctic", 4, "There's Fort ?Church ?ill a rifle shot beyond the ridge asleep"),
    ("misc_en", 1, "in being comparatively modern"),
)  # fmt: skip
CORRECTED = {2: "Printing, in the only sense with which we are at present concerned, differs from most, if not from "
             "all, the arts and crafts represented in the Exhibition"}  # fmt: skip
OLDER = ("call me at nine", "the train leaves from the second platform", "no", "water the plants on Sunday")
N_OLDER = 60
ASKED = ("play some music", "is it warm outside", "play the song about the warm rain")
NOTES = ReleaseNotes(after="1.0.0", n_samples=40, n_new_samples=12, n_words=200, n_wrong=10, n_wrong_before=30)
PLACES = ("/donate", "/privacy", "/ask", "/model", "/vocabulary", "/memory", "/quality")
_PAINTS = 7
_WATCH = """window.shift = 0; new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shift += entry.value; })
    .observe({ type: "layout-shift", buffered: true });"""
FOR_DOCS = {
    "record-speaking-light-wide": "app-record",
    "recording-changed-light-wide": "app-correct",
    "recording-changed-dark-narrow": "app-correct-narrow",
    "privacy-light-wide": "app-privacy",
    "model-light-wide": "app-model",
}


def main() -> None:
    """Read the command line, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--docs", action="store_true", help="write the pictures of the documentation too")
    parser.add_argument("--paint", action="store_true", help="measure first paints instead")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, _app(Path(scratch)) as (origin, client):
        voice = Path(scratch) / "voice.wav"
        voice.write_bytes(_wav(DATA / SPOKEN))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=[
                    "--no-sandbox",
                    "--use-fake-device-for-media-stream",
                    "--use-fake-ui-for-media-stream",
                    f"--use-file-for-fake-audio-capture={voice}%noloop",
                ],
            )
            if arguments.paint:
                _measure_paints(browser, origin)
            else:
                _take_all(browser, origin, client, arguments.folder)
                _take_allowed(browser, origin, client, arguments.folder)
                with _empty_app(Path(scratch)) as empty:
                    _take_empty(browser, empty, arguments.folder)
            browser.close()
    if arguments.docs:
        for name, where in FOR_DOCS.items():
            picture = Image.open(arguments.folder / f"{name}.png").convert("RGB")
            # Few colours are in them: 64 look the same, in a third of the bytes.
            picture.quantize(64).save(REPOSITORY / "docs" / "images" / f"{where}.png", optimize=True)


def _measure_paints(browser: Browser, origin: str) -> None:
    """First contentful paint in a fresh profile: milliseconds from the click, and how much jumped after it."""
    for path in ("/", "/recordings", "/recordings/last", *PLACES):
        paints, shifts = [], []
        for _ in range(_PAINTS):
            page = _window(browser, origin, "light", WIDTHS["wide"])
            page.add_init_script(_WATCH)
            page.goto(origin + path)
            page.wait_for_load_state("networkidle")
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            shifts.append(page.evaluate("window.shift"))
            page.context.close()
        print(f"{path:18} first paint {statistics.median(paints):4.0f} ms (slowest {max(paints):4.0f}), "
              f"layout shift {max(shifts):.4f}")  # fmt: skip


def _take_all(browser: Browser, origin: str, client: DeviceClient, folder: Path) -> None:
    first = client.recordings(len(HEARD))[-1].recording_id
    pages = {
        "record": "/",
        "recordings": "/recordings",
        "recording": f"/recordings/{first}",
        "donate": "/donate",
        "privacy": "/privacy",
        "ask": "/ask",
        "memory": "/memory",
        "model": "/model",
        "vocabulary": "/vocabulary",
        "quality": "/quality",
        "nowhere": "/nowhere",
    }
    for scheme in ("light", "dark"):
        for width, size in WIDTHS.items():
            page = _window(browser, origin, scheme, size)
            for name, path in pages.items():
                page.goto(origin + path)
                _take(page, folder / f"{name}-{scheme}-{width}.png")
            _change_words(page, origin + pages["recording"])
            _take(page, folder / f"recording-changed-{scheme}-{width}.png")
            for name, (path, button) in DIALOGS.items():
                page.goto(origin + path)
                page.get_by_role("button", name=button).first.click()
                _take(page, folder / f"{name}-{scheme}-{width}.png", is_whole=False)
            if width == "narrow":
                page.goto(origin + "/model")
                page.get_by_role("button", name="More").click()
                _take(page, folder / f"more-{scheme}-{width}.png", is_whole=False)
            _speak(page, origin)
            _take(page, folder / f"record-speaking-{scheme}-{width}.png", is_settled=False, is_whole=False)
            page.context.close()


def _take_allowed(browser: Browser, origin: str, client: DeviceClient, folder: Path) -> None:
    """What there is to see where everything is allowed: a sentence to read, and exactly what was sent."""
    client.grant("voice_donation", "web")
    client.grant("intents", "web")
    client.quality.switch(is_on=True, method="web")
    client.report_health(is_on=True)
    for scheme in ("light", "dark"):
        for width, size in WIDTHS.items():
            page = _window(browser, origin, scheme, size)
            page.goto(origin + "/donate")
            _take(page, folder / f"donate-reading-{scheme}-{width}.png")
            page.goto(origin + "/privacy")
            page.get_by_role("button", name="Exactly what was sent").first.click()
            _take(page, folder / f"privacy-allowed-{scheme}-{width}.png")
            page.context.close()


def _take_empty(browser: Browser, origin: str, folder: Path) -> None:
    for scheme, width in (("light", "wide"), ("dark", "narrow")):
        page = _window(browser, origin, scheme, WIDTHS[width])
        for path in ("/", "/recordings", *PLACES):
            page.goto(origin + path)
            _take(page, folder / f"empty-{path.strip('/') or 'record'}-{scheme}-{width}.png")
        page.context.close()


def _window(browser: Browser, origin: str, scheme: str, size: tuple[int, int]) -> Page:
    wanted: Literal["light", "dark"] = "dark" if scheme == "dark" else "light"
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=wanted)
    page = context.new_page()
    page.goto(f"{origin}/enter?token={TOKEN}")
    page.wait_for_url(f"{origin}/")
    return page


def _change_words(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#words [tabindex='0']").focus()
    page.keyboard.press("Tab")
    page.keyboard.type("Whittemore.")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.press("ArrowRight")


def _speak(page: Page, origin: str) -> None:
    page.goto(origin)
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#text")).to_contain_text("Americans")
    expect(page.locator("#time")).to_have_text("0:04", timeout=30_000)


def _take(page: Page, path: Path, *, is_settled: bool = True, is_whole: bool = True) -> None:
    if is_settled:
        page.wait_for_load_state("networkidle")
    page.screenshot(path=path, animations="disabled")
    if is_whole and page.evaluate("document.documentElement.scrollHeight > innerHeight"):
        size = page.viewport_size
        assert size is not None
        # A window as high as the page: what is fixed to its foot would else stand in the middle of the picture.
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": height})
        page.screenshot(path=path.with_name(f"{path.stem}-whole.png"), animations="disabled")
        page.set_viewport_size(size)


@contextlib.contextmanager
def _app(home: Path) -> Iterator[tuple[str, DeviceClient]]:
    """The app over a home with recordings, corrections and consents, and where it listens."""
    wiring._load_engine = lambda folder, settings: TextEngine(folder)
    with running(FakeServer()) as backend, listening(0) as listener:
        settings = DeviceSettings(
            home=home / "device",
            server=backend.url,
            enrolment_code=ENROLMENT_CODE,
            release_keys=(backend.public_key,),
            release_root=backend.root,
        )
        with wiring.open_client(settings) as client:
            backend.release(text_model(SAID))
            client.update()
            _fill(client)
            backend.release(files_of(tiny_intents(home / "intents")), channel=line_of("intents", "stable"))
            client.update(family="intents")
            _ask(client)
            _offer(backend, client)
            with _served(client, listener) as origin:
                yield origin, client


@contextlib.contextmanager
def _empty_app(home: Path) -> Iterator[str]:
    """The app of somebody who has done nothing yet, and has no server."""
    with (
        listening(0) as listener,
        wiring.open_client(DeviceSettings(home=home / "empty")) as client,
        _served(client, listener) as origin,
    ):
        yield origin


@contextlib.contextmanager
def _served(client: DeviceClient, listener: socket.socket) -> Iterator[str]:
    port = listener.getsockname()[1]
    pages = create_app(client, port=port, token=TOKEN, renew=lambda: TOKEN)
    server = uvicorn.Server(uvicorn.Config(pages, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:  # or nobody sees what went wrong: the thread would keep the process
        server.should_exit = True
        thread.join()


def _ask(client: DeviceClient) -> None:
    """Sentences that were asked, one of them corrected."""
    asked = [client.assist.understand(text).asked for text in ASKED]
    client.assist.correct(asked[-1].ask_id, "music")


def _offer(backend: FakeServer, client: DeviceClient) -> None:
    """A model that was tried on what was corrected, another one on offer; a safety classifier on offer, too."""
    backend.release(text_model(SAID, padding=10), seq=2, version="1.1.0", notes=NOTES)
    client.update()
    newest = NOTES.model_copy(update={"after": "1.1.0", "n_wrong": 8, "n_wrong_before": 10})
    backend.release(text_model(SAID, padding=4_000), seq=3, version="1.2.0", notes=newest)
    backend.release(text_model("guard"), channel=line_of("safety", "stable"), version="1.0.0")
    for family in ("speech", "safety"):
        client.adoptions[family].look_for_newer()


def _fill(client: DeviceClient) -> None:
    client.grant("corrections", "web")
    now, sure = datetime.now(UTC), random.Random(0)
    for number, (folder, line, heard) in enumerate(HEARD):
        row = json.loads((DATA / folder / "manifest.jsonl").read_text().splitlines()[line])
        clip = clips.read_clip(_wav(DATA / folder / row["audio"]))
        texts = heard.split()
        ends = np.cumsum([len(text) + 1 for text in texts]) * (clip.duration_s - 0.5) / (len(heard) + 1) + 0.25
        words = tuple(
            Word(text.lstrip("?"), float(start), float(end), 0.34 if text[0] == "?" else sure.uniform(0.85, 0.99))
            for text, start, end in zip(texts, [0.25, *ends], ends, strict=False)
        )
        kept = client._rooms.recordings.add(
            clip,
            text=" ".join(word.text for word in words),
            model_version="1.0.0",
            recorded_at=now - timedelta(hours=9 * (len(HEARD) - number)),
            words=words,
        )
        if number in CORRECTED:
            client.correct(kept.recording_id, CORRECTED[number])
    for number in range(N_OLDER):
        client._rooms.recordings.add(
            clip,
            text=OLDER[number % len(OLDER)],
            model_version="1.0.0",
            recorded_at=now - timedelta(days=3, hours=5 * number),
        )
    client.sync()
    client.vocabulary.add("Gregson")


def _wav(path: Path) -> bytes:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return encode_wav(to_16k_mono(samples, rate_hz))


if __name__ == "__main__":
    main()
