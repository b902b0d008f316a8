"""Tells the log of every request; what leaves is decided in `server/logs.py`."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from projectone.server.logs import REQUESTS

_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_LOG = logging.getLogger(REQUESTS)
_OURS = 500


class RequestLog:
    """One record a request, an error of ours with its place."""

    def __init__(self, app: _Application) -> None:
        self._app = app

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Pass the request on, and tell of it afterwards."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 0

        async def send_noting(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        failure: BaseException | None = None
        try:
            await self._app(scope, receive, send_noting)
        except Exception as error:
            failure, status = error, status or _OURS  # the answer is made further out
            raise
        finally:
            level = logging.ERROR if failure is not None or status >= _OURS else logging.INFO
            if _LOG.isEnabledFor(level):
                fields = {**_said(scope), "status": status, "duration_ms": round((time.monotonic() - started) * 1e3, 1)}
                _LOG.log(level, "request", exc_info=failure, extra={"fields": fields})


def _said(scope: _Scope) -> dict[str, Any]:
    """Everything that is known of a request: the log takes what is on its list."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return {
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", None),
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "address": scope["client"][0] if scope.get("client") else None,
        "device": headers.get("x-device-id"),
        "headers": headers,
    }
