"""The app ended while its page is open: what a person presses then changes nothing, and the page says so."""

from __future__ import annotations

from playwright.sync_api import Browser, expect
from tests.together.ui.conftest import Running


def test_a_consent_that_could_not_be_withdrawn_stays_on_and_says_so_beside_it(app: Running, browser: Browser) -> None:
    page = app.open(browser, "/privacy")
    purpose = page.locator("#purpose-corrections")
    purpose.get_by_label("an adult").check()
    purpose.get_by_role("switch").click()
    expect(page.locator("#outcome")).to_contain_text("It is on.")
    page.route("**/*", lambda route: route.abort())
    purpose.get_by_role("switch").click()
    expect(page.locator("#purpose-corrections + #outcome")).to_contain_text("It is still on. The app on this machine")
    expect(purpose.get_by_role("switch")).to_be_checked()

    page.unroute("**/*")
    page.route(f"{app.origin}/privacy", lambda route: route.abort())  # taken back, but the page is not drawn anew
    purpose.get_by_role("switch").click()
    expect(page.locator("#toasts")).to_contain_text("does not answer")
    expect(purpose.get_by_role("switch")).not_to_be_checked()
    assert app.client.consents()["corrections"] is None
    page.context.close()


def test_a_look_for_a_model_that_nobody_answers_says_so_and_leaves_its_buttons_usable(
    app: Running, browser: Browser
) -> None:
    page = app.open(browser, "/model")
    page.route("**/*", lambda route: route.abort())
    page.locator("#look").click()
    expect(page.locator("#outcome")).to_contain_text("does not answer")
    expect(page.locator("#update-progress")).to_be_hidden()
    expect(page.locator("[data-action]:disabled")).to_have_count(0)
    page.unroute("**/*")
    page.locator("#look").click()
    expect(page.locator("#outcome")).not_to_contain_text("does not answer")
    page.context.close()
