"""Another website that is open in the same browser reaches nothing; without the guard it would."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient
from tests.unit.device.web.conftest import ORIGIN, PORT, TOKEN, Window

from projectone.device.web.app import create_app

OURS = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
PATHS = ["/", "/recordings", "/api/recordings", "/api/jobs/x", "/nowhere"]
ELSEWHERE = {
    "a website": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "another port of this machine": {"origin": "http://127.0.0.1:9999", "sec-fetch-site": "same-site"},
    "another scheme": {"origin": f"https://127.0.0.1:{PORT}"},
    "a sandboxed frame": {"origin": "null"},
    "a browser that names no origin": {},
    "a name that was pointed here": {**OURS, "host": "evil.example", "origin": "http://evil.example"},
    "the right name, another port": {**OURS, "host": "127.0.0.1:9999"},
    "no port": {**OURS, "host": "127.0.0.1"},
    "an address that begins like ours": {**OURS, "host": f"127.0.0.1:{PORT}.evil.example"},
    "an origin that begins like ours": {"origin": f"{ORIGIN}.evil.example"},
}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("sender", ELSEWHERE)
def test_what_another_site_sends_changes_nothing_even_with_the_cookie(window: Window, sender: str, method: str) -> None:
    for path in PATHS:
        answer = window.browser.request(method, path, headers=ELSEWHERE[sender], content=b"{}")
        assert answer.status_code == 403, path


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", [*PATHS, "/static/x/app.css"])
def test_what_another_site_asks_for_is_not_given(window: Window, path: str, site: str) -> None:
    assert window.browser.get(path, headers={"sec-fetch-site": site}).status_code == 403


def test_without_the_guard_the_other_site_would_be_served(window: Window) -> None:
    """The control: the same requests straight to the pages."""
    for sender in ELSEWHERE.values():
        assert window.unguarded.get("/recordings", headers=sender).status_code == 200
        assert window.unguarded.post("/api/recordings", headers=sender, content=b"").status_code == 202


@pytest.mark.parametrize("path", PATHS)
def test_without_the_cookie_there_is_nothing(window: Window, path: str) -> None:
    for cookie in ("", f"projectone-{PORT}=", f"projectone-{PORT}={TOKEN}", "projectone-1=x", "\x7f=;;=", 'a="b'):
        window.browser.cookies, kept = {}, window.browser.cookies
        try:
            answer = window.browser.get(path, headers={"cookie": cookie})
        finally:
            window.browser.cookies = kept
        assert answer.status_code == 401
        assert "projectone ui" in answer.text


@pytest.mark.parametrize("token", ["", "?token=", "?token=wrong", f"?token={TOKEN}x", f"?token={TOKEN}&token=x"])
def test_a_wrong_token_gives_no_cookie(window: Window, token: str) -> None:
    answer = window.browser.get(f"/enter{token}")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_an_address_works_once_wherever_it_was_opened_from(window: Window) -> None:
    tokens = iter(["second", "third"])
    app = create_app(window.client, port=PORT, token="first", renew=lambda: next(tokens))
    for token, status in [("first", 200), ("first", 401), ("third", 401), ("second", 200), ("second", 401)]:
        answer = TestClient(app, base_url=ORIGIN).get(
            f"/enter?token={token}", headers={"sec-fetch-site": "cross-site"}
        )  # as from a file
        assert answer.status_code == status, token


def test_the_token_gives_a_cookie_that_scripts_and_other_sites_never_see(window: Window) -> None:
    answer = window.browser.get(f"/enter?token={TOKEN}", headers={"sec-fetch-site": "none"})
    assert answer.status_code == 200
    assert 'content="0;url=/"' in answer.text
    assert re.fullmatch(
        rf"projectone-{PORT}=[\w-]{{43}}; Path=/; HttpOnly; SameSite=Strict", answer.headers["set-cookie"]
    )
    assert TOKEN not in answer.headers["set-cookie"]


@pytest.mark.parametrize("path", [*PATHS, "/enter", "/static/x/app.css"])
def test_every_answer_keeps_others_out_of_the_page(window: Window, path: str) -> None:
    headers = window.browser.get(path).headers
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "no-store" in headers["cache-control"] or path.startswith("/static/")
    assert "access-control-allow-origin" not in headers


def test_our_own_pages_are_served(window: Window) -> None:
    for site in ("same-origin", "none"):
        assert window.browser.get("/", headers={"sec-fetch-site": site}).status_code == 200
    answer = window.browser.post("/api/recordings", headers=OURS, content=b"no sound")
    assert answer.status_code == 202
