"""HTTP as the device uses it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from tests.fakes.release_server import FakeServer

from projectone.device.transport import MAX_ANSWER_BYTES, Transport
from projectone.errors import ConsentError, ContractError, RefusedError, SettingsError, TransportError


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def transport(server: FakeServer, pauses: list[float]) -> Iterator[Transport]:
    made = Transport(server.url, lambda **_: {"X-Device-Id": "d-1"}, sleep=pauses.append, seed=0)
    yield made
    made.close()


def test_a_failing_server_is_asked_a_few_times_with_growing_pauses(
    transport: Transport, server: FakeServer, pauses: list[float]
) -> None:
    server.faults.answer = lambda method, path: (503, "busy")
    with pytest.raises(TransportError, match="503") as caught:
        transport.call("GET", "/latest-model-info")
    assert not isinstance(caught.value, RefusedError)
    assert len(server.requests) == 3
    assert 0 < pauses[0] < pauses[1]


def test_a_server_that_recovers_is_answered_from(transport: Transport, server: FakeServer) -> None:
    answers = [(502, "bad"), None]
    server.faults.answer = lambda method, path: answers.pop(0)
    server.release({"a.bin": b"a"})
    assert transport.call("GET", "/latest-model-info").status == 200


def test_a_no_is_not_asked_twice(transport: Transport, server: FakeServer) -> None:
    server.faults.answer = lambda method, path: (403, "consent-missing")
    with pytest.raises(RefusedError, match="as the test wished") as caught:
        transport.call("GET", "/latest-model-info")
    assert (caught.value.status, caught.value.reason) == (403, "consent-missing")
    assert len(server.requests) == 1


def test_nobody_there_is_a_transport_error(pauses: list[float]) -> None:
    transport = Transport("http://127.0.0.1:9", lambda **_: {}, sleep=pauses.append)
    with pytest.raises(TransportError, match="ConnectError"):
        transport.call("GET", "/health/live")
    transport.close()


def test_no_server_is_a_setting_to_make() -> None:
    transport = Transport(None, lambda **_: {})
    with pytest.raises(SettingsError, match="PROJECTONE_SERVER"):
        transport.call("GET", "/health/live")
    transport.close()


def test_consent_is_asked_before_every_attempt(transport: Transport, server: FakeServer) -> None:
    answers = [None, ConsentError("withdrawn between two attempts")]

    def ask() -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    server.faults.answer = lambda method, path: (500, "oops")
    with pytest.raises(ConsentError):
        transport.call("PUT", "/v1/samples/x", body=b"sound", before_bytes_leave=ask)
    assert len(server.requests) == 1


def answer_with(transport: Transport, handler: httpx2.MockTransport) -> None:
    transport._client.close()
    transport._client = httpx2.Client(transport=handler)


def test_a_redirect_is_not_followed(transport: Transport) -> None:
    elsewhere = httpx2.Response(307, headers={"Location": "http://elsewhere.example/"})
    answer_with(transport, httpx2.MockTransport(lambda request: elsewhere))
    with pytest.raises(ContractError, match="redirect"):
        transport.call("PUT", "/v1/samples/x", body=b"sound")


def test_an_endless_answer_is_left(transport: Transport) -> None:
    huge = httpx2.Response(200, content=b"x" * (MAX_ANSWER_BYTES + 1))
    answer_with(transport, httpx2.MockTransport(lambda request: huge))
    with pytest.raises(ContractError, match="at most"):
        transport.call("GET", "/latest-model-info")


def test_a_page_of_some_proxy_is_a_refusal_without_our_words(transport: Transport) -> None:
    page = httpx2.Response(407, content=b"<html>pay first</html>")
    answer_with(transport, httpx2.MockTransport(lambda request: page))
    with pytest.raises(RefusedError) as caught:
        transport.call("GET", "/latest-model-info")
    assert caught.value.reason == "http-407"


def test_a_proxy_in_the_environment_is_not_used(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    server.release({"a.bin": b"a"})
    transport = Transport(server.url, lambda **_: {})
    assert transport.call("GET", "/latest-model-info", is_signed=False).status == 200
    transport.close()
