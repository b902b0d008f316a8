"""A wrapper around a Hub that breaks chosen answers: the cases a publisher must survive."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["busy-before", "busy-after", "cut-before", "cut-after"]
KINDS: tuple[Kind, ...] = ("busy-before", "busy-after", "cut-before", "cut-after")


@dataclass
class Fault:
    """One kind of trouble for the next requests that match.

    ``before``: the Hub does not see the request; ``after``: it acts, and its answer is lost.
    ``busy``: the client sees 503; ``cut``: the connection ends in the middle of an answer.
    """

    kind: Kind
    method: str
    path: str
    times: int = 1


class FaultyHub:
    """An ASGI application around another."""

    def __init__(self) -> None:
        self.app: Any = None
        self.faults: list[Fault] = []
        self.rewrite: tuple[str, Callable[[bytes], bytes]] | None = None

    def around(self, app: Any) -> FaultyHub:
        self.app = app
        return self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("raw_path", b"").decode()
        for fault in self.faults:
            if fault.times and scope.get("method") == fault.method and re.search(fault.path, path):
                fault.times -= 1
                if fault.kind.endswith("after"):
                    await self.app(scope, receive, _nowhere)
                await _break(fault.kind, send)
                return
        if self.rewrite and re.search(self.rewrite[0], path):
            change = self.rewrite[1]

            async def changed(message: Any) -> None:
                if message["type"] == "http.response.body":
                    message = {**message, "body": change(message.get("body", b""))}
                await send(message)

            await self.app(scope, receive, changed)
            return
        await self.app(scope, receive, send)


async def _nowhere(message: Any) -> None:
    pass


async def _break(kind: Kind, send: Any) -> None:
    if kind.startswith("busy"):
        await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
    else:  # an answer that ends before its length: the server closes the connection
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
