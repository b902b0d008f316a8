"""The short way of public answers: the same answers as the long way, and only for what is beyond doubt."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
from tests.unit.server.api.conftest import Backend
from tests.unit.server.api.test_releases import release

from projectone.server.api.app import create_app
from projectone.server.serve.processes import _Server
from projectone.server.serve.public_protocol import PublicProtocol

LATEST = b"GET /latest-model-info HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each request that went the short way, made before its answer leaves."""
    ways: list[str] = []
    wait_for_more = PublicProtocol._wait_for_more

    def noted(self: PublicProtocol) -> None:
        ways.append("short")
        wait_for_more(self)

    monkeypatch.setattr(PublicProtocol, "_wait_for_more", noted)
    return ways


@pytest.fixture
def connection(backend: Backend) -> Iterator[socket.socket]:
    release(backend)
    bound = socket.create_server(("127.0.0.1", 0))
    server = _Server("api", create_app(backend.services), bound)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])), daemon=True)
    thread.start()
    with socket.create_connection(bound.getsockname(), timeout=10) as made:
        yield made
    server.should_exit = True
    thread.join(10)


def ask(connection: socket.socket, request: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Status line, headers and body of one answer."""
    connection.sendall(request)
    return answer(connection)


def answer(connection: socket.socket) -> tuple[bytes, dict[bytes, bytes], bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
    n_bytes = 0 if b" 304 " in status else int(headers[b"content-length"])
    while len(body) < n_bytes:
        body += connection.recv(65536)
    return status, headers, body


def test_both_ways_give_the_same_answer(connection: socket.socket, short: list[str]) -> None:
    long_way, short_way = ask(connection, LATEST), ask(connection, LATEST)
    assert short == ["short"]  # the first one filled the memory
    for _, headers, _ in (long_way, short_way):
        del headers[b"date"]  # the second may have changed
    assert long_way == short_way
    assert long_way[1].keys() == {
        b"etag",
        b"cache-control",
        b"content-type",
        b"content-length",
        b"x-content-type-options",
    }


def test_who_has_it_gets_304_on_the_short_way_too(connection: socket.socket, short: list[str]) -> None:
    _, headers, _ = ask(connection, LATEST)
    request = LATEST[:-2] + b"If-None-Match: W/" + headers[b"etag"] + b"\r\n\r\n"
    for _ in range(2):
        status, said, body = ask(connection, request)
        assert (status, said[b"etag"], body) == (b"HTTP/1.1 304 Not Modified", headers[b"etag"], b"")
    assert short == ["short", "short"]


def test_the_next_request_sees_a_release(connection: socket.socket, short: list[str], backend: Backend) -> None:
    before = ask(connection, LATEST)[2]
    release(backend, "1.3.0")
    after = ask(connection, LATEST)[2]
    assert before != after
    assert b"1.3.0" in after
    assert short == []


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (LATEST[:-2] + b"Host: y\r\n\r\n", b"400"),
        (b"GET /latest-model-info HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /latest-model-info HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", b"200"),
        (b"GET /latest-model-info HTTP/1.1\nHost: x\n\n", b"200"),
        (LATEST[:-2] + b"Content-Length: 0\r\n\r\n", b"200"),
        (LATEST[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"200"),
        (b"GET /latest-model-info?channel=stable&x=1 HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /tuf/metadata/../../keys/release.key HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"GET /v1/audit/checkpoint HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"HEAD /latest-model-info HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"GET /latest-model-info HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", b"200"),
        (b"GET /latest-model-info HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", b"400"),
    ],
)
def test_whatever_is_odd_goes_the_long_way(
    request_bytes: bytes, status: bytes, connection: socket.socket, short: list[str]
) -> None:
    ask(connection, LATEST)
    connection.sendall(request_bytes)
    said = connection.recv(65536).split(b"\r\n", 1)[0]
    assert said.split(b" ")[1] == status
    assert short == []


def test_two_requests_in_one_piece_get_two_answers_in_their_order(connection: socket.socket, short: list[str]) -> None:
    whole = ask(connection, LATEST)[2]
    connection.sendall(LATEST + LATEST.replace(b"latest-model-info", b"v1/nowhere"))
    first = answer_exactly(connection, len(whole))
    assert first.endswith(whole)
    assert b" 404 " in connection.recv(65536).split(b"\r\n", 1)[0]
    assert short == []


def answer_exactly(connection: socket.socket, n_body: int) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < n_body:
        data += connection.recv(1)
    return data


def test_a_request_in_two_pieces_is_put_together(connection: socket.socket, short: list[str]) -> None:
    whole = ask(connection, LATEST)[2]
    connection.sendall(LATEST[:30])
    connection.sendall(LATEST[30:])
    assert answer(connection)[2] == whole
    assert ask(connection, LATEST)[2] == whole
