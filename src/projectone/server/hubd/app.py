"""The Hub as a web application: the routes the real client calls, and no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from projectone.errors import StorageError
from projectone.server.hubd import commits, lfs, listing, references, repositories, resolve, rewriting
from projectone.server.hubd.lfs_parts import sweep_parts
from projectone.server.hubd.refusals import Refusal
from projectone.server.hubd.repos import HubStore
from projectone.server.hubd.settings import HubSettings
from projectone.storage.files import sweep_temporary

_MAX_JSON_BYTES = 8 * 1024 * 1024

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class RawPaths:
    """Lets routes match on the path as it was sent, so that a quoted slash (``refs%2Fpr%2F1``) stays in its segment.

    It also bounds the bodies that are read whole; uploads and commits are streams with limits of their own.
    """

    def __init__(self, app: Callable[[_Scope, _Receive, _Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Pass a request on under its raw path."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        path = raw.split(b"?", 1)[0].decode("ascii", "replace")
        is_stream = "/commit/" in path or (scope["method"] == "PUT" and "/api/uploads/" in path)
        await self._app({**scope, "path": path}, receive if is_stream else _bounded(receive), send)


def create_app(store: HubStore, settings: HubSettings) -> FastAPI:
    """A Hub over `store`, to be served at the root of `settings.public_url`.

    The same application answers for `settings.cdn_url`: serve it on a second address.
    """
    app = FastAPI(title="Private Hub", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.store, app.state.settings = store, settings
    # Fixed paths under /api come before those with a variable second segment.
    for room in (repositories, lfs, resolve, commits, references, rewriting, listing):
        app.include_router(room.router)
    app.add_middleware(RawPaths)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(StorageError, _failed)
    sweep_temporary(store.blobs.folder)
    # Past the lifetime of its URLs nobody can complete an upload any more.
    sweep_parts(store, older_than_s=2 * settings.url_lifetime_s)
    return app


def _bounded(receive: _Receive) -> _Receive:
    n_bytes = 0

    async def counted() -> MutableMapping[str, Any]:
        nonlocal n_bytes
        message = await receive()
        n_bytes += len(message.get("body", b""))
        if n_bytes > _MAX_JSON_BYTES:
            raise Refusal(413, f"The body is longer than {_MAX_JSON_BYTES} bytes")
        return message

    return counted


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    answer = {"error": str(error), **error.fields}
    return JSONResponse(answer, status_code=error.status, headers=error.headers())


def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"The store failed, nothing was kept: {error}"}, status_code=500)
