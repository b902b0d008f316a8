"""What every device asks for again and again, answered from memory: nothing is read and nothing counted for it.

A release writes a row and a new `timestamp.json`. As long as neither file has changed, and for a second at most, an
answer that was given once is given again, or 304 to whoever has it. Signed files whose names say their version never
change. Quotas are not asked: such an answer costs less than they do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from projectone.contracts.endpoints import LATEST_MODEL_INFO, SIGNED_DOCUMENTS, SIGNED_METADATA
from projectone.server.api.services import Services

_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[_Scope, _Receive, _Send], Awaitable[None]]
_Stamp = tuple[object, ...]

_QUERY = re.compile(rb"(channel=[A-Za-z0-9._-]{1,96})?")
_CURRENT = f"{SIGNED_METADATA}/timestamp.json"
_FIXED = (f"{SIGNED_METADATA}/", f"{SIGNED_DOCUMENTS}/")
_MAX_AGE_S = 1.0
_MAX_BYTES = 256 * 1024
_MAX_ANSWERS = 256
_SENT_AGAIN = {b"etag", b"cache-control", b"x-content-type-options"}


@dataclass(frozen=True)
class _Answer:
    """A good answer, and when it was one."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    etag: bytes
    stamp: _Stamp
    made_s: float


class PublicAnswers:
    """Keeps good answers to what anybody may ask."""

    def __init__(self, app: _Application) -> None:
        self._app = app
        self._kept: dict[tuple[str, bytes], _Answer] = {}

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answer from memory, or pass the request on and remember."""
        if not _is_public(scope):
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        key, is_fixed = (path, scope["query_string"]), path.startswith(_FIXED) and path != _CURRENT
        stamp, now_s = () if is_fixed else _stamp_of(scope["app"].state.services), time.monotonic()
        answer = self._kept.get(key)
        if answer is None or not (is_fixed or (answer.stamp == stamp and now_s - answer.made_s < _MAX_AGE_S)):
            answer = await self._asked(scope, receive, send, stamp, now_s)
            if answer is None:
                self._kept.pop(key, None)
                return
            if len(self._kept) >= _MAX_ANSWERS:
                self._kept.clear()
            self._kept[key] = answer
        if _knows(scope, answer.etag):
            again = [item for item in answer.headers if item[0].lower() in _SENT_AGAIN]
            await send({"type": "http.response.start", "status": 304, "headers": again})
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(answer.headers)})
        await send({"type": "http.response.body", "body": answer.body})

    async def _asked(
        self, scope: _Scope, receive: _Receive, send: _Send, stamp: _Stamp, now_s: float
    ) -> _Answer | None:
        """The answer of the application; None if it is none to keep, and was sent as it came."""
        told: list[_Message] = []

        async def listen(message: _Message) -> None:
            told.append(message)

        # Asked as by somebody who has nothing yet: the whole answer is kept.
        headers = [item for item in scope["headers"] if item[0] != b"if-none-match"]
        await self._app({**scope, "headers": headers}, receive, listen)
        body = b"".join(message.get("body", b"") for message in told[1:])
        etag = next((value for name, value in told[0]["headers"] if name.lower() == b"etag"), None)
        if told[0]["status"] != 200 or etag is None or len(body) > _MAX_BYTES:
            for message in told:
                await send(message)
            return None
        return _Answer(list(told[0]["headers"]), body, etag, stamp, now_s)


def _is_public(scope: _Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET" or not _QUERY.fullmatch(scope["query_string"]):
        return False
    path: str = scope["path"]
    if path != LATEST_MODEL_INFO and not path.startswith(_FIXED):
        return False
    names = {name for name, _ in scope["headers"]}
    return not names & {b"content-length", b"transfer-encoding"}


def _stamp_of(services: Services) -> _Stamp:
    """Changes with every release."""
    try:
        found = (services.signed / "metadata" / "timestamp.json").stat()
    except OSError:
        return (services.ledger.stamp(),)
    return services.ledger.stamp(), found.st_mtime_ns, found.st_ino, found.st_size


def _knows(scope: _Scope, etag: bytes) -> bool:
    """Whether the caller has this very version already (RFC 9110, weak comparison)."""
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            tags = {tag.strip().removeprefix(b"W/") for tag in value.split(b",")}
            if etag in tags or b"*" in tags:
                return True
    return False
