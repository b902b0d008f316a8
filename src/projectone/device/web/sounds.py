"""Sound for a player, which asks for the part that it needs."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response


def sound_answer(request: Request, wav: bytes) -> Response:
    """A WAV file, or the one part of it that was asked for (RFC 9110, section 14)."""
    asked = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", request.headers.get("range", ""))
    if asked is None or asked.groups() == ("", ""):
        return Response(wav, media_type="audio/wav", headers={"accept-ranges": "bytes"})
    first, last = asked.groups()
    if first:
        start, end = int(first), min(int(last) if last else len(wav) - 1, len(wav) - 1)
    else:
        start, end = max(0, len(wav) - int(last)), len(wav) - 1
    if start > end:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(wav)}"})
    headers = {"accept-ranges": "bytes", "content-range": f"bytes {start}-{end}/{len(wav)}"}
    return Response(wav[start : end + 1], 206, media_type="audio/wav", headers=headers)
