"""One recording: heard word by word, and corrected without a mouse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.together.ui.conftest import Running, asks_before_leaving

from projectone.device.clips import read_clip
from projectone.device.heard import Word
from projectone.device.recordings import Recording

HEARD = ("Aurora", "of", "danger", "trail", "Phil", "Steals", "et", "cetera")
UNSURE = ("Aurora", "Phil")


@pytest.fixture
def recording(app: Running, voice: Path) -> Recording:
    clip = read_clip(voice.read_bytes())
    step = clip.duration_s / len(HEARD)
    words = tuple(Word(text, i * step, (i + 1) * step, 0.3 if text in UNSURE else 0.97) for i, text in enumerate(HEARD))
    return app.client._rooms.recordings.add(
        clip, text=" ".join(HEARD), model_version="1.0.0", recorded_at=datetime.now(UTC), words=words
    )


@pytest.fixture
def page(app: Running, browser: Browser, recording: Recording) -> Iterator[Page]:
    opened = app.open(browser, f"/recordings/{recording.recording_id}")
    expect(opened.locator("#next-doubt")).to_have_text("Next unsure word (2)")
    yield opened
    opened.context.close()


def now(page: Page) -> str:
    return " ".join(page.locator("#words").inner_text().split())


def kept(app: Running, recording: Recording) -> str | None:
    return app.client.recording(recording.recording_id).corrected_text


def test_a_recording_is_corrected_with_the_keyboard_alone(app: Running, page: Page, recording: Recording) -> None:
    keys = page.keyboard
    page.locator("#words [tabindex='0']").focus()
    keys.type("Author")  # instead of Aurora
    assert asks_before_leaving(page), "a word that is being written is work, too"
    keys.press("Tab")  # to Phil, the next that the model was not sure of
    expect(page.get_by_role("option", name="Phil, the model was not sure")).to_be_focused()
    keys.type("Philip")
    keys.press("Enter")
    keys.press("ArrowRight")
    keys.type("Steels")
    keys.press("Enter")
    keys.press("ArrowRight")
    keys.press("Enter")  # et: a comma, and joined with what follows
    keys.press("End")
    keys.press("Delete")
    keys.press("Enter")
    assert now(page) == "Author of danger trail Philip Steels etcetera"
    keys.press("Home")
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    keys.type("the danger")  # a blank makes two words of one
    keys.press("Enter")
    keys.press("End")
    keys.press("Backspace")
    assert now(page) == "Author of the danger trail Philip Steels"
    expect(page.get_by_role("option", name="Steels")).to_be_focused()
    keys.press("Control+z")
    assert now(page) == "Author of the danger trail Philip Steels etcetera"
    assert page.locator("#diff del").all_inner_texts() == ["Aurora", "Phil Steals et cetera"]
    keys.press("Control+Enter")
    expect(page.locator("#fate")).to_have_text("Your correction is kept on this device, and is not sent.")
    assert kept(app, recording) == "Author of the danger trail Philip Steels etcetera"
    page.reload()
    expect(page.locator("#save")).to_have_text("Saved")
    assert now(page) == "Author of the danger trail Philip Steels etcetera"


def test_saving_can_be_undone_from_the_note_and_nothing_newer_goes_by_that(
    app: Running, page: Page, recording: Recording
) -> None:
    page.get_by_role("option").nth(1).click()
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    assert kept(app, recording) == "Aurora danger trail Phil Steals et cetera"
    page.get_by_role("option", name="Steals").click()
    page.keyboard.press("Delete")  # and is not saved
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator("#fate")).to_have_text("This stays on this device.")
    assert kept(app, recording) is None
    page.get_by_role("button", name="Undo", exact=True).click()
    assert now(page) == "Aurora danger trail Phil et cetera"
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    app.client.correct(recording.recording_id, "Author of the danger trail")  # in another window
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("in another window")).to_be_visible()
    assert kept(app, recording) == "Author of the danger trail"


# Resolves when the sound stops: from where to where it was played, and the words that were marked meanwhile.
_LISTEN = """() => { window.heard = new Promise((resolve) => {
    const marked = [], play = HTMLMediaElement.prototype.play;
    new MutationObserver((changes) => changes.forEach(({ target }) => {
        if (target.classList.contains("is-playing")) marked.push(target.textContent); }))
        .observe(document.getElementById("words"), { subtree: true, attributeFilter: ["class"] });
    HTMLMediaElement.prototype.play = function () {
        const from = this.currentTime;
        this.addEventListener("pause", () => resolve([from, this.currentTime, marked]), { once: true });
        return play.call(this); }; }); }"""


def test_a_word_that_is_clicked_is_heard_alone_and_marked_while_it_is(
    app: Running, page: Page, recording: Recording
) -> None:
    page.evaluate(_LISTEN)
    page.get_by_role("option", name="trail").click()
    start, end, marked = page.evaluate("window.heard")
    word = app.client.recording(recording.recording_id).words[3]
    assert start == pytest.approx(word.start_s - 0.04, abs=0.02)
    assert end > word.end_s
    assert "trail" in marked
    expect(page.locator(".is-playing")).to_have_count(0)


def test_the_text_can_be_written_as_a_whole_and_keeps_its_times(page: Page) -> None:
    page.get_by_role("button", name="Plain text").click()
    page.get_by_label("What was said, as plain text").fill("Author of the danger trail, Philip Steels, et cetera")
    page.get_by_role("button", name="Plain text").click()
    assert now(page) == "Author of the danger trail, Philip Steels, et cetera"
    assert page.locator("#diff ins").all_inner_texts() == ["Author", "the", "Philip Steels,"]


def test_the_keys_are_told(page: Page) -> None:
    page.locator("#words [tabindex='0']").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
