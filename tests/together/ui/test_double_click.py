"""A slow double click takes away one thing: the list moves up under the pointer before the second click."""

from __future__ import annotations

from playwright.sync_api import Browser, expect
from tests.together.ui.conftest import Running


def test_a_slow_double_click_forgets_one_memory_and_the_keyboard_goes_on_at_once(
    app: Running, browser: Browser
) -> None:
    page = app.open(browser, "/memory")
    app.client.memory.switch(is_on=True)
    for text in ("one", "two", "three", "four"):
        app.client.memory.note(text)
    page.reload()
    bins = page.locator("[data-action=forget]")
    box = bins.first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(x, y)
    expect(bins).to_have_count(3)
    page.mouse.click(x, y)
    page.wait_for_timeout(750)
    expect(bins).to_have_count(3)
    page.mouse.click(x, y)  # by now it is meant
    expect(bins).to_have_count(2)
    bins.first.press("Enter")
    expect(bins).to_have_count(1)
    page.context.close()
