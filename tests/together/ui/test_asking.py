"""Asking what was meant, and correcting it, with the keyboard alone."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect
from tests.fakes.device_intents import files_of, tiny_intents
from tests.together.ui.conftest import Running

from projectone.contracts.releases import line_of


def test_a_sentence_is_asked_corrected_and_taken_back_without_a_pointer(
    app: Running, browser: Browser, tmp_path: Path
) -> None:
    app.backend.release(files_of(tiny_intents(tmp_path / "model")), channel=line_of("intents", "stable"))
    assert app.client.update(family="intents").status == "updated"
    page = app.open(browser, "/ask")
    keys = page.keyboard
    page.get_by_label("Something you could say").focus()
    keys.type("play some music")
    keys.press("Enter")
    row = page.locator(".meaning")
    expect(row.locator(".said")).to_have_text("play some music")
    expect(page.locator("#say")).to_contain_text("It means music")
    expect(page.get_by_label("Something you could say")).to_be_focused()
    for _ in range(5):  # Ask, Forget all, Right, None of these, the field
        keys.press("Tab")
    expect(page.get_by_label("What was meant by: play some music", exact=True)).to_be_focused()
    keys.type("whether")
    keys.press("Enter")
    expect(page.locator(".toast")).to_contain_text("knows no such meaning")
    keys.press("ControlOrMeta+a")
    keys.type("weather")
    keys.press("Enter")
    expect(row).to_contain_text("You meant weather")
    expect(row).to_contain_text("It stays on this device.")
    page.get_by_role("button", name="Take back what you meant by: play some music").focus()
    keys.press("Enter")
    expect(page.get_by_role("button", name="music is right: play some music")).to_be_visible()
    assert app.client.assist.asked("last").meant is None
    page.context.close()
