"""Request bodies as streams, read from a worker thread with a limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

import anyio.from_thread
from fastapi import Request

from projectone.server.hubd.refusals import Refusal


def body_pieces(request: Request, *, max_bytes: int) -> Iterator[bytes]:
    """The body as it arrives. For routes that are plain functions: they run in a worker thread.

    Raises:
        Refusal: 413 past `max_bytes`; 400 if the client hung up.
    """

    async def next_message() -> MutableMapping[str, Any]:
        return await request.receive()

    n_bytes, has_more = 0, True
    while has_more:
        message = anyio.from_thread.run(next_message)
        if message["type"] != "http.request":
            raise Refusal(400, "The connection broke before the body was whole")
        piece: bytes = message.get("body", b"")
        has_more = message.get("more_body", False)
        n_bytes += len(piece)
        if n_bytes > max_bytes:
            raise Refusal(413, f"The body is longer than {max_bytes} bytes")
        yield piece


def exactly(pieces: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
    """The same pieces.

    Raises:
        Refusal: 400 if they are not `size_bytes` long together.
    """
    n_bytes = 0
    for piece in pieces:
        n_bytes += len(piece)
        if n_bytes > size_bytes:
            break
        yield piece
    if n_bytes != size_bytes:
        raise Refusal(400, f"expected {size_bytes} bytes, got {n_bytes}{' or more' if n_bytes > size_bytes else ''}")


def lines_of(pieces: Iterable[bytes], *, max_lines: int) -> Iterator[bytes]:
    """The lines of a stream that are not empty, without their ends.

    Raises:
        Refusal: 400 past `max_lines`.
    """
    n_lines, rest = 0, [b""]
    for piece in pieces:
        *whole, tail = piece.split(b"\n")
        for line in whole:
            rest.append(line)
            n_lines += 1
            if n_lines > max_lines:
                raise Refusal(400, f"More than {max_lines} lines")
            if text := b"".join(rest).strip():
                yield text
            rest = []
        rest.append(tail)
    if text := b"".join(rest).strip():
        yield text
