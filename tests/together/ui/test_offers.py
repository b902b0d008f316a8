"""A newer model is shown with what is new in it before it is taken: by keyboard alone, light, dark and narrow."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from tests.fakes.device_rooms import text_model
from tests.together.ui.conftest import Running

from projectone.contracts.endpoints import RELEASES
from projectone.contracts.releases import ReleaseNotes

NOTES = ReleaseNotes(after="1.0.0", n_samples=40, n_new_samples=12, n_words=200, n_wrong=10, n_wrong_before=30)
TOLD = "Of 200 words that are kept for testing it gets 5.0 % wrong; model 1.0.0 got 15.0 % wrong."


def findings(page: Page) -> list[str]:
    page.evaluate("Promise.all(document.getAnimations().map((moving) => moving.finished.catch(() => null)))")
    found = Axe().run(page).response["violations"]
    return [item["id"] for item in found if item["impact"] in ("serious", "critical")]


def test_what_is_new_is_read_before_anything_is_fetched(app: Running, browser: Browser) -> None:
    page = app.open(browser, "/model")
    page.get_by_role("button", name="Look for a newer one").first.press("Enter")
    expect(page.locator("#outcome")).to_contain_text("Model 1.0.0 is the newest there is.")
    app.backend.release(text_model("more", padding=4_000), seq=2, version="1.1.0", notes=NOTES)
    had = app.backend.asked("GET", RELEASES)

    page.get_by_role("button", name="Look for a newer one").first.press("Enter")
    offer = page.get_by_role("region", name="What is new in 1.1.0")
    expect(offer).to_contain_text(TOLD)
    expect(offer).to_contain_text("1.0 MB to fetch: the whole model.")
    expect(page.locator("#say")).to_have_text("Model 1.1.0 is offered.")
    expect(page.locator("#look")).to_be_focused()
    assert app.backend.asked("GET", RELEASES) == had
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 390), ("light", 390)):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 860})
        assert findings(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.reload()
    expect(offer).to_contain_text(TOLD)
    offer.get_by_role("button", name="Update now").press("Enter")
    expect(page.get_by_role("heading", name="Model 1.1.0")).to_be_visible()
    expect(page.get_by_role("region", name="What is new in 1.1.0")).to_have_count(1)
    expect(page.get_by_role("button", name="Update now")).to_have_count(0)
    page.context.close()


def test_a_server_out_of_reach_is_said_and_the_model_stays(app: Running, browser: Browser) -> None:
    page = app.open(browser, "/model")
    app.backend.faults.answer = lambda method, path: (503, "closed")
    try:
        page.locator("#look").press("Enter")
        expect(page.locator("#outcome")).to_contain_text("The server cannot be reached; the model in use stays.")
    finally:
        app.backend.faults.answer = lambda method, path: None
    assert app.client.status().model_version in ("1.0.0", "1.1.0")
    page.context.close()
