"""What holds for every page: anybody can use it, nothing in it complains, and no other website reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from tests.fakes.device_rooms import tone
from tests.together.ui.conftest import Running

from projectone.device.clips import read_clip
from projectone.device.heard import Word
from projectone.device.web.context import NAVIGATION

PAGES = [*(item.path for item in NAVIGATION), "/recordings/last", "/nowhere"]
_SERIOUS = ("serious", "critical")
# Asked for light, dark and narrow; what does not depend on colours or width is asked for once.
_RULES = {
    "light": {},
    "dark": {"runOnly": ["color-contrast"]},
    "narrow": {"runOnly": ["color-contrast", "target-size"]},
}

_WATCH = """window.shift = 0; new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shift += entry.value; })
    .observe({ type: "layout-shift", buffered: true });"""


@pytest.fixture(scope="module", autouse=True)
def _a_recording(app: Running) -> None:
    words = (Word("one", 0.0, 0.2, 0.3), Word("two", 0.2, 0.5, 0.9))
    kept = app.client._rooms.recordings.add(
        read_clip(tone(0.5)), text="one two", model_version="1.0.0", recorded_at=datetime.now(UTC), words=words
    )
    app.client.correct(kept.recording_id, "one, two")
    app.client._rooms.recordings.add(
        read_clip(tone(0.6)), text="one two", model_version="1.0.0", recorded_at=datetime.now(UTC), words=words
    )


@pytest.fixture(scope="module")
def page(app: Running, browser: Browser) -> Iterator[Page]:
    opened = app.open(browser)
    opened.add_init_script(_WATCH)
    yield opened
    opened.context.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_usable_by_everybody_and_complains_of_nothing(app: Running, page: Page, path: str) -> None:
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text) if message.type == "error" and "status of 404" not in message.text else None
        ),
    )
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 860})
    page.goto(app.origin + path)
    found = _findings(page, "light")
    assert page.evaluate("window.shift") < 0.01  # nothing jumps away under the pointer
    page.emulate_media(color_scheme="dark")
    found |= _findings(page, "dark")
    page.set_viewport_size({"width": 390, "height": 844})
    found |= _findings(page, "narrow")
    assert found == {}
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []


def test_what_nobody_could_use_would_be_found(app: Running, page: Page) -> None:
    """The control: the same question about a page that was made worse."""
    page.emulate_media(color_scheme="light")
    page.goto(app.origin)
    page.evaluate("document.querySelector('.lead').style.color = '#cccccc'")
    page.evaluate("document.getElementById('theme').removeAttribute('aria-label')")
    page.evaluate("document.getElementById('theme').removeAttribute('title')")
    assert set(_findings(page, "light")) == {"light: color-contrast", "light: button-name"}


def _findings(page: Page, scheme: str) -> dict[str, Any]:
    # Colours that are on their way from light to dark are nobody's to judge.
    # A change of colours may cancel what moves: it is at its end then, too.
    page.evaluate("Promise.all(document.getAnimations().map((moving) => moving.finished.catch(() => null)))")
    result = Axe().run(page, options=_RULES[scheme])
    return {
        f"{scheme}: {item['id']}": [node["html"][:200] for node in item["nodes"]]
        for item in result.response["violations"]
        if item["impact"] in _SERIOUS
    }
