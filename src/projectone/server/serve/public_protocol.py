"""Takes a plain request for what every device asks past the machinery: a look, a regular expression, one write.

It is for answers that lie in memory (`server/api/public`), and for requests that are whole, alone and of the plainest
form. Whatever is odd about a request, if only a second Host or a byte that no header holds, goes the usual way, where
everything is judged. These requests are neither counted nor in the log.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from projectone.server.api.public import PublicMemory, is_public_path

_MAX_REQUEST_BYTES = 4096
_REQUEST = re.compile(
    rb"GET (/[A-Za-z0-9._/-]{1,200})(?:\?(channel=[A-Za-z0-9._-]{1,96}))? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]{1,64}: ?[\x21-\x7e][\x20-\x7e]{0,1023}\r\n){1,32})\r\n"
)
# With any of these a request says more than "give me that".
_SAYING_MORE = {
    b"authorization",
    b"connection",
    b"content-length",
    b"expect",
    b"if-match",
    b"if-modified-since",
    b"if-range",
    b"if-unmodified-since",
    b"range",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
_REASONS = {status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode() for status in (200, 304)}


class PublicProtocol(H11Protocol):
    """uvicorn's protocol, with a short way for public answers."""

    memory: ClassVar[PublicMemory]

    def data_received(self, data: bytes) -> None:
        """Answer at once, or do as ever."""
        if not self._is_answered(data):
            super().data_received(data)

    def _is_answered(self, data: bytes) -> bool:
        idle = self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE
        if not idle or len(data) > _MAX_REQUEST_BYTES or self.conn.trailing_data[0] or self.transport.is_closing():
            return False
        match = _REQUEST.fullmatch(data)
        if match is None or self.flow.write_paused:  # of somebody who asks and does not read
            return False
        path = match[1].decode()
        headers = _headers(match[3])
        if headers is None or not is_public_path(path):
            return False
        answer = self.memory.find(path, match[2] or b"")
        if answer is None:
            return False
        status, said, body = answer.to(headers.get(b"if-none-match"))
        lines = [name + b": " + value for name, value in (*self.server_state.default_headers, *said)]
        self._wait_for_more()
        self.transport.write(_REASONS[status] + b"\r\n".join(lines) + b"\r\n\r\n" + body)
        return True

    def _wait_for_more(self) -> None:
        """As uvicorn does after an answer."""
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)


def protocol_for(app: Any) -> Any:  # noqa: ANN401 - an ASGI application; and what uvicorn's `http` takes
    """The protocol to speak for an application: with a short way where it has public answers."""
    memory = getattr(getattr(app, "state", None), "public", None)
    return "h11" if memory is None else type("Protocol", (PublicProtocol,), {"memory": memory})


def _headers(lines: bytes) -> dict[bytes, bytes] | None:
    """The headers by name; None if one is there twice, says more, or there is no Host."""
    found: dict[bytes, bytes] = {}
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in found or name in _SAYING_MORE:
            return None
        found[name] = value.strip(b" ")
    return found if b"host" in found else None
