"""Pages for whoever enlarges them, and for whoever has them read aloud.

A window of 1280 x 860 pixels shows a page at 200 % as one of 640 x 430, at 400 % as one of 320 x 256, where WCAG 2.2
(1.4.10) wants nothing to be cut off and nothing to be scrolled sideways. Larger letters alone (1.4.4) are tried too.
What a screen reader reads is the browser's accessibility tree; no reader itself was listened to.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.fakes.device_rooms import tone
from tests.together.ui.conftest import Running

from projectone.contracts.consent import CONSENT_TEXTS
from projectone.device.clips import read_clip
from projectone.device.heard import Word
from projectone.device.web.context import NAVIGATION

PAGES = [*(item.path for item in NAVIGATION), "/recordings/last", "/nowhere"]
SIZES = {"200 %": (640, 430, 16), "400 %": (320, 256, 16), "letters twice as large": (1280, 860, 32)}
LONG = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"

# What lies outside of the window where nothing scrolls, or is cut off by its own frame: each with its words.
_LOST = r"""() => {
  const lost = [], width = document.documentElement.clientWidth;
  const scrolls = (e) => e && (["auto", "scroll"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const isHidden = (e) => getComputedStyle(e).visibility === "hidden" || !e.getBoundingClientRect().width;
  for (const e of document.querySelectorAll("main *, header *")) {
    if (isHidden(e) || e.closest(".unseen, svg, [popover]:not(:popover-open), canvas, input")) continue;
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    const words = (e.getAttribute("aria-label") || e.textContent || e.tagName).trim().replace(/\s+/g, " ");
    if ((box.right > width + 1 || box.left < -1) && !scrolls(e.parentElement)) lost.push("off: " + words.slice(0, 40));
    const isFramed = ["hidden", "clip"].includes(style.overflowX) || e.matches("a, button");
    const isCut = isFramed && e.scrollWidth > e.clientWidth + 1 && style.display !== "inline";
    if (isCut) lost.push("cut: " + words.slice(0, 40));
  }
  return [...new Set(lost)];
}"""
_HEADINGS = "[...document.querySelectorAll('main :is(h1, h2, h3, h4)')].map((e) => Number(e.tagName[1]))"
_COVERED = """() => {
  const box = document.activeElement.getBoundingClientRect();
  const found = document.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height, 44) / 2);
  const isOurs = !found || found.closest("nav") === null || document.activeElement.closest("nav") !== null;
  return isOurs ? null : document.activeElement.outerHTML.slice(0, 80);
}"""


@pytest.fixture(scope="module", autouse=True)
def _a_recording(app: Running) -> None:
    app.client.grant("corrections", "web")
    words = (Word(LONG, 0.0, 0.2, 0.3), Word("two", 0.2, 0.5, 0.9))
    for pitch_hz in (440.0, 550.0):
        kept = app.client._rooms.recordings.add(
            read_clip(tone(0.5, pitch_hz=pitch_hz)),
            text=f"{LONG} two",
            model_version="1.0.0",
            recorded_at=datetime(2026, 11, 20, 15, 34, tzinfo=UTC),
            words=words,
        )
    app.client.correct(kept.recording_id, f"{LONG}, two")
    app.client.sync()


@pytest.fixture(scope="module")
def page(app: Running, browser: Browser) -> Iterator[Page]:
    opened = app.open(browser)
    yield opened
    opened.context.close()


def enlarge(page: Page, size: str) -> None:
    width, height, root_px = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate(f"document.documentElement.style.fontSize = '{root_px}px'")
    # The page answers to a new size with its next frame, and some of it moves there.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.evaluate("Promise.all(document.getAnimations().map((moving) => moving.finished.catch(() => null)))")


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_lost_on_a_page_that_is_enlarged(app: Running, page: Page, size: str) -> None:
    found: dict[str, Any] = {}
    for path in PAGES:
        page.goto(app.origin + path)
        enlarge(page, size)
        lost = page.evaluate(_LOST)
        if page.evaluate("document.documentElement.scrollWidth") > SIZES[size][0]:
            lost.append("the page scrolls sideways")
        if lost:
            found[path] = lost
    assert found == {}


def test_what_is_lost_would_be_found(app: Running, page: Page) -> None:
    """The control: the same question about pages that were made worse."""
    page.goto(app.origin)
    enlarge(page, "400 %")
    page.evaluate("document.querySelector('.lead').style.whiteSpace = 'nowrap'")
    assert page.evaluate(_LOST) and page.evaluate("document.documentElement.scrollWidth") > 320
    page.goto(app.origin + "/recordings/last")
    enlarge(page, "400 %")
    page.evaluate("document.querySelector('#words').style.overflowWrap = 'normal'")
    page.evaluate("document.querySelector('#words').style.overflowX = 'hidden'")
    assert [item for item in page.evaluate(_LOST) if item.startswith(("cut: Llanfair", "off: Llanfair"))]


def test_what_has_the_focus_is_not_under_what_stays_in_place(app: Running, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 700})
    page.goto(app.origin + "/privacy")
    covered = []
    for _ in range(30):
        page.keyboard.press("Tab")
        covered.append(page.evaluate(_COVERED))
    assert [item for item in covered if item] == []


def test_headings_are_read_in_order_and_each_page_has_one_name(app: Running, page: Page) -> None:
    for path in PAGES:
        page.goto(app.origin + path)
        levels = page.evaluate(_HEADINGS)
        assert levels[0] == 1 and levels.count(1) == 1, path
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (path, levels)


def test_a_recording_in_the_list_is_read_with_what_its_numbers_are(app: Running, page: Page) -> None:
    page.goto(app.origin + "/recordings")
    link = page.get_by_role("link", name=f"{LONG}, two")
    expect(link).to_have_accessible_name(f"{LONG}, two . Said at 15:34 , length 0:00 . corrected . sent .")


def test_a_recording_is_read_word_by_word_with_the_doubt_and_then_what_can_be_done(app: Running, page: Page) -> None:
    page.goto(app.origin + "/recordings")
    page.get_by_role("link", name=f"{LONG} two").click()
    expect(page.locator("main")).to_match_aria_snapshot(f"""
      - heading "Friday 20 November, 15:34" [level=1]
      - region "Sound":
        - button "Play"
        - slider "Place in the recording"
      - region "Text":
        - listbox "What was heard, word by word":
          - option "{LONG}, the model was not sure"
          - option "two"
        - button "Next unsure word (1)"
        - button "Hear"
        - button "Change"
        - button "Delete"
        - button "Undo"
      - region "Keep":
        - checkbox "Somebody else can be heard. Then it is never trained on."
        - button "It is right as it is"
    """)


def test_a_consent_is_read_with_its_state_and_its_day(app: Running, page: Page) -> None:
    page.goto(app.origin + "/privacy")
    switch = page.get_by_role("switch", name="Learn from my corrections")
    expect(switch).to_be_checked()
    expect(switch).to_have_accessible_description(CONSENT_TEXTS["corrections"].text)
    expect(page.get_by_role("article", name="Learn from my corrections")).to_contain_text("since 21 November 2026")


def test_what_a_button_did_is_said(app: Running, page: Page) -> None:
    page.goto(app.origin + "/recordings")
    page.get_by_role("link", name=f"{LONG}, two").click()
    page.get_by_role("button", name="Take correction back").click()
    dialog = page.get_by_role("dialog", name="Take the correction back?")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Take back").click()
    expect(page.locator("#say[aria-live=polite]")).to_have_text("Taken back.")
