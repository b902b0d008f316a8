"""Samples in: acknowledged means on the disk; refused means nothing was kept."""

import json
import threading
import uuid

import numpy as np
import pytest
from tests.fakes.caller import a_clip
from tests.hostile.audio_families import float_wav, fmt, riff
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.errors import StorageError
from projectone.server.corpus.clips import read_clip
from projectone.waveform.wav import encode_wav, parse_wav

A_WAV = "audio/wav"


def test_a_sample_is_kept_as_16_khz_mono_and_receipted(backend: Backend) -> None:
    ada = backend.caller()
    clip = encode_wav(np.stack([parse_wav(a_clip(rate=44100)).samples[:, 0]] * 2, axis=1), 44100)
    response = ada.put(clip, audio={"sample_rate_hz": 44100, "duration_s": 0.3})
    assert response.status_code == 201
    assert set(response.json()) == {"sample_id", "sha256", "received_at"}
    (row,) = backend.catalog.waiting()
    assert (row.text, row.heard, row.contributor_id, row.state) == ("seven", "eleven", "person-ada", "waiting")
    audio = parse_wav(read_clip(backend.catalog, backend.services.blobs, row.clip_sha256))
    assert (audio.sample_rate_hz, audio.samples.shape) == (16000, (4800, 1))
    assert backend.files() == [row.clip_sha256]


def test_nothing_of_the_file_that_was_sent_is_kept_but_its_sound(backend: Backend) -> None:
    ada = backend.caller()
    sound = a_clip()[44:]
    clip = riff(fmt(), b"LIST\x10\0\0\0payload-of-mine!", b"data" + len(sound).to_bytes(4, "little") + sound)
    assert ada.put(clip, audio={"duration_s": 0.3}).status_code == 201
    kept = read_clip(backend.catalog, backend.services.blobs, backend.files()[0])
    assert kept.startswith(b"RIFF")
    assert b"payload" not in kept


def test_the_same_again_gives_the_same_receipt(backend: Backend) -> None:
    ada = backend.caller()
    first, again = ada.put(a_clip()), ada.put(a_clip())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.content == again.content
    assert len(backend.catalog.waiting()) == 1


@pytest.mark.parametrize("changes", [{"text": "eight"}, {"heard": "heaven"}, {"accent": "Welsh"}])
def test_one_id_holds_one_content(backend: Backend, changes: dict[str, str]) -> None:
    ada = backend.caller()
    ada.put(a_clip())
    assert reason(ada.put(a_clip(), **changes)) == (409, "sample-conflict")
    assert reason(ada.put(a_clip(1))) == (409, "sample-conflict")
    assert backend.catalog.waiting()[0].text == "seven"


def test_somebody_elses_id_is_taken(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip())
    stolen = bob.correction(a_clip(), sample_id=ada.correction(a_clip()).sample_id)
    assert reason(bob.put_raw(stolen, a_clip())) == (409, "sample-conflict")


def test_many_replays_at_once_keep_one_sample(backend: Backend) -> None:
    ada = backend.caller()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ada.put(a_clip()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted({answer.status_code for answer in answers}) == [200, 201]
    assert len({answer.content for answer in answers}) == 1
    assert len(backend.catalog.waiting()) == 1


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        (b"", "audio-size"),
        (b"this is a text file", "wav-not-riff"),
        (riff(fmt(), b"data\0\0\0\0"), "wav-empty"),
        (float_wav(np.full(4800, np.nan)), "wav-not-finite"),
        (a_clip(duration_s=0.05), "too-short"),
        (a_clip() + b"PK\x03\x04", "wav-trailing-bytes"),
    ],
)
def test_bad_audio_is_refused_with_its_reason(backend: Backend, clip: bytes, expected: str) -> None:
    ada = backend.caller()
    assert reason(ada.put(clip, audio={"size_bytes": max(1, len(clip))})) == (422, expected)
    assert backend.files() == []
    assert backend.catalog.waiting() == []


def test_a_device_that_lies_about_its_clip_is_refused(backend: Backend) -> None:
    ada = backend.caller()
    assert reason(ada.put(a_clip(), audio={"duration_s": 3.0})) == (422, "audio-mismatch")
    assert reason(ada.put(a_clip(), audio={"sample_rate_hz": 8000})) == (422, "audio-mismatch")
    assert reason(ada.put(a_clip(), audio={"sha256": "0" * 64})) == (422, "audio-digest")
    assert reason(ada.put(a_clip(), audio={"size_bytes": 7})) == (422, "audio-size")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "text-empty"),
        ("...", "text-empty"),
        ("x" * 2001, "text-too-long"),
        ("a\0b", "text-characters"),
        ("a\u202eb", "text-characters"),
        ("a" + "\u0301" * 9, "text-characters"),
    ],
)
def test_a_bad_text_is_refused_with_its_reason(backend: Backend, text: str, expected: str) -> None:
    ada = backend.caller()
    correction = ada.correction(a_clip())
    document = json.loads(correction.to_bytes()) | {"text": text}
    response = ada.put_raw(correction, a_clip(), metadata=json.dumps(document).encode())
    assert reason(response) == (422, expected)
    assert backend.catalog.waiting() == []


@pytest.mark.parametrize(
    "change",
    [
        b'"text":"\\ud800"',
        b'"text":1e999',
        b'"text":null',
        b'"duration_s":5e-324',
        b'"duration_s":NaN',
        b'"duration_s":Infinity',
        b'"size_bytes":' + b"9" * 4000,
        b'"schema_version":2',
        b'"unheard_of":1',
        b'"recorded_at":"2026-11-01T00:00:00"',
        b'"recorded_at":"9999999999999-01-01T00:00:00Z"',
    ],
)
def test_odd_metadata_is_422_and_never_500(backend: Backend, change: bytes) -> None:
    ada = backend.caller()
    correction = ada.correction(a_clip())
    name, _, _ = change.partition(b":")
    document = correction.to_bytes()
    start = document.find(name)
    if start < 0:
        metadata = document[:-1] + b"," + change + b"}"
    else:
        ends = [end for end in (document.find(b",", start), document.find(b"}", start)) if end > 0]
        metadata = document[:start] + change + document[min(ends) :]
    response = ada.put_raw(correction, a_clip(), metadata=metadata)
    assert response.status_code == 422, response.text
    reason(response)


def test_a_hidden_character_in_a_side_text_is_refused(backend: Backend) -> None:
    ada = backend.caller()
    assert reason(ada.put(a_clip(), heard="a\0b")) == (422, "text-characters")
    assert ada.put(a_clip(), heard="").status_code == 201  # a model may hear nothing


@pytest.mark.parametrize(("header", "expected"), [("", 400), ("!!", 400), ("A" * 30_000, 413), ("bm90IGpzb24=", 422)])
def test_a_sample_needs_its_metadata(backend: Backend, header: str, expected: int) -> None:
    ada = backend.caller()
    path = endpoints.sample(uuid.uuid4())
    response = ada.signed("PUT", path, a_clip(), sample_header=header)
    assert response.status_code == expected
    reason(response)


def test_path_and_metadata_name_the_same_sample(backend: Backend) -> None:
    ada = backend.caller()
    correction = ada.correction(a_clip())
    other = correction.model_copy(update={"sample_id": uuid.uuid4()})
    assert reason(ada.put_raw(other, a_clip(), metadata=correction.to_bytes())) == (422, "sample-id")


def test_a_sample_of_another_person_is_refused(backend: Backend) -> None:
    ada = backend.caller()
    assert reason(ada.put(a_clip(), contributor_id="person-bob")) == (403, "contributor")


def test_only_the_sender_learns_what_became_of_a_sample(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip())
    path = endpoints.sample(ada.correction(a_clip()).sample_id)
    assert ada.signed("GET", path).json()["state"] == "waiting"
    backend.services.catalog.mark([ada.correction(a_clip()).sample_id], "discarded", reason="silence", run_id="r1")
    assert ada.signed("GET", path).json() | {"received_at": ""} == {
        "sample_id": str(ada.correction(a_clip()).sample_id),
        "state": "discarded",
        "reason": "silence",
        "received_at": "",
    }
    assert reason(bob.signed("GET", path)) == (404, "sample-unknown")


def test_a_disk_that_fails_is_503_a_full_one_507_and_nothing_is_promised(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = backend.caller()

    def refuse(code: int) -> None:
        def put(content: object, **_: object) -> str:
            raise StorageError("no") from OSError(code, "no")

        monkeypatch.setattr(backend.services.blobs, "put", put)

    refuse(28)
    response = ada.put(a_clip())
    assert reason(response) == (507, "disk-full")
    assert int(response.headers["retry-after"]) > 0
    refuse(5)
    assert reason(ada.put(a_clip())) == (503, "storage")
    assert backend.catalog.waiting() == []
    monkeypatch.undo()
    assert ada.put(a_clip()).status_code == 201
