"""Two hundred recordings, and as many memories: a page at a time, in Chromium, in a narrow window, by keyboard too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.fakes.device_rooms import tone
from tests.together.ui.conftest import Running
from tests.together.ui.test_every_page import _findings

from projectone.device.clips import read_clip

N = 200
ON_A_PAGE = 30


@pytest.fixture(scope="module", autouse=True)
def _recordings(app: Running) -> None:
    clip, now = read_clip(tone(0.3)), datetime.now(UTC)
    for number in range(N, 0, -1):
        app.client._rooms.recordings.add(
            clip, text=f"sentence {number}", model_version="1.0.0", recorded_at=now - timedelta(hours=number)
        )


@pytest.fixture
def page(app: Running, browser: Browser) -> Iterator[Page]:
    opened = app.open(browser)
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.goto(app.origin + "/recordings")
    yield opened
    opened.context.close()


def test_the_list_is_short_and_the_rest_is_a_few_keys_away(page: Page) -> None:
    rows = page.locator(".recording-row")
    expect(rows).to_have_count(ON_A_PAGE)
    assert page.evaluate("document.documentElement.scrollHeight") < 5_000
    rows.last.focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Earlier")).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows.first).to_contain_text(f"sentence {ON_A_PAGE + 1}")
    pages = page.get_by_role("navigation", name="Recordings, page by page")
    expect(pages).to_contain_text(f"{ON_A_PAGE + 1} to {2 * ON_A_PAGE} of {N}, the newest first")
    page.keyboard.press("Tab")  # reading goes on at the list, not at the top of the window
    expect(rows.first).to_be_focused()
    assert _findings(page, "light") == {}


def test_who_comes_back_from_a_recording_finds_the_list_where_it_was(page: Page) -> None:
    page.get_by_role("link", name="Earlier").click()
    page.get_by_role("link", name="sentence 45").click()
    expect(page.get_by_role("region", name="Sound")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name="sentence 45")).to_be_visible()


def test_words_are_looked_for_among_all_of_them_whatever_page_is_shown(page: Page) -> None:
    page.get_by_role("link", name="Earlier").click()
    expect(page.get_by_role("link", name="sentence 45")).to_be_visible()
    page.get_by_role("searchbox", name="Words that were said").fill(f"sentence {N}")
    expect(page.locator(".recording-row")).to_have_count(1)
    expect(page.locator("#say")).to_have_text("1 recording")
    assert "skip" not in page.url
    page.get_by_role("searchbox", name="Words that were said").fill("sentence")
    expect(page.locator("#say")).to_have_text(f"Recordings 1 to {ON_A_PAGE}, and there are more")
    expect(page.get_by_role("link", name="sentence 1 ").first).to_be_visible()


def test_memories_come_a_page_at_a_time_and_are_found_while_words_are_typed(app: Running, page: Page) -> None:
    app.client.memory.switch(is_on=True)
    for number in range(N):
        app.client.memory.note(f"box {number} holds tea")
    page.goto(app.origin + "/memory")
    rows = page.locator("#found .term")
    expect(rows).to_have_count(ON_A_PAGE)
    rows.last.get_by_role("button").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    pages = page.get_by_role("navigation", name="Memories, page by page")
    expect(pages).to_contain_text(f"{ON_A_PAGE + 1} to {2 * ON_A_PAGE} of {N}, the newest first")
    page.keyboard.press("Tab")  # reading goes on at the list
    expect(rows.first.get_by_role("button")).to_be_focused()
    assert _findings(page, "light") == {}
    page.get_by_role("searchbox").fill("box 7")
    expect(rows.first).to_contain_text("box 197")
    expect(page.locator("#say")).to_contain_text("Memories 1 to 30, and there are more")
    assert "skip" not in page.url
    rows.first.get_by_role("button").click()  # the form is made anew with its page, and goes on listening
    expect(page.locator(".toast")).to_contain_text("Forgotten")
    page.get_by_role("searchbox").fill("box 139 holds")
    expect(rows.first).to_contain_text("box 139 holds")
