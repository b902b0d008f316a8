"""A website that is open in the same browser, cookie and all, reaches nothing of the app."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, expect
from tests.together.ui.conftest import TOKEN, Running

from projectone.device.web.app import create_pages
from projectone.device.web.guard import onward_page
from projectone.device.web.jobs import Jobs
from projectone.device.web.serving import listening

# Everything a page can do to another origin without being asked: forms, frames, pictures, sounds, scripts, fetches.
_ATTACK = """async (target) => {
    const reached = [];
    const attempt = async (name, action) => { try { if (await action()) reached.push(name); } catch {} };
    const ask = async (path, method = "GET", body) =>
        (await fetch(target + path, { method, body, credentials: "include" })).ok;
    const send = (path, body) =>
        fetch(target + path, { method: "POST", mode: "no-cors", credentials: "include", body }).catch(() => {});
    const loaded = (tag, path) => new Promise((resolve) => {
        const element = document.createElement(tag);
        element.onload = element.onloadedmetadata = () => resolve(true);
        element.onerror = () => resolve(false);
        element.src = target + path;
        document.body.append(element);
    });
    await attempt("read the list", () => ask("/api/recordings"));
    await attempt("read a page", () => ask("/recordings"));
    await attempt("change a correction", () => ask("/api/recordings/last/correction", "PUT", "{}"));
    await attempt("load a script", () => loaded("script", "/api/recordings"));
    await attempt("load a picture", () => loaded("img", "/static/x/mark.svg"));
    await send("/api/recordings", new Uint8Array([82, 73, 70, 70]));
    await send("/api/live", "");
    return reached;
}"""


class _Website(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body>elsewhere")

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def website() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Website) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def unguarded(app: Running) -> Iterator[str]:
    """The same pages with nothing before them."""
    with listening(0) as listener:
        config = uvicorn.Config(create_pages(app.client, Jobs()), log_level="warning", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def attack(app: Running, browser: Browser, website: str, target: str) -> tuple[list[str], list[str]]:
    """From a page of `website`, in a browser that has the app's cookie: what it reached, and what was begun by it."""
    page = app.open(browser)
    begun: list[str] = []
    begin = app.client.live.begin
    app.client.live.begin = lambda: begun.append("a recording") or begin()  # type: ignore[method-assign, func-returns-value]
    try:
        page.goto(website)
        reached = page.evaluate(_ATTACK, target)
    finally:
        del app.client.live.begin
        page.context.close()
    return reached, begun


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_website_reaches_nothing(app: Running, browser: Browser, website: int, host: str) -> None:
    assert attack(app, browser, f"http://{host}:{website}", app.origin) == ([], [])


def test_without_the_guard_it_would(app: Running, browser: Browser, website: int, unguarded: str) -> None:
    """The control."""
    reached, begun = attack(app, browser, f"http://127.0.0.1:{website}", unguarded)
    assert (reached, begun) == (["load a picture"], ["a recording"])


def test_the_page_that_the_command_opens_leads_into_the_app(app: Running, browser: Browser, tmp_path: Path) -> None:
    """From a file, so that no other account reads the token among the arguments of a browser."""
    (tmp_path / "ui.html").write_text(onward_page(f"{app.origin}/enter?token={TOKEN}"))
    page = browser.new_page()
    page.goto((tmp_path / "ui.html").as_uri())
    expect(page.get_by_role("heading", name="Say something")).to_be_visible()
    assert page.url == f"{app.origin}/"
    page.context.close()
