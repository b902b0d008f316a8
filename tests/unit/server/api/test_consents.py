"""Consent is asked for at the last moment, and taking it back erases."""

import errno
import json
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import delete
from tests.fakes.caller import SAID_AT, Caller, a_clip
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.contracts.erasures import ErasureReceipt, SignedErasure
from projectone.contracts.signatures import key_id_of, verify_erasure
from projectone.errors import ConsentError, DataError
from projectone.server.corpus.datasets import DatasetItem, read_dataset, seal_dataset
from projectone.server.corpus.retention import sweep
from projectone.server.corpus.tables import DOOMED, SampleRow
from projectone.server.database import writing
from projectone.server.delivery.signing import load_signer
from projectone.server.runs import Runs
from projectone.storage.blobs import FileBlobs


def item_of(row: SampleRow) -> DatasetItem:
    return DatasetItem(
        sample_id=str(row.sample_id),
        clip_sha256=row.clip_sha256,
        text=row.text,
        speaker="s",
        duration_s=row.duration_s,
        is_new=True,
    )


def traces(backend: Backend, *needles: bytes) -> list[str]:
    """Files of the server in which one of the needles can be found."""
    files = [path for path in backend.home.rglob("*") if path.is_file()]
    return [path.name for path in files if any(needle in path.read_bytes() for needle in needles)]


def test_without_consent_nothing_is_kept(backend: Backend) -> None:
    ada = Caller(backend.http, backend.services.enrolment_code)
    ada.enrol()
    assert reason(ada.put(a_clip())) == (403, "consent-missing")
    assert backend.catalog.waiting() == []


def test_a_consent_covers_its_own_purpose_only(backend: Backend) -> None:
    ada = backend.caller()
    assert reason(ada.put(a_clip(), kind="donation")) == (403, "consent-missing")
    assert reason(ada.put(a_clip(), consent_receipt_id=uuid.uuid4())) == (403, "consent-missing")


def test_somebody_elses_consent_is_no_consent(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    assert reason(bob.put(a_clip(), consent_receipt_id=ada.consent_id)) == (403, "consent-missing")


def test_a_consent_may_be_sent_again_but_not_changed(backend: Backend) -> None:
    ada = backend.caller()
    assert ada.grant().json() == json.loads(ada.receipt().to_bytes())
    assert reason(ada.grant("evaluation")) == (409, "consent-conflict")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"contributor_id": "person-bob"}, (403, "contributor")),
        ({"text_version": 99}, (422, "consent-text")),
        ({"receipt_id": uuid.uuid4()}, (422, "consent-id")),
    ],
)
def test_a_strange_consent_is_refused(backend: Backend, changes: dict[str, object], expected: tuple[int, str]) -> None:
    assert reason(backend.caller().grant(**changes)) == expected


def test_withdrawal_erases_the_clip_and_every_word_from_the_disk(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip(1), "periwinkle sample", heard="perry winkle", accent="Cornish")
    bob.put(a_clip(2), "something of bob")
    clip = backend.services.blobs.get(backend.catalog.waiting()[0].clip_sha256)
    assert traces(backend, clip)
    response = ada.withdraw()
    assert response.status_code == 200
    assert response.json()["withdrawn_at"] is not None
    assert traces(backend, b"periwinkle", b"perry winkle", b"Cornish", clip) == []
    assert [row.text for row in backend.catalog.usable()] == ["something of bob"]
    assert len(backend.files()) == 1


def test_withdrawal_takes_what_was_made_from_the_sample_before_it_is_answered(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip(1), "of ada")
    bob.put(a_clip(2), "of bob")
    made: dict[str, list[Path]] = {}
    for row in backend.catalog.waiting():
        sealed = seal_dataset(backend.services.catalog, backend.services.blobs, [item_of(row)])
        runs, model_sha256 = Runs(backend.engine), sealed.sha256[::-1]
        run_id = runs.request("on-demand").run_id
        made[row.contributor_id] = [
            backend.home / "runs" / run_id / f"training-{sealed.sha256[:16]}" / "checkpoint.safetensors",
            backend.home / "runs" / run_id / f"candidate-{sealed.sha256[:16]}" / "model.safetensors",
            backend.home / "models" / model_sha256 / "model.safetensors",
            backend.home / "evaluations" / "golden" / f"{model_sha256}.json",
            backend.home / "quarantine" / run_id / "model" / "model.safetensors",
        ]
        for path in made[row.contributor_id]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"learned")
        values = {"dataset_sha256": sealed.sha256, "candidate_sha256": model_sha256}
        runs.finish(run_id, "quarantined", guard=lambda connection: None, **values)
    assert ada.withdraw().status_code == 200
    of_ada, of_bob = (made[person.contributor_id] for person in (ada, bob))
    assert [path for path in of_ada if path.exists()] == []
    assert [path for path in of_bob if not path.exists()] == []


def test_what_was_erased_stays_erased(backend: Backend) -> None:
    ada = backend.caller()
    ada.put(a_clip())
    ada.withdraw()
    assert reason(ada.put(a_clip())) == (410, "erased")
    assert ada.signed("GET", endpoints.sample(ada.correction(a_clip()).sample_id)).json()["state"] == "erased"
    backend.services.catalog.mark([ada.correction(a_clip()).sample_id], "used")
    assert backend.services.catalog.counts()["erased"] == 1


def test_a_withdrawn_consent_cannot_be_given_again_under_its_old_id(backend: Backend) -> None:
    ada = backend.caller()
    first = ada.withdraw()
    assert ada.withdraw().content == first.content  # again: the same answer
    assert ada.grant().content == first.content
    assert reason(ada.put(a_clip())) == (403, "consent-missing")


def test_a_consent_that_arrives_withdrawn_counts_as_withdrawn(backend: Backend) -> None:
    ada = backend.caller()
    ada.put(a_clip())
    assert ada.grant(withdrawn_at=SAID_AT).json()["withdrawn_at"] is not None
    assert backend.files() == []


def test_nobody_withdraws_for_somebody_else(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip())
    assert reason(bob.signed("DELETE", endpoints.consent(ada.consent_id))) == (404, "consent-unknown")
    assert len(backend.catalog.waiting()) == 1


def test_a_clip_that_two_people_sent_is_two_and_each_goes_with_its_own(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip())
    bob.put(a_clip())
    assert len(backend.files()) == 2
    ada.withdraw()
    assert backend.files() == [backend.catalog.waiting()[0].clip_sha256]
    bob.withdraw()
    assert backend.files() == []


def test_a_sealed_dataset_goes_with_the_first_sample_withdrawn(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip(1), "periwinkle")
    bob.put(a_clip(2), "bobs words")
    catalog, blobs = backend.catalog, backend.services.blobs
    items = [
        DatasetItem(
            sample_id=str(row.sample_id),
            clip_sha256=row.clip_sha256,
            text=row.text,
            speaker=row.contributor_id,
            duration_s=row.duration_s,
            is_new=True,
        )
        for row in catalog.waiting()
    ]
    both, bobs = seal_dataset(catalog, blobs, items), seal_dataset(catalog, blobs, items[1:])
    ada.withdraw()
    with pytest.raises(DataError) as caught:
        read_dataset(catalog, blobs, both.sha256)
    assert caught.value.reason == "dataset-withdrawn"
    assert traces(backend, b"periwinkle") == []
    assert [item.text for item in read_dataset(catalog, blobs, bobs.sha256)] == ["bobs words"]


def test_no_sample_is_kept_after_a_withdrawal_that_raced_it(backend: Backend) -> None:
    ada = backend.caller()
    for n in range(6):
        ada.consent_id = uuid.uuid4()
        assert ada.grant().status_code == 200
        uploads = [threading.Thread(target=ada.put, args=(a_clip(k),), kwargs={"name": f"{n} {k}"}) for k in range(4)]
        for thread in uploads:
            thread.start()
        ada.withdraw()
        for thread in uploads:
            thread.join()
        assert backend.catalog.waiting() == []
        # A clip whose row was refused is left for the sweep; no row may point at nothing.
    from projectone.server.corpus.retention import sweep

    sweep(backend.services.catalog, backend.services.blobs)
    assert backend.files() == []


def read_erasure(backend: Backend, caller: Caller) -> ErasureReceipt:
    """The receipt as a device reads it: by the key that `init` showed."""
    response = caller.signed("GET", endpoints.erasure(caller.consent_id))
    assert response.status_code == 200
    key = load_signer(backend.home / "keys" / "release.key").public_key
    return verify_erasure({key_id_of(key): key}, SignedErasure.from_bytes(response.content))


def test_a_withdrawal_is_certified_to_the_person_alone(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip(1), name="one")
    ada.put(a_clip(2), name="two")
    path = endpoints.erasure(ada.consent_id)
    assert reason(ada.signed("GET", path)) == (409, "consent-in-force")
    ada.withdraw()
    assert reason(bob.signed("GET", path)) == (404, "consent-unknown")
    receipt = read_erasure(backend, ada)
    assert (receipt.contributor_id, receipt.scope, receipt.n_samples) == (ada.contributor_id, "corrections", 2)
    assert (receipt.dataset_sha256s, receipt.releases, receipt.is_complete) == ((), (), True)
    assert receipt.limits
    again = read_erasure(backend, ada)
    assert again.model_copy(update={"issued_at": receipt.issued_at}) == receipt


def test_a_certificate_is_not_complete_while_a_run_still_holds_a_sample(backend: Backend) -> None:
    ada = backend.caller()
    ada.put(a_clip())
    (row,) = backend.catalog.waiting()
    sealed = seal_dataset(backend.services.catalog, backend.services.blobs, [item_of(row)])
    runs = Runs(backend.engine)
    run_id = runs.request("on-demand").run_id
    runs.change(run_id, guard=lambda connection: None, dataset_sha256=sealed.sha256)
    ada.withdraw()
    assert not read_erasure(backend, ada).is_complete
    runs.finish(run_id, "failed", guard=lambda connection: None)
    receipt = read_erasure(backend, ada)
    assert (receipt.is_complete, receipt.dataset_sha256s) == (True, (sealed.sha256,))


@pytest.mark.parametrize("is_remembered", [True, False])
def test_what_a_failing_disk_kept_goes_when_the_same_is_asked_again(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, is_remembered: bool
) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip(1))
    bob.put(a_clip(2))
    rows = backend.catalog.waiting()
    seal_dataset(backend.services.catalog, backend.services.blobs, [item_of(row) for row in rows])

    def fail(self: FileBlobs, sha256: str) -> None:
        raise OSError(errno.EIO, "the disk fails")

    with monkeypatch.context() as broken:
        broken.setattr(FileBlobs, "delete", fail)
        assert reason(ada.withdraw()) == (503, "storage")
    assert len(backend.files()) == 3
    if not is_remembered:  # the control: without the note, the second request would not know what the first one left
        with writing(backend.engine) as connection:
            connection.execute(delete(DOOMED))
        assert ada.withdraw().status_code == 200
        assert len(backend.files()) == 3
        return
    assert not read_erasure(backend, ada).is_complete
    assert ada.withdraw().status_code == 200
    assert backend.files() == [row.clip_sha256 for row in rows if row.contributor_id == bob.contributor_id]
    assert read_erasure(backend, ada).is_complete


def test_one_bad_sector_holds_up_no_other_erasure(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip(1))
    ada.put(a_clip(2), name="second")
    bob.put(a_clip(3))
    bad = next(row.clip_sha256 for row in backend.catalog.waiting())
    delete_blob = FileBlobs.delete

    def fail(self: FileBlobs, sha256: str) -> None:
        if sha256 == bad:
            raise OSError(errno.EIO, "the disk fails")
        delete_blob(self, sha256)

    monkeypatch.setattr(FileBlobs, "delete", fail)
    assert reason(ada.withdraw()) == (503, "storage")
    assert bob.withdraw().status_code == 200
    assert backend.files() == [bad]
    assert (read_erasure(backend, ada).is_complete, read_erasure(backend, bob).is_complete) == (False, True)
    monkeypatch.undo()
    sweep(backend.services.catalog, backend.services.blobs)
    assert (backend.files(), read_erasure(backend, ada).is_complete) == ([], True)


def test_a_dataset_whose_sample_is_withdrawn_while_it_is_sealed_does_not_stay(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = backend.caller()
    ada.put(a_clip())
    (row,) = backend.catalog.waiting()
    put_blob = FileBlobs.put

    def withdraw_first(self: FileBlobs, content: Iterable[bytes], *, expected_sha256: str | None = None) -> str:
        monkeypatch.undo()
        assert ada.withdraw().status_code == 200
        return put_blob(self, content, expected_sha256=expected_sha256)

    monkeypatch.setattr(FileBlobs, "put", withdraw_first)
    with pytest.raises(ConsentError, match="while it was sealed"):
        seal_dataset(backend.services.catalog, backend.services.blobs, [item_of(row)])
    assert backend.files() == []
