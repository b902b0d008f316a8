"""A proxy on loopback between the real client and the Hub, that breaks chosen requests on the wire itself."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Trouble = Literal["5xx before", "5xx after", "reset before", "reset after", "429", "slow", "cut body", "meanwhile"]
_BLOCK_BYTES = 65_536


@dataclass
class WireFault:
    """Trouble for the next request that matches.

    ``before``: the Hub does not see the request; ``after``: it acts, and its answer is lost. ``cut body``: the Hub sees
    half of the request. ``slow``: request and answer drip. ``meanwhile``: `act` happens just before the Hub sees it.
    """

    trouble: Trouble
    method: str
    path: str
    act: Callable[[], object] = lambda: None
    times: int = 1


class Proxy:
    """Takes one request on each connection, as `Connection: close` asks for."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.upstream = ""
        self.faults: list[WireFault] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def running(self) -> Iterator[Proxy]:
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            thread.join(timeout=60)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head, body = self._head(client)
            if not head:
                return
            method, path = head.split(b" ", 2)[:2]
            fault = self._fault(method.decode(), path.decode())
            trouble = None if fault is None else fault.trouble
            if fault is not None:
                fault.act()
            if trouble in ("5xx before", "429"):
                # The body first: an answer to a request that is still being sent is lost with the connection.
                _drain(client, head, body)
                _answer(client, 503 if trouble == "5xx before" else 429)
            elif trouble == "reset before":
                _reset(client)
            else:
                self._pass_on(client, head, body, trouble)

    def _pass_on(self, client: socket.socket, head: bytes, body: bytes, trouble: Trouble | None) -> None:
        place = urlsplit(self.upstream)
        with socket.create_connection((place.hostname or "", place.port or 0)) as server:
            server.sendall(re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n")
            length = _length(head)
            if trouble == "cut body":
                server.sendall(_exactly(client, body, length // 2))
                _reset(server)
                _reset(client)
                return
            server.sendall(body)
            left = length - len(body)
            while left > 0 and (block := client.recv(min(left, 512 if trouble == "slow" else _BLOCK_BYTES))):
                server.sendall(block)
                left -= len(block)
                if trouble == "slow":
                    time.sleep(0.0002)
            is_lost = trouble in ("5xx after", "reset after")
            while block := server.recv(64 if trouble == "slow" else _BLOCK_BYTES):
                if not is_lost:
                    client.sendall(block)
                if trouble == "slow":
                    time.sleep(0.002)
            if trouble == "5xx after":
                _answer(client, 500)
            elif trouble == "reset after":
                _reset(client)

    def _fault(self, method: str, path: str) -> WireFault | None:
        with self._lock:
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.path, path.split("?")[0]):
                    fault.times -= 1
                    return fault
        return None

    @staticmethod
    def _head(client: socket.socket) -> tuple[bytes, bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            if not (block := client.recv(_BLOCK_BYTES)):
                return b"", b""
            received += block
        head, _, body = received.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n", body


def _length(head: bytes) -> int:
    assert b"transfer-encoding" not in head.lower(), "this proxy passes on bodies of a known length"
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0


def _exactly(client: socket.socket, begun: bytes, n_bytes: int) -> bytes:
    while len(begun) < n_bytes and (block := client.recv(n_bytes - len(begun))):
        begun += block
    return begun[:n_bytes]


def _drain(client: socket.socket, head: bytes, body: bytes) -> None:
    left = _length(head) - len(body)
    while left > 0 and (block := client.recv(min(left, _BLOCK_BYTES))):
        left -= len(block)


def _answer(client: socket.socket, status: int) -> None:
    client.sendall(b"HTTP/1.1 %d Trouble\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()  # with nothing left to linger for, the kernel sends a reset
