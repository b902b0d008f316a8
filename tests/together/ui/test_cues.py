"""The sounds of the app in a browser: silent until they are wanted, and where the system asks for calm."""

from __future__ import annotations

from playwright.sync_api import Browser, Page
from tests.together.ui.conftest import Running

# What a page plays is written down on its root, where a selector finds it.
_LISTEN = """const Real = window.Audio;
const note = (kind, address) => { document.documentElement.dataset[kind] = address; };
window.Audio = function (address) {
  const sound = new Real(address);
  if (address) {
    sound.addEventListener("playing", () => note("played", address));
    sound.addEventListener("error", () => note("failed", address));
  }
  return sound;
};"""


def page_of(app: Running, browser: Browser, motion: str) -> Page:
    context = browser.new_context(reduced_motion="reduce" if motion == "reduce" else "no-preference")
    context.add_init_script(_LISTEN)
    return app.page_in(context, "/vocabulary")


def complain(page: Page) -> None:
    page.evaluate(
        """() => import(document.querySelector('script[src*="shell.js"]').src.replace("shell.js", "say.js"))
        .then(({ complain }) => complain(Object.assign(new Error("no"), { status: 422 })))"""
    )


def test_the_switch_of_the_frame_lets_the_app_be_heard_and_silences_it(app: Running, browser: Browser) -> None:
    page = page_of(app, browser, "no-preference")
    assert page.locator("#cues").get_attribute("aria-pressed") == "false"
    complain(page)
    page.wait_for_selector(".toast")
    assert page.locator("html[data-played]").count() == 0
    page.click("#cues")
    page.wait_for_selector('html[data-played="/api/cues/sent"]')
    page.reload()
    assert page.locator("#cues").get_attribute("aria-pressed") == "true"
    complain(page)
    page.wait_for_selector('html[data-played="/api/cues/mistake"]')
    assert page.locator("html[data-failed]").count() == 0
    page.click("#cues")
    page.wait_for_selector("#cues[aria-pressed=false]")
    assert app.client.cues.is_on is False
    page.context.close()


def test_who_asks_the_system_for_calm_hears_nothing(app: Running, browser: Browser) -> None:
    app.client.cues.switch(is_on=True)
    page = page_of(app, browser, "reduce")
    assert "less motion" in (page.locator("#cues").get_attribute("title") or "")
    complain(page)
    page.wait_for_selector(".toast")
    assert page.locator("html[data-played]").count() == 0
    app.client.cues.switch(is_on=False)
    page.context.close()
