"""Corrected intents in: the same door as recordings, and the same promises."""

import io
import json
import uuid
import zipfile
from datetime import UTC, datetime

import pytest
from tests.fakes.caller import Caller, a_clip
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.contracts.assist import NONE_OF_THESE, IntentCorrection, label_of
from projectone.contracts.corrections import SCOPE_OF_KIND
from projectone.server.corpus import payloads
from projectone.server.corpus.clips import read_clip
from projectone.server.corpus.labels import Labels
from projectone.server.corpus.payloads import Payloads

SENTENCE = "how warm will it be in Tromsø"


@pytest.fixture
def ada(backend: Backend) -> Caller:
    Labels(backend.engine).change(add=["weather", "timer"], now=datetime.now(UTC))
    caller = backend.caller()
    assert caller.grant_intents().status_code == 200
    return caller


def everything_on_disk(backend: Backend) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(backend.home.rglob("*")) if path.is_file())


def test_an_intent_is_kept_sealed_and_receipted(backend: Backend, ada: Caller) -> None:
    response = ada.put_intent(SENTENCE)
    assert response.status_code == 201
    assert response.json()["sha256"] == ada.intent(SENTENCE).payload_sha256
    (row,) = backend.catalog.waiting("intents")
    assert (row.kind, row.text, row.heard, row.duration_s) == ("intent", "weather", "timer", 0.0)
    assert read_clip(backend.catalog, backend.services.blobs, row.clip_sha256).decode() == SENTENCE
    assert backend.files() == [row.clip_sha256]
    kept = everything_on_disk(backend)
    assert SENTENCE.encode() not in kept and "Tromsø".encode() not in kept
    state = ada.signed("GET", endpoints.sample(row.sample_id)).json()
    assert state["state"] == "waiting"


def test_none_of_these_is_an_answer(backend: Backend, ada: Caller) -> None:
    assert ada.put_intent(SENTENCE, None).status_code == 201
    (row,) = backend.catalog.usable("intents")
    assert row.text == NONE_OF_THESE and label_of(row.text) is None


def test_no_speech_run_sees_an_intent_and_no_run_for_intents_a_recording(backend: Backend, ada: Caller) -> None:
    ada.put(a_clip())
    ada.put_intent(SENTENCE)
    assert [row.kind for row in backend.catalog.waiting()] == ["correction"]
    assert [row.kind for page in backend.catalog.usable_pages() for row in page] == ["correction"]
    assert [row.kind for row in backend.catalog.usable("intents")] == ["intent"]
    assert {row.kind for row in backend.catalog.living()} == {"correction", "intent"}
    of_each = [backend.catalog.counts(family)["waiting"] for family in ("speech", "intents", None)]
    assert of_each == [1, 1, 2]


def test_a_replay_gives_the_same_receipt_even_when_its_label_is_gone(backend: Backend, ada: Caller) -> None:
    first = ada.put_intent(SENTENCE)
    Labels(backend.engine).change(remove=["weather"], now=datetime.now(UTC))
    again = ada.put_intent(SENTENCE)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.content == again.content
    assert len(backend.catalog.waiting("intents")) == len(backend.files()) == 1


def test_one_id_holds_one_sentence_and_one_label(backend: Backend, ada: Caller) -> None:
    ada.put_intent(SENTENCE, name="one")
    assert reason(ada.put_intent(SENTENCE, "timer", name="one")) == (409, "sample-conflict")
    assert reason(ada.put_intent("other words", name="one")) == (409, "sample-conflict")
    assert len(backend.files()) == 1


@pytest.mark.parametrize("consent", ["corrections", "nobody's"])
def test_no_other_consent_covers_an_intent(backend: Backend, ada: Caller, consent: str) -> None:
    receipt = ada.consent_id if consent == "corrections" else uuid.uuid4()
    assert reason(ada.put_intent(SENTENCE, consent_receipt_id=receipt)) == (403, "consent-missing")
    assert backend.catalog.living() == [] and backend.files() == []


def test_the_consent_to_intents_covers_no_recording(backend: Backend, ada: Caller) -> None:
    assert reason(ada.put(a_clip(), consent_receipt_id=ada.intents_id)) == (403, "consent-missing")
    assert backend.files() == []


def test_a_label_that_nobody_teaches_is_refused_and_named_in_no_answer(backend: Backend, ada: Caller) -> None:
    answer = ada.put_intent(SENTENCE, "launch_missiles")
    assert reason(answer) == (422, "label-unknown")
    assert b"launch" not in answer.content and "Tromsø" not in answer.text
    assert backend.catalog.living() == [] and backend.files() == []


def test_a_server_without_labels_takes_no_intent(backend: Backend) -> None:
    ada = backend.caller()
    ada.grant_intents()
    assert reason(ada.put_intent(SENTENCE)) == (422, "label-unknown")
    assert ada.put_intent(SENTENCE, None).status_code == 201


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"text": "w" * 501}, "text-too-long"),
        ({"text": "a\x00b"}, "text-characters"),
        ({"text": "a\u202eb"}, "text-characters"),
        ({"text": "?!"}, "text-empty"),
        ({"label": "=cmd()"}, "label"),
        ({"label": NONE_OF_THESE}, "label"),
        ({"label": "a\x07"}, "text-characters"),
        ({"label": 7}, "contract"),
        ({"kind": "correction"}, "contract"),
        ({"contributor_id": "../x"}, "contract"),
        ({"extra": 1}, "contract"),
    ],
)
def test_hostile_metadata_is_refused_for_its_own_reason(
    backend: Backend, ada: Caller, changes: dict[str, object], expected: str
) -> None:
    intent = ada.intent(SENTENCE)
    document = json.loads(intent.to_bytes()) | changes
    body = str(document["text"]).encode()
    answer = ada.put_raw(intent, body, metadata=json.dumps(document).encode())
    assert reason(answer) == (422, expected)
    assert backend.catalog.living() == [] and backend.files() == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "text-digest"),
        (b"other words", "text-digest"),
        (SENTENCE.encode() + b"\n", "text-digest"),
        (b"\xff\xfe", "text-digest"),
        (b"w" * 2001, "text-too-long"),
        (a_clip(), "text-too-long"),
    ],
)
def test_a_body_that_is_not_the_sentence_is_refused(backend: Backend, ada: Caller, body: bytes, expected: str) -> None:
    assert reason(ada.put_raw(ada.intent(SENTENCE), body)) == (422, expected)
    assert backend.catalog.living() == [] and backend.files() == []


@pytest.mark.parametrize("defence", ["label", "body", "consent", "minor"])
def test_without_its_check_each_of_these_gets_in(
    backend: Backend, ada: Caller, monkeypatch: pytest.MonkeyPatch, defence: str
) -> None:
    """The control runs."""
    if defence == "label":
        monkeypatch.setattr(Payloads, "check_words", lambda self, sample: None)
        answer = ada.put_intent(SENTENCE, "launch_missiles")
    elif defence == "body":
        monkeypatch.setattr(payloads, "_check_sentence", lambda *arguments: None)
        answer = ada.put_raw(ada.intent(SENTENCE), b"other words")
    elif defence == "consent":
        monkeypatch.setitem(SCOPE_OF_KIND, "intent", "corrections")
        answer = ada.put_intent(SENTENCE, consent_receipt_id=ada.consent_id)
    else:
        monkeypatch.setattr(IntentCorrection, "require_usable", lambda self: None)
        answer = ada.put_intent(SENTENCE, is_adult=False)
    assert answer.status_code == 201
    assert len(backend.catalog.waiting("intents")) == 1


def test_nothing_of_a_minor_is_taken(backend: Backend, ada: Caller) -> None:
    assert reason(ada.put_intent(SENTENCE, is_adult=False)) == (422, "minor")
    assert backend.files() == []


def test_somebody_elses_intent_is_refused(backend: Backend, ada: Caller) -> None:
    bob = backend.caller("bob")
    theirs = ada.intent(SENTENCE)
    assert reason(bob.put_raw(theirs, theirs.payload)) == (403, "contributor")


def test_a_withdrawal_leaves_nothing_of_the_sentence(backend: Backend, ada: Caller) -> None:
    ada.put_intent(SENTENCE)
    ada.put(a_clip())
    assert ada.withdraw_intents().status_code == 200
    assert [row.kind for row in backend.catalog.living()] == ["correction"]
    assert len(backend.files()) == 1
    assert reason(ada.put_intent(SENTENCE)) == (410, "erased")
    erasure = ada.signed("GET", endpoints.erasure(ada.intents_id))
    assert erasure.status_code == 200


def test_one_intent_is_taken_back_alone(backend: Backend, ada: Caller) -> None:
    ada.put_intent(SENTENCE)
    ada.put_intent("set a timer", "timer")
    assert ada.signed("DELETE", endpoints.sample(ada.intent(SENTENCE).sample_id)).status_code == 200
    assert [row.text for row in backend.catalog.waiting("intents")] == ["timer"]
    assert len(backend.files()) == 1


def test_a_batch_may_hold_intents_beside_recordings(backend: Backend, ada: Caller) -> None:
    intent, clip = ada.intent(SENTENCE), a_clip()
    correction, alone = ada.correction(clip), ada.intent("set a timer", "timer")
    members = {
        f"{intent.sample_id}.json": intent.to_bytes(),
        f"{intent.sample_id}.txt": intent.payload,
        f"{correction.sample_id}.json": correction.to_bytes(),
        f"{correction.sample_id}.wav": clip,
        f"{alone.sample_id}.json": alone.to_bytes(),
    }
    answer = ada.signed("POST", endpoints.UPLOAD_TRAINING_DATA, zipped(members)).json()
    assert {item["sample_id"] for item in answer["stored"]} == {str(intent.sample_id), str(correction.sample_id)}
    assert [(item["item"], item["reason"]) for item in answer["refused"]] == [(str(alone.sample_id), "pair-incomplete")]
    members = {f"{intent.sample_id}.{ending}": b"" for ending in ("json", "txt", "wav")}
    twice = ada.signed("POST", endpoints.UPLOAD_TRAINING_DATA, zipped(members))
    assert reason(twice) == (422, "archive-duplicate")


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()
