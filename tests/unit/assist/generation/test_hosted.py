"""A server that misbehaves has one of our names for it; one that behaves gets little from us, and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.fakes.chat_server import SAID, ChatServer, Fault, serving
from tests.fakes.generators import asked

from projectone.assist.generation.hosted import HostedGenerator, HostedServer
from projectone.assist.generation.protocol import Answer, Cost, GenerationError, GenerationRequest
from projectone.errors import ConsentError, SettingsError

PATIENT_S, IMPATIENT_S = 60.0, 0.3


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def hosted(server: ChatServer) -> Iterator[HostedGenerator]:
    hosted = HostedGenerator(
        HostedServer(base_url=server.base_url, model="small-1", api_key="key-1", prompt_price=1.5, answer_price=2.0)
    )
    yield hosted
    hosted.close()


@pytest.fixture(autouse=True)
def _well(server: ChatServer) -> None:
    server.fault, server.said = "none", SAID


FAULTS: list[tuple[Fault, str, str]] = [
    # what the server does, the reason of a whole answer, and of a stream
    ("down", "down", "down"),
    ("slow", "timeout", "timeout"),
    ("drip", "timeout", "timeout"),
    ("drip-head", "timeout", "timeout"),
    ("garbage", "garbage", "garbage"),
    ("429", "rate-limited", "rate-limited"),
    ("500", "down", "down"),
    ("401", "refused", "refused"),
    ("redirect", "refused", "refused"),
    ("packed", "cut", "cut"),
    ("cut", "cut", "cut"),
    ("no-end", "", "cut"),
    ("error-event", "", "cut"),
    ("wrong-schema", "wrong-schema", "wrong-schema"),
    ("endless", "too-long", "too-long"),
    ("empty", "garbage", "garbage"),
]


@pytest.mark.parametrize(("fault", "whole", "streamed"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_every_fault_has_its_name(
    server: ChatServer, hosted: HostedGenerator, fault: Fault, whole: str, streamed: str
) -> None:
    server.fault = fault
    request = asked(deadline_s=IMPATIENT_S if "timeout" in (whole, streamed) else PATIENT_S)
    if whole:
        with pytest.raises(GenerationError) as caught:
            hosted.generate(request)
        assert caught.value.reason == whole
    with pytest.raises(GenerationError) as caught:
        list(hosted.stream(request))
    assert caught.value.reason == streamed
    assert "what was asked" not in str(caught.value)


def test_nothing_is_sent_twice(server: ChatServer, hosted: HostedGenerator) -> None:
    server.fault = "500"
    before = server.n_requests
    with pytest.raises(GenerationError):
        hosted.generate(asked())
    assert server.n_requests == before + 1


def test_a_server_says_when_to_come_back() -> None:
    from projectone.assist.generation.hosted import _seconds

    assert [_seconds(text) for text in ("7", "0.5", "", "Wed, 21 Oct", "-1", "nan", "1e9")] == [7, 0.5] + [None] * 5


def test_an_answer_says_what_it_cost_and_who_wrote_it(server: ChatServer, hosted: HostedGenerator) -> None:
    answer = hosted.generate(asked(seed=3, deadline_s=PATIENT_S))
    assert (answer.text, answer.by, answer.seed) == (SAID, "hosted", 3)
    assert answer.model_version == f"small-1@{server.base_url.split('/')[2]}"
    assert answer.cost == Cost(11, 5, 27)  # 11 x 1.5 + 5 x 2, rounded up


def test_a_stream_gives_pieces_and_then_the_same_answer(hosted: HostedGenerator) -> None:
    *pieces, answer = hosted.stream(asked(deadline_s=PATIENT_S))
    assert len(pieces) == 3
    assert isinstance(answer, Answer) and "".join(map(str, pieces)) == answer.text == SAID


def test_what_could_move_a_cursor_or_turn_a_line_around_is_taken_out(
    server: ChatServer, hosted: HostedGenerator
) -> None:
    server.fault = "control-characters"
    assert hosted.generate(asked(deadline_s=PATIENT_S)).text == "It is[2J eight degrees."


def test_only_what_a_server_needs_leaves(
    server: ChatServer, hosted: HostedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ORG_ID", "PROJECT_ID", "ADMIN_KEY", "API_KEY", "BASE_URL"):
        monkeypatch.setenv(f"OPENAI_{name}", "http://leak")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Leak: leak")
    fresh = HostedGenerator(HostedServer(base_url=server.base_url, model="small-1", api_key="key-1"))
    fresh.generate(asked("how warm", system="Be brief.", max_tokens=9, temperature=0.5, seed=4, deadline_s=PATIENT_S))
    fresh.close()
    head, _, body = server.received[-1].partition(b"\r\n\r\n")
    names = {line.split(":")[0].lower() for line in head.decode().split("\r\n")[1:]}
    assert names <= {
        "host", "content-type", "content-length", "accept", "accept-encoding", "authorization", "connection",
    }  # fmt: skip
    assert b"leak" not in head and b"Bearer key-1" in head
    assert json.loads(body) == {
        "model": "small-1",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "how warm"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 4,
    }


def test_without_consent_not_a_byte_leaves(server: ChatServer) -> None:
    def refuse(request: GenerationRequest) -> None:
        raise ConsentError("not agreed")

    hosted = HostedGenerator(HostedServer(base_url=server.base_url, model="m"), before_bytes_leave=refuse)
    before = len(server.received)
    for ask in (hosted.generate, lambda request: list(hosted.stream(request))):
        with pytest.raises(GenerationError) as caught:
            ask(asked())
        assert caught.value.reason == "no-consent"
    assert len(server.received) == before


@pytest.mark.parametrize(
    "address", ["http://example.org/v1", "ftp://localhost", "https://", "https://a:b@host/v1", "https://[", "x"]
)
def test_an_address_in_the_clear_or_of_no_server_is_refused(address: str) -> None:
    with pytest.raises(SettingsError):
        HostedServer(base_url=address, model="m")
