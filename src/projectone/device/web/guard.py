"""What stands before every request: only a browser window that was opened with our token gets anything.

The pages hold somebody's voice, and any website that is open in the same browser can send requests to this machine.
So, in this order: the `Host` must be ours (a name that was pointed at this machine is none), the browser must say
that the request comes from our own pages or from the address bar, what changes something must name our own origin,
and the session's cookie must be there. It is given once for the token in the address that `projectone ui` opens.

Cookies know no ports: a server of somebody else on this machine, once visited at the same host, sees the cookie.
Requests from its pages are refused all the same; a second user of the machine could send it from a program.
"""

from __future__ import annotations

import hmac
import html
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal
from urllib.parse import parse_qs

_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
Application = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

ENTRANCE = "/enter"
_STATIC = "/static/"
_SAFE = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_FIXED = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with `no-referrer` browsers send `Origin: null`, which is refused below
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(self)",
}
_KEEP_NOTHING = "no-store"


class Guard:
    """Refuses what other websites send, and puts the headers on every answer.

    Args:
        app: The pages.
        port: Where we listen, on this machine alone.
        token: What the opened address has to hold.
        renew: Gives the next token once one was used: whoever reads an address later reads one that is spent.
        locked: The page for a window that has no cookie.
    """

    def __init__(self, app: Application, *, port: int, token: str, renew: Callable[[], str], locked: str) -> None:
        self._app = app
        self._token = token
        self._renew = renew
        self._locked = locked
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        # Two apps on two ports share one jar of cookies.
        self._cookie = f"projectone-{port}"
        self._session = new_token()

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Refuse, let in, or pass on."""
        if scope["type"] != "http":
            raise ValueError(f"expected an HTTP request, got {scope['type']!r}")

        async def send_guarded(message: _Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _guarded(message["headers"])
            await send(message)

        headers = _headers(scope)
        if (why := self._refusal(scope["method"], scope["path"], headers)) is not None:
            await _say(send_guarded, 403, why)
        elif scope["path"] == ENTRANCE:
            await self._enter(scope, send_guarded)
        elif scope["path"].startswith(_STATIC) or self._is_known(headers):
            await self._app(scope, receive, send_guarded)
        else:
            await _say(send_guarded, 401, self._locked, kind="html")

    def _refusal(self, method: str, path: str, headers: dict[str, list[str]]) -> str | None:
        host = headers.get("host", [])
        if len(host) != 1 or host[0] not in self._hosts:
            return "expected one Host header with the address of this app"
        # `none`: somebody typed the address. Into the entrance anybody may be sent: the token decides.
        site = headers.get("sec-fetch-site", ["none"])
        if site not in (["same-origin"], ["none"]) and not (path == ENTRANCE and method in _SAFE):
            return "another website sent this request; this app answers its own pages only"
        if method in _SAFE:
            return None
        is_ours = headers.get("origin", []) == [f"http://{host[0]}"]
        return None if is_ours else "what changes something must come from a page of this app"

    async def _enter(self, scope: _Scope, send: _Send) -> None:
        """The cookie for the token."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        if len(given) != 1 or not hmac.compare_digest(given[0].encode(), self._token.encode()):
            await _say(send, 401, self._locked, kind="html")
            return
        self._token = self._renew()
        cookie = f"{self._cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"
        # A page, not a redirection: a Strict cookie is not sent along a way that began elsewhere, as in a file.
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"set-cookie", cookie.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": onward_page("/").encode()})

    def _is_known(self, headers: dict[str, list[str]]) -> bool:
        jar: SimpleCookie = SimpleCookie()
        try:
            for line in headers.get("cookie", []):
                jar.load(line)
        except CookieError:
            return False
        given = jar[self._cookie].value if self._cookie in jar else ""
        return hmac.compare_digest(given.encode(), self._session.encode())


def new_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(32)


def onward_page(address: str) -> str:
    """A page that leads to another at once, without a script."""
    shown = html.escape(address, quote=True)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={shown}">'
        f'<title>ProjectOne</title><p><a href="{shown}">Open the app</a></p></html>'
    )


def _headers(scope: _Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _guarded(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.decode("latin-1").lower() not in _FIXED]
    names = {name.decode("latin-1").lower() for name, _ in kept}
    ours = _FIXED if "cache-control" in names else {**_FIXED, "cache-control": _KEEP_NOTHING}
    return kept + [(name.encode(), value.encode()) for name, value in ours.items()]


async def _say(send: _Send, status: int, why: str, *, kind: Literal["plain", "html"] = "plain") -> None:
    headers = [(b"content-type", f"text/{kind}; charset=utf-8".encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})
