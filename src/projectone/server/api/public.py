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

_QUERY = re.compile(rb"(channel=[A-Za-z0-9._-]{1,96})?(&?family=[a-z]{1,16})?")
_CURRENT = f"{SIGNED_METADATA}/timestamp.json"
_FIXED = (f"{SIGNED_METADATA}/", f"{SIGNED_DOCUMENTS}/")
_MAX_AGE_S = 1.0
_MAX_BYTES = 256 * 1024
_MAX_ANSWERS = 256
_SENT_AGAIN = {b"etag", b"cache-control", b"x-content-type-options"}


@dataclass(frozen=True)
class PublicAnswer:
    """A good answer, and when it was one."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    etag: bytes
    stamp: _Stamp
    made_s: float

    def to(self, known: bytes | None) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body for somebody who sent this as `If-None-Match` (RFC 9110, weak comparison)."""
        tags = {tag.strip().removeprefix(b"W/") for tag in (known or b"").split(b",")}
        if self.etag in tags or b"*" in tags:
            return 304, [item for item in self.headers if item[0].lower() in _SENT_AGAIN], b""
        return 200, list(self.headers), self.body


class PublicMemory:
    """Good answers by path and query, each as long as it is one.

    Args:
        services: Know what is current.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept: dict[tuple[str, bytes], PublicAnswer] = {}

    def find(self, path: str, query: bytes) -> PublicAnswer | None:
        """The answer that is still good; None if there is none."""
        answer = self._kept.get((path, query))
        if answer is None or _is_fixed(path):
            return answer
        is_good = time.monotonic() - answer.made_s < _MAX_AGE_S and answer.stamp == _stamp_of(self._services)
        return answer if is_good else None

    def stamp(self, path: str) -> tuple[_Stamp, float]:
        """What an answer that is begun now will be as good as."""
        return () if _is_fixed(path) else _stamp_of(self._services), time.monotonic()

    def keep(self, path: str, query: bytes, answer: PublicAnswer) -> None:
        """Remember an answer."""
        if len(self._kept) >= _MAX_ANSWERS:
            self._kept.clear()
        self._kept[path, query] = answer


class PublicAnswers:
    """Answers from the application's memory, and fills it."""

    def __init__(self, app: _Application) -> None:
        self._app = app

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answer from memory, or pass the request on and remember."""
        if not _is_public(scope):
            await self._app(scope, receive, send)
            return
        memory: PublicMemory = scope["app"].state.public
        path, query = scope["path"], scope["query_string"]
        answer = memory.find(path, query)
        if answer is None:
            answer = await self._asked(scope, receive, send, *memory.stamp(path))
            if answer is None:
                return
            memory.keep(path, query, answer)
        known = next((value for name, value in scope["headers"] if name == b"if-none-match"), None)
        status, headers, body = answer.to(known)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _asked(
        self, scope: _Scope, receive: _Receive, send: _Send, stamp: _Stamp, now_s: float
    ) -> PublicAnswer | None:
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
        kept = [item for item in told[0]["headers"] if item[0].lower() != b"content-length"]
        return PublicAnswer([*kept, (b"content-length", b"%d" % len(body))], body, etag, stamp, now_s)


def is_public_path(path: str) -> bool:
    """Whether answers to this path may be kept."""
    return path == LATEST_MODEL_INFO or path.startswith(_FIXED)


def _is_fixed(path: str) -> bool:
    return path.startswith(_FIXED) and path != _CURRENT


def _is_public(scope: _Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET" or not _QUERY.fullmatch(scope["query_string"]):
        return False
    if not is_public_path(scope["path"]):
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
