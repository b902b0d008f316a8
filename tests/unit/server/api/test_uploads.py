"""Batches: every pair is kept or has its reason; a hostile archive is refused whole."""

import io
import uuid
import zipfile

import pytest
from tests.fakes.caller import Caller, a_clip
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints


def archive(members: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return stream.getvalue()


def pair(caller: Caller, name: str, clip: bytes, text: str = "seven") -> dict[str, bytes]:
    correction = caller.correction(clip, text, name=name)
    return {f"{correction.sample_id}.json": correction.to_bytes(), f"{correction.sample_id}.wav": clip}


def post(caller: Caller, body: bytes) -> object:
    return caller.signed("POST", endpoints.UPLOAD_TRAINING_DATA, body)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_good_pairs_are_kept_and_bad_ones_have_their_reason(backend: Backend, compression: int) -> None:
    ada = backend.caller()
    silent, orphan = uuid.uuid4(), uuid.uuid4()
    members = pair(ada, "one", a_clip(1)) | pair(ada, "two", a_clip(2)) | pair(ada, "three", b"not a wav")
    members |= {f"{silent}.json": b"{}", f"{silent}.wav": a_clip(3), f"{orphan}.wav": a_clip(4)}
    response = post(ada, archive(members, compression=compression))
    assert response.status_code == 200
    document = response.json()
    assert len(document["stored"]) == 2
    found = {item["item"]: item["reason"] for item in document["refused"]}
    bad = str(ada.correction(b"not a wav", name="three").sample_id)
    assert found == {bad: "wav-not-riff", str(silent): "contract", str(orphan): "pair-incomplete"}
    assert len(backend.catalog.waiting()) == len(backend.files()) == 2


def test_the_same_batch_again_gives_the_same_receipts(backend: Backend) -> None:
    ada = backend.caller()
    body = archive(pair(ada, "one", a_clip(1)))
    assert post(ada, body).content == post(ada, body).content
    assert len(backend.catalog.waiting()) == 1


def test_each_pair_needs_consent_and_the_right_person(backend: Backend) -> None:
    ada = backend.caller()
    members = pair(ada, "one", a_clip(1))
    ada.contributor_id = "person-bob"
    members |= pair(ada, "two", a_clip(2))
    ada.contributor_id = "person-ada"
    ada.withdraw()
    reasons = {item["reason"] for item in post(ada, archive(members)).json()["refused"]}
    assert reasons == {"consent-missing", "contributor"}
    assert backend.catalog.waiting() == []


def test_a_path_traversal_is_refused_whole(backend: Backend) -> None:
    ada = backend.caller()
    body = archive(pair(ada, "one", a_clip(1)) | {"../../escaped.wav": a_clip(2)})
    assert reason(post(ada, body)) == (422, "archive-name")
    assert backend.files() == []
    assert list(backend.home.parent.rglob("escaped*")) == []


def test_an_empty_archive_keeps_nothing(backend: Backend) -> None:
    ada = backend.caller()
    assert post(ada, archive({})).json() == {"stored": [], "refused": []}
    assert reason(post(ada, b"")) == (422, "archive-format")
