"""What a page sends: read up to a limit, then handed to a plain function on a thread of its own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from projectone.errors import DataError

# An hour of speech as text, with room.
_MAX_JSON_BYTES = 1024 * 1024

Endpoint = Callable[[Request], Awaitable[Response]]


def reads_json(handle: Callable[[Request, Mapping[str, Any]], Response]) -> Endpoint:
    """An endpoint that wants an object; no body at all counts as an empty one."""

    async def endpoint(request: Request) -> Response:
        content = await _read(request, _MAX_JSON_BYTES)
        return await run_in_threadpool(handle, request, _parse(content))

    return endpoint


def reads_bytes(handle: Callable[[Request, bytes], Response], *, max_bytes: int) -> Endpoint:
    """An endpoint that wants bytes."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(handle, request, await _read(request, max_bytes))

    return endpoint


def text_field(body: Mapping[str, Any], name: str) -> str:
    """A text that has to be there.

    Raises:
        DataError: if it is not.
    """
    value = body.get(name)
    if not isinstance(value, str):
        raise DataError("bad-request", f"{name}: expected a text, got {value!r}")
    return value


def optional_text_field(body: Mapping[str, Any], name: str) -> str | None:
    """A text, or null for none.

    Raises:
        DataError: if it is neither.
    """
    return None if body.get(name) is None else text_field(body, name)


def switch_field(body: Mapping[str, Any], name: str, default: bool | None = None) -> bool:
    """Yes or no.

    Raises:
        DataError: if it is neither, or missing where there is no default.
    """
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise DataError("bad-request", f"{name}: expected true or false, got {value!r}")
    return value


async def _read(request: Request, max_bytes: int) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > max_bytes:
            raise HTTPException(413, f"expected at most {max_bytes} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _parse(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise DataError("bad-request", "expected a JSON object") from error
    if not isinstance(body, dict):
        raise DataError("bad-request", "expected a JSON object")
    return body
