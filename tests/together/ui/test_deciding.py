"""The pages where a person decides, used by keyboard and pointer: donating, consent, deletion, the list of terms."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect
from tests.fakes.device_rooms import tone
from tests.together.ui.conftest import Running

PAGES = ("/donate", "/privacy", "/model", "/vocabulary", "/quality")


def test_a_sentence_is_read_listened_to_and_kept_with_the_keyboard_alone(app: Running, browser: Browser) -> None:
    page = app.open(browser, "/donate")
    page.get_by_role("switch").press("Space")
    expect(page.locator("#outcome")).to_contain_text("whether you are an adult")
    page.keyboard.press("Space")  # the focus is on "an adult"
    page.get_by_role("switch").press("Space")
    stage, sentence = page.locator("#stage"), page.locator("#sentence")
    expect(stage).to_have_attribute("data-state", "off")
    first = sentence.inner_text()
    page.keyboard.press("Space")
    expect(stage).to_have_attribute("data-state", "ready")
    page.keyboard.press("Space")
    expect(stage).to_have_attribute("data-state", "recording")
    page.keyboard.press("Space")  # long before anybody can have read it
    expect(stage).to_have_attribute("data-state", "review")
    expect(page.locator("#finding .is-warn")).to_be_visible()
    expect(page.locator("#primary")).to_have_text("Keep it anyway")
    page.keyboard.press("Enter")
    expect(sentence).not_to_have_text(first)
    expect(page.locator("#today")).to_contain_text("1 of 10 today")
    assert app.client.given.donations().n == 1
    second = sentence.inner_text()
    page.keyboard.press("s")
    expect(sentence).not_to_have_text(second)
    page.get_by_role("button", name="Take the last one back").click()
    expect(page.locator("#toasts")).to_contain_text("never left this device")
    assert app.client.given.donations().n == 0
    page.context.close()


def test_what_was_sent_is_read_deleted_and_a_withdrawal_is_signed(app: Running, browser: Browser) -> None:
    page = app.open(browser, "/privacy")
    purpose = page.locator("#purpose-corrections")
    purpose.get_by_label("an adult").check()
    purpose.get_by_role("switch").click()
    expect(page.locator("#outcome")).to_contain_text("It is on.")
    for n, text in enumerate(("one two three", "four five six")):
        app.client.correct(app.client.transcribe(tone(pitch_hz=500 + 50 * n)).recording_id, text)
    page.reload()
    page.get_by_role("button", name="Send now").click()
    expect(page.locator("#toasts")).to_contain_text("2 things sent")  # a sentence without sound is no recording
    expect(page.locator(".departure")).to_have_count(2)
    page.get_by_role("button", name="Exactly what was sent: four five six").click()
    expect(page.locator("pre")).to_contain_text('"text": "four five six"')
    page.get_by_role("button", name="Delete: four five six").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#outcome")).to_contain_text("The server deleted it.")
    expect(page.locator(".departure").first).to_contain_text("Deleted on the server")
    assert [correction.text for correction, _ in app.backend.samples.values()] == ["one two three"]
    purpose.get_by_role("switch").click()
    expect(page.locator("#outcome")).to_contain_text("The server erased 1 and signed for it.")
    expect(page.locator("#erased")).to_contain_text("Signature holds")
    assert app.backend.samples == {}
    page.context.close()


def test_a_term_is_added_found_and_had_back_after_it_was_removed(app: Running, browser: Browser) -> None:
    page = app.open(browser, "/vocabulary")
    for term in ("Nguyễn", "Oluwaseun"):
        page.get_by_label("A name or word as it is written").fill(term)
        page.keyboard.press("Enter")
        expect(page.locator("#toasts")).to_contain_text(f"{term} is on the list.")
    page.get_by_role("searchbox").fill("nguyen")
    expect(page.locator(".term:visible")).to_have_count(1)
    page.get_by_role("button", name="Remove Nguyễn").click()
    expect(page.locator(".term")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".term")).to_have_count(2)
    page.get_by_role("searchbox").fill("")
    page.get_by_role("switch", name="Use Oluwaseun").click()
    expect(page.locator(".term.is-off")).to_have_count(1)
    assert app.client.vocabulary.active() == ("Nguyễn",)
    page.context.close()


def test_nobody_is_kept_from_deciding_where_there_is_something_to_decide(app: Running, browser: Browser) -> None:
    width = 390  # test_every_page.py asks all three ways, of pages that are nearly empty
    page = app.open(browser, scheme="dark", width=width)
    found = {}
    for path in PAGES:
        page.goto(app.origin + path)
        found[path] = [
            (violation["id"], violation["nodes"][0]["target"]) for violation in Axe().run(page).response["violations"]
        ]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert found == {path: [] for path in PAGES}
    page.context.close()
