"""Speaking to the Record page."""

from __future__ import annotations

import wave
from pathlib import Path
from queue import Queue

import numpy as np
from playwright.sync_api import Browser, Page, Request, Route, expect
from tests.fakes.device_rooms import tone
from tests.together.ui.conftest import SAID, Running, asks_before_leaving

from projectone.waveform.wav import parse_wav


def begin(page: Page) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#recorder")).to_have_attribute("data-state", "recording")


def wait_for_seconds(page: Page, seconds: int) -> None:
    expect(page.locator("#time")).to_have_text(f"0:{seconds:02d}")


def expect_text(page: Page) -> None:
    expect(page.locator("#recorder")).to_have_attribute("data-state", "done")
    expect(page.locator("#stable")).to_have_text(SAID)


def hold(page: Page, pattern: str) -> Queue[Route]:
    """Requests that go on only when the test says so."""
    held: Queue[Route] = Queue()
    page.route(pattern, lambda route: held.put(route))
    return held


def next_of(held: Queue[Route], page: Page) -> Route:
    """The next one that is held; only while the page is asked something do they come in."""
    for _ in range(500):
        if not held.empty():
            break
        page.wait_for_timeout(20)
    return held.get_nowait()


def likeness(kept: bytes, said: bytes) -> float:
    """How alike a half second that was kept and the best place in what was said are, 1 for the same; the median.

    In pieces, because a busy machine may lose some of the sound before a browser has it.
    """
    ours, theirs = (parse_wav(wav).samples[:, 0] for wav in (kept, said))
    found = []
    for start in range(0, ours.size - 7_999, 8_000):
        piece = ours[start : start + 8_000]
        crossed = np.correlate(theirs, piece, "valid")
        energy = np.convolve(theirs**2, np.ones(piece.size), "valid") * (piece @ piece)
        found.append(float(np.max(crossed / np.sqrt(energy + 1e-9))))
    return float(np.median(found))


def test_what_is_spoken_is_seen_while_it_is_spoken_and_kept_as_it_was_said(
    app: Running, browser: Browser, voice: Path
) -> None:
    page = app.open(browser)
    begin(page)
    expect(page.locator("#text")).to_contain_text("fellow Americans")
    wait_for_seconds(page, 2)
    page.get_by_role("button", name="Stop and write it down").click()
    expect_text(page)
    recording = app.client.recordings()[0]
    expect(page.get_by_role("link", name="Look at it")).to_have_attribute(
        "href", f"/recordings/{recording.recording_id}"
    )
    assert page.locator("#latest-box li").first.inner_text().startswith(SAID)
    assert likeness(app.client.library.sound(recording.recording_id), voice.read_bytes()) > 0.7
    assert likeness(tone(2), voice.read_bytes()) < 0.4
    page.context.close()


def test_a_pause_is_left_out(app: Running, browser: Browser) -> None:
    page = app.open(browser)
    begin(page)
    wait_for_seconds(page, 1)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#recorder")).to_have_attribute("data-state", "paused")
    held = page.locator("#time").inner_text()
    page.wait_for_timeout(600)
    assert page.locator("#time").inner_text() == held
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#recorder")).to_have_attribute("data-state", "recording")
    page.get_by_role("button", name="Stop and write it down").click()
    expect_text(page)
    assert app.client.recordings()[0].duration_s > 0.9
    page.context.close()


def _is_piece(sent: Request) -> bool:
    return sent.method == "PUT" and bool(sent.post_data_buffer)


def test_what_is_said_after_another_window_took_a_paused_recording_is_one_of_its_own(
    app: Running, browser: Browser
) -> None:
    page = app.open(browser)
    page.clock.install()
    n_before = len(app.client.recordings())
    with page.expect_response("**/api/live") as begun, page.expect_request_finished(_is_piece):
        begin(page)
    live_id = begun.value.json()["live_id"]
    page.get_by_role("button", name="Pause").click()
    with page.expect_request(lambda sent: sent.method == "PUT" and not sent.post_data_buffer) as still_here:
        for _ in range(3):  # the last piece before the pause may be under way yet
            page.clock.fast_forward(11_000)
            page.wait_for_timeout(100)
    assert live_id in still_here.value.url, "a pause is shown to be one, and no other window is offered it"
    app.client.live.finish(live_id)  # another window does, all the same
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("a recording of its own")
    page.get_by_role("button", name="Stop and write it down").click()
    expect_text(page)
    expect(page.get_by_role("alert")).to_contain_text("a recording of its own")
    assert len(app.client.recordings()) == n_before + 2
    assert not app.client.live.unfinished()
    page.context.close()


def test_a_window_asks_before_it_is_closed_while_it_alone_has_what_was_said(app: Running, browser: Browser) -> None:
    page = app.open(browser)
    with page.expect_request_finished(_is_piece):
        begin(page)
    assert asks_before_leaving(page)
    page.route("**/api/live/*", lambda route: route.abort())  # the app does not answer
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.get_by_role("button", name="Pause").click()
    assert asks_before_leaving(page), "in a pause"
    page.unroute_all()
    for _ in range(250):  # one piece after the other comes through
        if not asks_before_leaving(page):
            break
        page.wait_for_timeout(20)
    assert not asks_before_leaving(page), "all of it is on the disk"
    held = hold(page, "**/finish")
    page.get_by_role("button", name="Stop and write it down").click()
    finish = next_of(held, page)
    assert asks_before_leaving(page), "nobody writes it down yet"
    finish.continue_()
    expect_text(page)
    assert not asks_before_leaving(page)
    page.context.close()


def test_a_discarded_recording_can_be_had_back(app: Running, browser: Browser) -> None:
    page = app.open(browser)
    n_before = len(app.client.recordings())
    begin(page)
    wait_for_seconds(page, 1)
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Write it down").click()
    expect_text(page)
    assert len(app.client.recordings()) == n_before + 1
    page.context.close()


def test_a_window_that_was_closed_while_recording_loses_nothing(app: Running, browser: Browser) -> None:
    live_id = app.client.live.begin()
    app.client.live.append(live_id, 0, np.full(16_000, 900, dtype="<i2").tobytes())
    app.client.live.close()  # what the end of a process leaves
    page = app.open(browser)
    item = page.locator(f'[data-live="{live_id}"]')
    expect(item).to_contain_text("0:01")
    item.get_by_role("button", name="Write it down").click()
    expect_text(page)
    expect(item).to_have_count(0)
    page.context.close()


def test_a_refused_microphone_is_explained(app: Running, browser: Browser) -> None:
    page = app.open(browser)
    page.evaluate(
        "void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError')))"
    )
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("did not allow the microphone")
    expect(page.locator("#recorder")).to_have_attribute("data-state", "idle")
    page.context.close()


def test_a_browser_that_cannot_begin_to_listen_says_so_and_lets_go_of_the_microphone(
    app: Running, browser: Browser
) -> None:
    """As Firefox on a machine without any way to play sound, whose `resume` never ends."""
    page = app.open(browser)
    page.evaluate("void (AudioContext.prototype.resume = () => new Promise(() => {}))")
    page.evaluate("""() => {
        const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => (window.heard = await ask(wanted));
    }""")
    page.clock.install()  # the page waits eight seconds, of which nobody else has to wait one
    page.get_by_role("button", name="Record", exact=True).click()
    for _ in range(500):  # not `wait_for_function`, which the page's policy forbids
        if page.evaluate("Boolean(window.heard)"):
            break
        page.wait_for_timeout(20)
    alert = page.get_by_role("alert")
    for _ in range(30):
        page.clock.fast_forward(1000)
        if alert.is_visible():
            break
    expect(alert).to_contain_text("Connect a speaker or headphones")
    expect(page.locator("#recorder")).to_have_attribute("data-state", "idle")
    assert page.evaluate("heard.getTracks().map((track) => track.readyState)") == ["ended"]
    page.context.close()


def test_a_dropped_file_is_written_down_and_what_the_app_cannot_read_is_decoded_by_the_browser(
    app: Running, browser: Browser, voice: Path, tmp_path: Path
) -> None:
    samples = parse_wav(voice.read_bytes()).samples[:32_000, 0]
    coarse = tmp_path / "coarse.wav"
    with wave.open(str(coarse), "wb") as file:
        file.setparams((1, 1, 16_000, samples.size, "NONE", "not compressed"))
        file.writeframes((samples * 127 + 128).astype(np.uint8).tobytes())
    page = app.open(browser)
    page.set_input_files("#files", [str(voice), str(coarse)])
    expect(page.locator("#incoming a")).to_have_text([SAID, SAID])
    kept = parse_wav(app.client.library.sound(app.client.recordings()[0].recording_id)).samples[:, 0]
    assert np.abs(kept - samples).max() < 0.02
    page.context.close()


def test_files_that_wait_in_line_are_not_dropped_without_a_question(
    app: Running, browser: Browser, voice: Path
) -> None:
    page = app.open(browser)
    held = hold(page, "**/api/recordings")
    page.set_input_files("#files", [str(voice), str(voice)])
    next_of(held, page).continue_()
    second = next_of(held, page)
    assert asks_before_leaving(page), "the second one is here alone"
    second.continue_()
    expect(page.locator("#incoming a")).to_have_text([SAID, SAID])
    assert not asks_before_leaving(page)
    page.context.close()
