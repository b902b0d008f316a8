"""What holds for every page: nothing from elsewhere runs in it, frames it, sends to it, or keeps it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_SAFE = ("GET", "HEAD")
_FIXED = {
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "cache-control": "no-store",
    "referrer-policy": "same-origin",  # with `no-referrer` browsers send `Origin: null`, which is refused below
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Refuses requests that another site sent, and puts the headers on every answer.

    Args:
        app: The pages.
        hosts: `Host` headers that are ours, with their ports; another one is a name that somebody pointed at us.
    """

    def __init__(self, app: _Application, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Refuse, or pass on with a nonce for this page's one style."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; media-src 'self'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )

        async def send_guarded(message: _Message) -> None:
            if message["type"] == "http.response.start":
                ours = {**_FIXED, "content-security-policy": policy}
                kept = [item for item in message["headers"] if item[0].decode("latin-1").lower() not in ours]
                message["headers"] = kept + [(name.encode(), value.encode()) for name, value in ours.items()]
            await send(message)

        if (why := self._refusal(scope)) is not None:
            await _refuse(send_guarded, why)
            return
        await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: _Scope) -> str | None:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        host = headers.get("host", [])
        if len(host) != 1 or host[0] not in self._hosts:
            return "expected one Host header with the address of this console"
        if scope["method"] in _SAFE:
            return None
        origin, site = headers.get("origin", []), headers.get("sec-fetch-site", ["same-origin"])
        if len(origin) != 1 or origin[0] not in (f"http://{host[0]}", f"https://{host[0]}"):
            return "expected a form of this console: its Origin is another one"
        return None if site == ["same-origin"] else "expected a form of this console: it was sent from another site"


async def _refuse(send: _Send, why: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})
