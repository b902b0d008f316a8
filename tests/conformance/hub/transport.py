"""The real client and the Hub in one process: requests become calls, and no socket is opened."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.from_thread
import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory, hf_request_event_hook


class InProcess(httpx2.BaseTransport):
    """Hands every request to an ASGI application that runs in `portal`."""

    def __init__(self, app: Any, portal: Any) -> None:
        self._app = app
        self._portal = portal

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        content = request.read()
        return self._portal.call(self._answer, request, content)

    async def _answer(self, request: httpx2.Request, content: bytes) -> httpx2.Response:
        path, _, query = request.url.raw_path.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, request.url.port or 80),
            "client": ("127.0.0.1", 1),
        }
        waiting = [{"type": "http.request", "body": content}]
        sent: list[Any] = []

        async def receive() -> Any:
            if not waiting:
                await anyio.sleep_forever()  # the caller stays on the line for as long as it is answered
            return waiting.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, *pieces = sent
        body = b"".join(piece.get("body", b"") for piece in pieces)
        return httpx2.Response(start["status"], headers=start["headers"], stream=httpx2.ByteStream(body))


@contextlib.contextmanager
def in_process(app: Any) -> Iterator[None]:
    with anyio.from_thread.start_blocking_portal() as portal:
        set_client_factory(
            lambda: httpx2.Client(
                transport=InProcess(app, portal),
                event_hooks={"request": [hf_request_event_hook]},
                follow_redirects=True,
                timeout=None,
            )
        )
        try:
            yield
        finally:
            set_client_factory(default_client_factory)
