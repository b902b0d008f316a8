"""An HTTP client whose every wait ends at one moment, which reads so many bytes and no more, and says little of itself.

A client's own time-outs are for each read: a server that sends a byte now and then beats them for hours. Here the
moment is looked at before each read and write of the socket.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import httpcore2
import httpx2

MAX_ANSWER_BYTES: Final = 1024 * 1024
_MAX_CONNECTIONS: Final = 8
_IDLE_S: Final = 60.0
_SENT_HEADERS: Final = frozenset(
    {b"host", b"content-type", b"content-length", b"accept", b"authorization", b"connection"}
)
"""Nothing else leaves: libraries tell system, versions, organisation and whatever the environment holds."""


class TooMuchError(httpx2.ReadError):
    """The other side sent more than anybody would read."""


class _Limits(threading.local):
    """Of the request that this thread is busy with."""

    ends_at = float("inf")
    n_read = 0

    def left_s(self, too_late: type[httpcore2.TimeoutException]) -> float:
        left_s = self.ends_at - time.monotonic()
        if left_s <= 0:
            raise too_late("the time is over")
        return left_s


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream, limits: _Limits) -> None:
        self._inner = inner
        self._limits = limits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, self._limits.left_s(httpcore2.ReadTimeout))
        self._limits.n_read += len(data)
        if self._limits.n_read > MAX_ANSWER_BYTES:
            raise TooMuchError(f"expected at most {MAX_ANSWER_BYTES} bytes")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._limits.left_s(httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left_s = self._limits.left_s(httpcore2.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left_s), self._limits)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.SyncBackend):
    def __init__(self, limits: _Limits) -> None:
        self._limits = limits

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        left_s = self._limits.left_s(httpcore2.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left_s, local_address, socket_options), self._limits)


class _Body(httpx2.SyncByteStream):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._pieces

    def close(self) -> None:
        if hasattr(self._pieces, "close"):
            self._pieces.close()


class Wire(httpx2.BaseTransport):
    """A transport for `httpx2.Client`.

    Args:
        is_encrypted: Whether certificates are needed; reading them takes longer than a request on loopback.
    """

    def __init__(self, *, is_encrypted: bool) -> None:
        self._limits = _Limits()
        certificates = (
            httpx2.create_ssl_context(trust_env=False) if is_encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        self._pool = httpcore2.ConnectionPool(
            ssl_context=certificates,
            max_connections=_MAX_CONNECTIONS,
            keepalive_expiry=_IDLE_S,
            network_backend=_Backend(self._limits),
        )

    @contextlib.contextmanager
    def until(self, ends_at: float, *, is_begun: bool = False) -> Iterator[None]:
        """Everything that this thread sends and reads in the block ends at a moment of `time.monotonic()`.

        Args:
            ends_at: The moment.
            is_begun: Go on counting the bytes of the request that was begun before.
        """
        self._limits.ends_at = ends_at
        if not is_begun:
            self._limits.n_read = 0
        try:
            yield
        finally:
            self._limits.ends_at = float("inf")

    @property
    def n_read(self) -> int:
        """Bytes that came for this thread's request so far."""
        return self._limits.n_read

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it with the few headers that it needs, and give the answer's head."""
        # The request itself stays whole: the library reads its own headers again when the answer is there.
        headers = [(name, value) for name, value in request.headers.raw if name.lower() in _SENT_HEADERS]
        headers.append((b"Accept-Encoding", b"identity"))  # a packed answer could be a thousand times its size
        wanted = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=headers,
            content=request.stream,
            extensions={"timeout": {"pool": max(0.001, self._limits.ends_at - time.monotonic())}},
        )
        with _as_httpx():
            response = self._pool.handle_request(wanted)
        assert isinstance(response.stream, Iterable), "a pool that waits gives a body that waits"
        if any(name.lower() == b"content-encoding" and value != b"identity" for name, value in response.headers):
            response.close()
            raise httpx2.DecodingError("expected an answer that is not packed", request=request)
        return httpx2.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response.stream),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.close()


@contextlib.contextmanager
def _as_httpx() -> Iterator[None]:
    """What goes wrong below, in the words of the client above."""
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise httpx2.ReadTimeout(str(error)) from error
    except httpcore2.ConnectError as error:
        raise httpx2.ConnectError(str(error)) from error
    except httpcore2.NetworkError as error:
        raise httpx2.ReadError(str(error)) from error
    except (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
        raise httpx2.RemoteProtocolError(str(error)) from error
