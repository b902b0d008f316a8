"""One sample is taken back: it goes, what was made from it goes or is replaced, and the consent stays."""

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import delete, insert, select, text
from tests.fakes.caller import Caller, a_clip
from tests.unit.server.api.conftest import Backend, reason
from tests.unit.server.api.test_consents import item_of, traces

from projectone.contracts import endpoints
from projectone.contracts.signatures import SNAPSHOT
from projectone.contracts.snapshots import SignedSnapshot, SnapshotManifest
from projectone.server.corpus.recalls import Recalls
from projectone.server.corpus.retention import keep_withdrawals, sweep
from projectone.server.corpus.snapshots import Snapshots
from projectone.server.corpus.tables import DELETED, SAMPLES
from projectone.server.database import reading, writing
from projectone.server.delivery.signing import load_signer
from projectone.server.keys.tables import DELETIONS
from projectone.server.runs import Runs


def path_of(caller: Caller, name: str = "first") -> str:
    return endpoints.sample(caller.correction(a_clip(), name=name).sample_id)


def texts(backend: Backend) -> list[str]:
    return [row.text for row in backend.catalog.usable()]


def test_one_sample_goes_and_the_others_and_the_consent_stay(backend: Backend) -> None:
    ada = backend.caller()
    ada.put(a_clip(1), "periwinkle sample", heard="perry winkle")
    ada.put(a_clip(2), "another of ada", name="second")
    clips = backend.files()
    answer = ada.signed("DELETE", path_of(ada))
    assert answer.status_code == 200
    assert answer.json()["sample_id"] == str(ada.correction(a_clip()).sample_id)
    assert ada.signed("DELETE", path_of(ada)).content == answer.content
    assert texts(backend) == ["another of ada"]
    assert len(backend.files()) == len(clips) - 1
    assert traces(backend, b"periwinkle", b"perry winkle") == []
    state = ada.signed("GET", path_of(ada)).json()
    assert (state["state"], state["reason"]) == ("erased", "deleted")
    assert reason(ada.put(a_clip(1), "periwinkle sample", heard="perry winkle")) == (410, "erased")
    assert ada.put(a_clip(3), name="third").status_code == 201


def test_an_undo_that_overtakes_its_upload_holds(backend: Backend) -> None:
    ada = backend.caller()
    first = ada.signed("DELETE", path_of(ada))
    assert first.status_code == 200
    assert reason(ada.put(a_clip())) == (410, "erased")
    assert backend.files() == []
    assert ada.signed("DELETE", path_of(ada)).content == first.content


def test_nobody_deletes_for_somebody_else_or_learns_what_is_there(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip())
    there, nowhere = bob.signed("DELETE", path_of(ada)), bob.signed("DELETE", endpoints.sample(uuid.uuid4()))
    assert (there.status_code, set(there.json())) == (nowhere.status_code, set(nowhere.json()))
    (row,) = backend.catalog.usable()
    sealed = Snapshots(backend.engine, backend.catalog, backend.services.blobs, sign=_sign(backend), clock=_now)
    snapshot = sealed.seal([item_of(row)], split="none")
    assert not backend.catalog.is_withdrawn(snapshot.manifest.dataset_sha256)
    assert ada.put(a_clip()).status_code == 200  # the same again: it is still hers


def _sign(backend: Backend) -> Callable[[SnapshotManifest], SignedSnapshot]:
    return partial(load_signer(backend.home / "keys" / "release.key").sign, SNAPSHOT)


def _now() -> datetime:
    return datetime.now(UTC)


def test_what_was_made_from_it_is_reissued_stopped_and_marked(backend: Backend) -> None:
    ada, bob = backend.caller("ada"), backend.caller("bob")
    ada.put(a_clip(1), "of ada")
    ada.put(a_clip(2), "more of ada", name="second")
    bob.put(a_clip(3), "of bob")
    snapshots = Snapshots(backend.engine, backend.catalog, backend.services.blobs, sign=_sign(backend), clock=_now)
    before = snapshots.seal([item_of(row) for row in backend.catalog.usable()], split="none")
    dataset = before.manifest.dataset_sha256
    assert ada.signed("DELETE", path_of(ada)).status_code == 200
    assert backend.catalog.is_withdrawn(dataset)  # a run at work with it ends without a release
    assert not backend.services.blobs.has(dataset)
    (after,) = (item for item in snapshots.listed() if item.manifest.replaces == before.snapshot_id)
    assert (after.manifest.n_samples, after.manifest.n_withdrawn) == (2, 1)
    recalls = Recalls(backend.engine, Runs(backend.engine), releases=list, retrain=timedelta(days=90))
    (((_, moment), datasets),) = recalls._withdrawn_datasets().items()
    with reading(backend.engine) as connection:
        (since,) = connection.execute(select(DELETED.c.deleted_at)).scalars()
    assert (moment.replace(tzinfo=None), datasets) == (since, {dataset})


def test_no_sample_is_kept_after_an_undo_that_raced_it(backend: Backend) -> None:
    ada = backend.caller()
    names = [f"sample {n}" for n in range(12)]
    uploads = [
        threading.Thread(target=ada.put, args=(a_clip(n),), kwargs={"name": name}) for n, name in enumerate(names)
    ]
    for thread in uploads:
        thread.start()
    assert {ada.signed("DELETE", path_of(ada, name)).status_code for name in names} == {200}
    for thread in uploads:
        thread.join()
    assert backend.catalog.usable() == []
    sweep(backend.services.catalog, backend.services.blobs)
    assert backend.files() == []


@pytest.mark.parametrize("is_noted", [True, False])
def test_rows_from_before_an_undo_are_emptied_again(backend: Backend, is_noted: bool) -> None:
    ada = backend.caller()
    ada.put(a_clip())
    with reading(backend.engine) as connection:
        row = dict(connection.execute(select(SAMPLES)).mappings().one())
    ada.put(a_clip(2), name="second")  # the key of her consent stays, for this one
    ada.signed("DELETE", path_of(ada))
    with writing(backend.engine) as connection:  # a backup of the rows is restored
        connection.execute(delete(SAMPLES).where(SAMPLES.c.sample_id == row["sample_id"]))
        connection.execute(text("DELETE FROM deleted_samples"))
        connection.execute(insert(SAMPLES).values(**row))
    assert len(backend.catalog.usable()) == 2
    if not is_noted:  # the control: nobody but the rows would know
        with writing(backend.services.catalog.vault._keys._engine) as connection:
            connection.execute(DELETIONS.delete())
    keep_withdrawals(backend.services.catalog, _now())
    assert len(backend.catalog.usable()) == (1 if is_noted else 2)


def test_keys_from_before_an_undo_learn_of_it_again(backend: Backend) -> None:
    ada = backend.caller()
    ada.signed("DELETE", path_of(ada))
    vault = backend.services.catalog.vault
    with writing(vault._keys._engine) as connection:
        connection.execute(DELETIONS.delete())
    keep_withdrawals(backend.services.catalog, _now())
    assert [item[0] for item in vault.noted_deleted()] == [ada.correction(a_clip()).sample_id]
