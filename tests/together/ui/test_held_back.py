"""An answer that was held back: its person says that it is harmless, by keyboard, and takes it back again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.fakes.device_intents import files_of, tiny_intents
from tests.together.ui.conftest import Running
from tests.together.ui.test_every_page import _findings
from tests.unit.device.assistant.test_guard import LINE, RUDE, tiny_guard
from tests.unit.device.test_replies import write

from projectone.assist import usual_encoder
from projectone.assist.embeddings import HashingEmbedder
from projectone.contracts.releases import line_of

HELD_BACK = "I do not answer that."


@pytest.fixture
def page(app: Running, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setattr(usual_encoder, "weights_folder", lambda: None)
    monkeypatch.setattr(usual_encoder, "_encoder", lambda: HashingEmbedder(usual_encoder.WIDTH))
    app.backend.release(files_of(tiny_intents(tmp_path / "intents")), channel=line_of("intents", "stable"))
    app.backend.release(tiny_guard(tmp_path / "guard"), channel=LINE)
    for family in ("intents", "safety"):
        assert app.client.update(family=family).status == "updated"
    app.client.replies.install(write(app.backend, tmp_path / "set.json", 1))
    opened = app.open(browser, "/ask")
    yield opened
    opened.context.close()


def _is_usable(page: Page) -> bool:
    found: dict[str, Any] = {}
    for scheme, width in (("light", 1280), ("dark", 1280), ("narrow", 390)):
        page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
        page.set_viewport_size({"width": width, "height": 860})
        found |= _findings(page, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1280, "height": 860})
    assert found == {}
    return True


def test_a_false_alarm_is_said_undone_said_again_and_taken_back_without_a_pointer(app: Running, page: Page) -> None:
    keys, field = page.keyboard, page.get_by_label("Something you could say")
    outcome, listed = page.locator("#outcome"), page.get_by_role("region", name="What you said is harmless")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    field.focus()
    keys.type(RUDE)
    keys.press("Enter")
    expect(outcome).to_contain_text(HELD_BACK)
    expect(page.locator("#say")).to_contain_text(HELD_BACK)
    for _ in range(2):  # Ask, then what can be said of the answer
        keys.press("Tab")
    expect(page.get_by_role("button", name=f"It is harmless: {RUDE}")).to_be_focused()
    assert _is_usable(page)
    keys.press("Enter")
    expect(listed).to_contain_text(RUDE)
    expect(listed).to_contain_text("answered from now on, on this device alone; nothing of it is sent.")
    expect(outcome).to_have_count(0)
    expect(field).to_be_focused()
    assert _is_usable(page)

    toast = page.locator(".toast")
    expect(toast).to_contain_text("Answered from now on, on this device alone; nothing of it is sent.")
    toast.get_by_role("button", name="Undo").press("Enter")
    expect(toast).to_contain_text("Taken back. It is warned of again.")
    expect(listed).to_have_count(0)
    assert app.client.harmless.listed() == []

    field.press("Enter")  # the sentence stands there to be asked again
    expect(outcome).to_contain_text(HELD_BACK)
    page.get_by_role("button", name=f"It is harmless: {RUDE}").press("Enter")
    expect(field).to_have_value(RUDE)
    field.press("Enter")
    expect(outcome).not_to_contain_text(HELD_BACK)
    expect(page.get_by_role("button", name=f"It is harmless: {RUDE}")).to_have_count(0)
    listed.get_by_role("button", name=f"Take back that this is harmless: {RUDE}").press("Enter")
    expect(listed).to_have_count(0)
    assert app.client.harmless.listed() == []
    assert complaints == []
