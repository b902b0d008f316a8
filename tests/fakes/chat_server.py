"""A chat server on loopback that misbehaves as it is told, and keeps every byte that reached it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

Fault = Literal[
    "none",
    "down",
    "slow",
    "garbage",
    "429",
    "cut",
    "wrong-schema",
    "drip",
    "drip-head",
    "endless",
    "500",
    "401",
    "redirect",
    "packed",
    "empty",
    "control-characters",
    "no-end",
    "error-event",
]
SAID = "It is eight degrees."
_PIECES = ("It is", " eight", " degrees.")
_DRIP_S = 0.02


def _completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16},
        }
    ).encode()


def _prompt_of(asked: dict[str, Any]) -> str:
    return str(asked["messages"][-1]["content"])


def _event(text: str | None, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text is not None else {}, "finish_reason": finish}
    return (
        b"data: " + json.dumps({"id": "1", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
    )


def _head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


class ChatServer:
    """Answers `POST /v1/chat/completions`. `fault` and `said` may change; an empty `said` repeats the prompt."""

    def __init__(self) -> None:
        self.fault: Fault = "none"
        self.said = SAID
        self.received: list[bytes] = []
        self.n_requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def close(self) -> None:
        self._is_over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while (request := self._read(connection)) is not None:
                self.n_requests += 1
                self.received.append(request)
                if not self._answer(connection, json.loads(request.partition(b"\r\n\r\n")[2])):
                    return

    def _read(self, connection: socket.socket) -> bytes | None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (piece := connection.recv(65536)):
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def _answer(self, connection: socket.socket, asked: dict[str, Any]) -> bool:
        """Whether the connection stays open."""
        simple = {
            "garbage": (_head("200 OK", "Content-Type: application/json", "Content-Length: 9"), b"<html>\x00\xff!"),
            "429": (_head("429 Too Many Requests", "Content-Length: 2", "Content-Type: application/json"), b"{}"),
            "500": (_head("500 Oops", "Content-Length: 2", "Content-Type: application/json"), b"{}"),
            "401": (_head("401 No", "Content-Length: 2", "Content-Type: application/json"), b"{}"),
            "redirect": (_head("307 There", "Location: http://127.0.0.1:9/v1", "Content-Length: 0"), b""),
            "packed": (
                _head("200 OK", "Content-Type: application/json", "Content-Encoding: gzip", "Content-Length: 3"),
                b"\x1f\x8b\x08",
            ),
        }
        if self.fault in simple:
            connection.sendall(b"".join(simple[self.fault]))
            return True
        if self.fault == "down":
            return False
        if self.fault == "slow":
            self._is_over.wait(60)
            return False
        if self.fault == "drip-head":
            return self._drip(connection, b"HTTP/1.1 200 OK\r\n" + b"X-More: yes\r\n" * 1000)
        said = self.said or _prompt_of(asked)
        (self._stream if asked.get("stream") else self._whole)(connection, said)
        return self.fault not in ("cut", "drip", "endless")

    def _whole(self, connection: socket.socket, said: str) -> None:
        bodies = {
            "wrong-schema": b'{"choices": [{"message": {"content": ["no", "text"]}}]}',
            "empty": _completion("  "),
            "control-characters": _completion("It is\u001b[2J \u202eeight\ud800 degrees. "),
        }
        body = bodies.get(self.fault, _completion(said))
        length = 10**9 if self.fault == "endless" else len(body)
        connection.sendall(_head("200 OK", "Content-Type: application/json", f"Content-Length: {length}"))
        if self.fault == "cut":
            connection.sendall(body[: len(body) // 2])
        elif self.fault == "drip":
            self._drip(connection, body)
        elif self.fault == "endless":
            self._flood(connection)
        else:
            connection.sendall(body)

    def _stream(self, connection: socket.socket, said: str) -> None:
        connection.sendall(_head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
        pieces = _PIECES if said == SAID else [said[at : at + 5] for at in range(0, len(said), 5)]
        whole = [*map(_event, pieces), _event(None, "stop"), b"data: [DONE]\n\n"]
        events = {
            "cut": whole[:2],
            "no-end": [*whole[:2], b"data: [DONE]\n\n"],
            "wrong-schema": [whole[0], b'data: {"choices": 7}\n\n'],
            "error-event": [whole[0], b'data: {"error": {"message": "what was asked"}}\n\n'],
            "empty": whole[3:],
            "endless": whole[:1],
        }.get(self.fault, whole)
        for event in events:
            chunk = f"{len(event):x}\r\n".encode() + event + b"\r\n"
            if self.fault == "drip":
                self._drip(connection, chunk)
            else:
                connection.sendall(chunk)
        if self.fault == "endless":
            self._flood(connection)
        if self.fault != "cut":
            connection.sendall(b"0\r\n\r\n")

    def _flood(self, connection: socket.socket) -> None:
        chunk = b"data: " + b"a" * 65529 + b"\n"
        while not self._is_over.is_set():
            connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")

    def _drip(self, connection: socket.socket, data: bytes) -> bool:
        for byte in data:
            if self._is_over.is_set():
                break
            connection.sendall(bytes([byte]))
            time.sleep(_DRIP_S)
        return False


@contextlib.contextmanager
def serving() -> Iterator[ChatServer]:
    """A server for the block."""
    server = ChatServer()
    try:
        yield server
    finally:
        server.close()
