"""What is asked across bytes, or across HTTP, is answered as the model itself answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.fakes.tiny_whisper import say

from projectone.assist.generation.fallback import FallbackGenerator
from projectone.assist.generation.protocol import Answer, GenerationError, GenerationRequest
from projectone.assist.generation.templates import TemplateGenerator
from projectone.assist.generation.wordings import WORDINGS
from projectone.assist.protocols import Judgement
from projectone.assist.vectors.protocol import Owner
from projectone.errors import DataError, RefusedError, TransportError
from projectone.server.replicas import wire
from projectone.server.replicas.app import create_app
from projectone.server.replicas.asking import Asking, LocalModels, answer_all
from projectone.server.replicas.http_client import HttpReplicas
from projectone.server.replicas.models import KINDS, ModelPlaces, load_model
from projectone.server.replicas.served import ServedClassifier, ServedEmbedder, ServedGenerator, ServedSpeech

TOKEN = "a-token-of-this-test"
TEXTS = ["play some song", "is it warm weather", "", "zzz"] * 3
REQUEST = GenerationRequest(
    owner=Owner("here", "anna"), prompt="what now", kind="policy", facts={"policy": "We open at nine."}
)


def over_http(asking: Asking, *, token: str = TOKEN, patience_s: float = 5.0) -> HttpReplicas:
    """A client whose network is the service itself."""
    service = TestClient(create_app(asking, KINDS, token=TOKEN))

    def carry(request: httpx2.Request) -> httpx2.Response:
        answer = service.request(
            request.method, str(request.url.path), content=request.content, headers=dict(request.headers)
        )
        return httpx2.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)

    return HttpReplicas("http://service", token, patience_s=patience_s, transport=httpx2.MockTransport(carry))


@pytest.fixture(params=["bytes", "http"])
def asking(request: pytest.FixtureRequest, local: LocalModels) -> Asking:
    return local if request.param == "bytes" else over_http(local)


def test_judgements_are_those_of_the_model_to_the_last_bit(asking: Asking, places: ModelPlaces) -> None:
    assert ServedClassifier(asking).classify(TEXTS) == load_model("classify", places).classify(TEXTS)


def test_vectors_are_those_of_the_model_to_the_last_bit(asking: Asking, places: ModelPlaces) -> None:
    served = ServedEmbedder(asking).embed(TEXTS)
    assert served.dtype == np.float32 and served.flags.writeable
    assert np.array_equal(served, load_model("embed", places).embed(TEXTS))
    assert ServedEmbedder(asking).embed([]).shape == (0, served.shape[1])


def test_an_answer_says_who_gave_it(asking: Asking) -> None:
    answer = ServedGenerator(asking, model_version="1").generate(REQUEST)
    assert isinstance(answer, Answer) and answer.text == "We open at nine."
    assert (answer.by, answer.template) == ("template", "policy")


def test_sound_is_heard_as_the_model_hears_it(asking: Asking, places: ModelPlaces) -> None:
    samples = say("red blue")
    assert ServedSpeech(asking).transcribe(samples) == load_model("transcribe", places).transcribe(samples)


def test_a_long_list_is_asked_in_parts(local: LocalModels) -> None:
    sizes: list[int] = []

    class Counting:
        def ask(self, kind: str, body: bytes) -> bytes:
            sizes.append(len(json.loads(body)["texts"]))
            return local.ask("classify", body)

    assert len(ServedClassifier(Counting()).classify(["song"] * 600)) == 600
    assert sizes == [256, 256, 88]


def test_questions_that_are_computed_together_get_their_own_answers(places: ModelPlaces) -> None:
    model = load_model("classify", places)
    asked = [["play some song"], [], ["is it warm weather", "set the alarm"], ["play some song"] * 5]
    bodies = [wire.texts_to_bytes(texts) for texts in asked]
    bodies.insert(2, b'{"texts": "no list"}')
    answers = answer_all("classify", model, bodies)
    with pytest.raises(DataError, match="expected at most"):
        wire.judgements_from_bytes(answers.pop(2))
    found: Sequence[Sequence[Judgement]] = [wire.judgements_from_bytes(answer) for answer in answers]
    assert [len(own) for own in found] == [1, 0, 2, 5]
    assert [judgement.label for own in found for judgement in own] == [
        judgement.label for texts in asked for judgement in model.classify(texts)
    ]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("classify", b"not json"),
        ("classify", b'{"texts": [1]}'),
        ("classify", json.dumps({"texts": ["x"] * 257}).encode()),
        ("embed", json.dumps({"texts": ["x" * 10_001]}).encode()),
        ("transcribe", b'{"samples": "!!"}'),
        ("transcribe", b'{"samples": "AADAfw=="}'),  # not a number
        ("transcribe", b"{}"),
        ("generate", b'{"prompt": "no owner"}'),
        ("generate", b'{"owner": {"tenant": "", "user": "", "is_shared": false}, "prompt": "x"}'),
        ("classify", b"[" * 100_000),
    ],
)
def test_what_is_no_question_is_told_so_and_harms_nobody(local: LocalModels, kind: str, body: bytes) -> None:
    content = over_http(local).ask(kind, body)  # type: ignore[arg-type]
    assert wire.status_of(content) == 422
    with pytest.raises(DataError):
        wire.answer_from_bytes(content)
    assert b"no owner" not in content


def test_a_generator_that_cannot_answer_says_why_and_the_next_one_answers() -> None:
    class Busy:
        name = model_version = "busy"

        def generate(self, request: GenerationRequest) -> Answer:
            raise GenerationError("rate-limited", "come again", retry_after_s=7.5)

    served = ServedGenerator(over_http(LocalModels(ModelPlaces(), {"generate": Busy()})), model_version="1")
    with pytest.raises(GenerationError) as caught:
        served.generate(REQUEST)
    assert (caught.value.reason, caught.value.retry_after_s) == ("rate-limited", 7.5)
    answer = FallbackGenerator([served], TemplateGenerator(WORDINGS)).generate(REQUEST)
    assert answer.by == "template" and [attempt.reason for attempt in answer.failed] == ["rate-limited"]


def test_a_service_that_cannot_be_reached_is_a_link_of_the_chain_that_failed(local: LocalModels) -> None:
    def away(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    gone = HttpReplicas("http://service", TOKEN, patience_s=0.01, transport=httpx2.MockTransport(away))
    links = [ServedGenerator(asking, model_version="1") for asking in (gone, over_http(local, token="wrong"))]
    answer = FallbackGenerator(links, TemplateGenerator(WORDINGS)).generate(REQUEST)
    assert answer.by == "template" and [attempt.reason for attempt in answer.failed] == ["down", "refused"]


def test_a_question_that_is_too_large_is_refused_before_it_is_kept(
    local: LocalModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_BODY_BYTES", 1_000)
    with pytest.raises(RefusedError) as caught:
        over_http(local).ask("classify", b"x" * 1_001)
    assert (caught.value.status, caught.value.reason) == (413, "too-large")


def test_without_the_token_nobody_is_answered(local: LocalModels) -> None:
    for wrong in ("", "another", TOKEN[:-1], f"{TOKEN}x"):
        with pytest.raises(RefusedError) as caught:
            ServedClassifier(over_http(local, token=wrong)).classify(["song"])
        assert caught.value.status == 401


def test_a_kind_that_is_not_served_is_named(places: ModelPlaces) -> None:
    with pytest.raises(RefusedError, match="no model is served"):
        ServedClassifier(over_http(LocalModels(ModelPlaces(), {}))).classify(["song"])


def flaky(failures: int, then: Callable[[httpx2.Request], httpx2.Response]) -> httpx2.MockTransport:
    left = [failures]

    def handle(request: httpx2.Request) -> httpx2.Response:
        if left[0]:
            left[0] -= 1
            if left[0] % 2:
                raise httpx2.ConnectError("refused")
            return httpx2.Response(503, json={"error": {"kind": "transport", "message": "nobody"}})
        return then(request)

    return httpx2.MockTransport(handle)


def test_a_service_that_is_away_for_a_moment_loses_no_question(
    local: LocalModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectone.server.replicas.http_client._AGAIN_S", 0.001)

    def then(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(
            200, content=local.ask("classify", request.content), headers={"content-type": "application/json"}
        )

    served = ServedClassifier(HttpReplicas("http://service", TOKEN, transport=flaky(5, then)))
    assert len(served.classify(["song"])) == 1
    with pytest.raises(TransportError, match="no answer in"):
        HttpReplicas("http://service", TOKEN, patience_s=0.01, transport=flaky(10_000, then)).ask("classify", b"")
