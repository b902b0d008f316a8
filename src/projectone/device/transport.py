"""HTTP to the server: signed, retried, limited. Foreign errors end here."""

from __future__ import annotations

import contextlib
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from projectone.contracts.uploads import Problem
from projectone.errors import ContractError, RefusedError, SettingsError, TransportError

if TYPE_CHECKING:
    import httpx2

MAX_ANSWER_BYTES = 1024 * 1024
_TIMEOUT_S, _CONNECT_TIMEOUT_S = 30.0, 10.0
_ATTEMPTS = 3
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
# A server that sends a byte now and then keeps nobody waiting longer than this for one answer.
_LONGEST_ANSWER_S = 60.0
_TRY_AGAIN = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
    HTTPStatus.INSUFFICIENT_STORAGE,
}


# What somebody answers to whom we were sent: the bytes, or that those kept here are a part of others.
_HAS_IT = {
    HTTPStatus.OK,
    HTTPStatus.PARTIAL_CONTENT,
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
}


class Sign(Protocol):
    """Makes the headers that prove who sends a request."""

    def __call__(self, *, method: str, path: str, query: str, body: bytes, sample_header: str) -> dict[str, str]:
        """The headers for exactly this request."""
        ...


@dataclass(frozen=True)
class Answer:
    """A good answer: 2xx, with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Download:
    """A body on its way. `start` is where it begins inside the whole."""

    start: int
    etag: str | None
    pieces: Iterator[bytes]


class Transport:
    """Calls one server. Every call here may be repeated without harm, so it is, a few times."""

    def __init__(
        self,
        server: str | None,
        sign: Sign,
        *,
        sleep: Callable[[float], None] = time.sleep,
        seed: int | None = None,
        timeout: httpx2.Timeout | None = None,
    ) -> None:
        self.server = server
        self._sign = sign
        self._sleep = sleep
        self._random = random.Random(seed)
        self._timeout = timeout

    def close(self) -> None:
        """Let go of the connections."""
        if "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> httpx2.Client:
        """Made for the first request: most commands make none, and it takes a fifth of their time."""
        import httpx2

        timeout = self._timeout or httpx2.Timeout(_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        # No proxy, netrc or certificate override from the environment: what is sent is private.
        return httpx2.Client(
            trust_env=False, follow_redirects=False, timeout=timeout, verify=_certificates(self.server)
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes = b"",
        media_type: str | None = None,
        sample_header: str = "",
        is_signed: bool = True,
        extra_headers: Mapping[str, str] | None = None,
        before_bytes_leave: Callable[[], object] = lambda: None,
    ) -> Answer:
        """Send one request and give the good answer.

        Args:
            method: HTTP method; only ones that may be repeated.
            path: Path on the server.
            query: Query without its question mark.
            body: The whole body.
            media_type: What the body is.
            sample_header: Metadata that travels with a sample.
            is_signed: Whether to prove who sends it.
            extra_headers: Sent beside the others; nothing covers them.
            before_bytes_leave: Called before each attempt; what it raises stops the call before anything is sent.

        Raises:
            RefusedError: if the server said no.
            TransportError: if there was no answer, or only failures, after a few attempts.
            ContractError: if the answer is outside the agreement.
        """
        problem = TransportError("no attempt was made")
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._pause(attempt, problem)
            before_bytes_leave()
            headers = ({"Content-Type": media_type} if media_type else {}) | dict(extra_headers or {})
            if is_signed:
                headers |= self._sign(method=method, path=path, query=query, body=body, sample_header=sample_header)
            try:
                with self._open(method, path, query, headers, body) as response:
                    return _good_answer(response)
            except RefusedError:
                raise
            except TransportError as error:
                problem = error
        raise problem

    @contextlib.contextmanager
    def download(self, path: str, *, offset: int, etag: str | None, is_direct: bool = False) -> Iterator[Download]:
        """Open the body behind `path` from `offset` on, if it is still the one that `etag` names.

        The server decides: `start` of what is given is `offset` or 0, and it may send us elsewhere, once: to a CDN or a
        bucket, which is told nothing of who asks. Whoever calls knows the digest of the whole and believes nobody.
        Reading `pieces` may raise TransportError; what was read before is good and need not be fetched again.

        Args:
            path: Path on the server.
            offset: Bytes that are here.
            etag: Of what they are a part.
            is_direct: Ask the server not to send us elsewhere.

        Raises:
            RefusedError: if the server said no; 412 and 416 mean that the part kept here is of no use.
            TransportError: if the wire failed.
            ContractError: if the server continues elsewhere than it was asked to.
        """
        headers = {"Accept-Encoding": "identity"}
        if offset and etag:
            # Some servers ignore the one, some the other (If-Range: Swift; If-Match: Starlette).
            headers |= {"Range": f"bytes={offset}-", "If-Range": etag, "If-Match": etag}
        with self._open_body(path, headers, is_direct=is_direct) as response:
            if response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                _good_answer(response)
                raise ContractError(f"GET {path}: expected 200 or 206, got {response.status_code}")
            start = 0
            if response.status_code == HTTPStatus.PARTIAL_CONTENT:
                start = offset
                _check_continues(response, path, offset, etag)
            yield Download(start, _strong_etag(response), _pieces(response, path))

    @contextlib.contextmanager
    def _open_body(self, path: str, headers: dict[str, str], *, is_direct: bool) -> Iterator[httpx2.Response]:
        with self._open("GET", path, "direct=1" if is_direct else "", headers, b"") as response:
            if is_direct or response.status_code != HTTPStatus.TEMPORARY_REDIRECT:
                yield response
                return
            address = _elsewhere(response)
        import httpx2

        try:
            with self._client.stream("GET", address, headers=headers) as response:
                if response.status_code in _HAS_IT:
                    yield response
                    return
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise TransportError(f"GET {address.host}: {type(error).__name__}: {error}") from error
        with self._open("GET", path, "direct=1", headers, b"") as response:  # what is not there is here
            yield response

    @contextlib.contextmanager
    def _open(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> Iterator[httpx2.Response]:
        if self.server is None:
            raise SettingsError("no server: set PROJECTONE_SERVER to its address, such as https://speech.example.org")
        url = self.server + path + (f"?{query}" if query else "")
        import httpx2

        try:
            with self._client.stream(method, url, headers=headers, content=body) as response:
                yield response
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise TransportError(f"{method} {path}: {type(error).__name__}: {error}") from error

    def _pause(self, attempt: int, problem: TransportError) -> None:
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**attempt)
        self._sleep(longest * self._random.uniform(0.5, 1.0))


def _certificates(server: str | None) -> ssl.SSLContext | bool:
    """The certificates to believe. Where nothing is encrypted, none: reading them all takes longer than a command."""
    if server is not None and server.startswith("https:"):
        return True
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _elsewhere(response: httpx2.Response) -> httpx2.URL:
    """Where a redirect points: no less safe a place than the one that it comes from.

    Raises:
        ContractError: if it is one.
    """
    import httpx2

    try:
        address = httpx2.URL(response.headers.get("location", ""))
    except httpx2.InvalidURL as error:
        raise ContractError(f"{response.url.path}: expected an address to go on at: {error}") from error
    is_safe = address.scheme == "https" or (address.scheme == "http" and response.url.scheme == "http")
    if not is_safe or not address.host or address.userinfo:
        raise ContractError(f"{response.url.path}: expected to go on at an https address, got {str(address)[:200]!r}")
    return address


def _pieces(response: httpx2.Response, path: str) -> Iterator[bytes]:
    import httpx2

    try:
        yield from response.iter_raw(64 * 1024)
    except httpx2.HTTPError as error:
        raise TransportError(f"GET {path}: {type(error).__name__}: {error}") from error


def _good_answer(response: httpx2.Response) -> Answer:
    """The answer, or the error it stands for."""
    body = bytearray()
    begun_s = time.monotonic()
    for piece in response.iter_bytes():
        body += piece
        if time.monotonic() - begun_s > _LONGEST_ANSWER_S:
            raise TransportError(f"{response.url.path}: no whole answer in {_LONGEST_ANSWER_S:.0f} s")
        if len(body) > MAX_ANSWER_BYTES:
            raise ContractError(f"{response.url.path}: expected at most {MAX_ANSWER_BYTES} bytes, got more")
    status = response.status_code
    if 200 <= status < 300:
        return Answer(status, response.headers, bytes(body))
    if status < 400:
        raise ContractError(f"{response.url.path}: expected an answer, got a redirect ({status})")
    try:
        problem = Problem.from_bytes(bytes(body))
        reason, detail = problem.reason, problem.detail
    except ContractError:  # a proxy's page, not our server's words
        reason, detail = f"http-{status}", response.reason_phrase
    if status in _TRY_AGAIN:
        raise TransportError(f"the server failed ({status}, {reason}): {detail}")
    raise RefusedError(f"the server said no ({reason}): {detail}", status=status, reason=reason)


def _check_continues(response: httpx2.Response, path: str, offset: int, etag: str | None) -> None:
    """Both what was asked for and what came must be the same piece of the same bytes."""
    content_range = response.headers.get("content-range", "")
    if offset == 0 or not content_range.startswith(f"bytes {offset}-"):
        raise ContractError(f"GET {path}: expected bytes from {offset} on, got Content-Range {content_range!r}")
    actual = response.headers.get("etag")
    if actual is not None and actual != etag:
        raise ContractError(f"GET {path}: expected ETag {etag}, got {actual}")


def _strong_etag(response: httpx2.Response) -> str | None:
    etag = response.headers.get("etag")
    return etag if etag and not etag.startswith("W/") else None
