"""Sound for a player, which asks for the part that it needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

Read = Callable[[int, int], Iterator[bytes]]
"""Where a part begins and how many bytes it has, to the part in pieces."""


def sound_answer(request: Request, size: int, read: Read) -> Response:
    """A WAV file of `size` bytes, or the one part of it that was asked for (RFC 9110, section 14).

    Nothing is held in memory but the piece that is being sent: who lets go of a connection has cost no more.
    """
    asked = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", request.headers.get("range", ""))
    if asked is None or asked.groups() == ("", ""):
        return _answer(200, read(0, size), size)
    first, last = asked.groups()
    if first:
        start, end = int(first), min(int(last) if last else size - 1, size - 1)
    else:
        start, end = max(0, size - int(last)), size - 1
    if start > end:
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    n_bytes = end - start + 1
    return _answer(206, read(start, n_bytes), n_bytes, **{"content-range": f"bytes {start}-{end}/{size}"})


def _answer(status: int, pieces: Iterator[bytes], n_bytes: int, **headers: str) -> Response:
    headers |= {"accept-ranges": "bytes", "content-length": str(n_bytes)}
    return StreamingResponse(pieces, status, media_type="audio/wav", headers=headers)
