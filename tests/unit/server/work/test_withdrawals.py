"""A withdrawal after a release: what it reached is listed and signed, and the model is replaced or retired in time."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from tests.unit.server.work.test_corpus import Auditor, auditor  # noqa: F401 - a fixture
from tests.unit.server.work.test_worker import make_office  # noqa: F401 - a fixture

from projectone.contracts.erasures import ErasureReceipt
from projectone.contracts.signatures import verify_erasure
from projectone.errors import TrainingError
from projectone.server.corpus.recalls import RECALLS
from projectone.server.corpus.retention import withdraw
from projectone.server.database import writing
from projectone.server.delivery.signing import load_signer
from projectone.server.notifications.outbox import Message
from projectone.server.serve.processes import api_services

PERSON = "person0"


class Withdrawal:
    """Six samples of three people, a release made of them, and one of the people withdraws `days` ago."""

    def __init__(self, auditor: Auditor, *, days: float, contributors: int = 3) -> None:  # noqa: F811
        self.office = auditor.office
        self.samples = self.office.home.send_many(6, seed=3, contributors=contributors)
        auditor.run()
        self.moment = datetime.now(UTC) - timedelta(days=days)
        self.services = api_services(self.office.home.settings, self.office.home.engine)
        self.receipt_id = uuid.uuid5(uuid.NAMESPACE_OID, PERSON)
        withdraw(self.services.catalog, self.services.blobs, self.receipt_id, contributor_id=PERSON, now=self.moment)
        self.services.erase_derived()

    def signed(self) -> ErasureReceipt:
        signed = self.services.erasure(self.receipt_id, PERSON)
        assert signed is not None
        return verify_erasure(load_signer(self.office.home.folder / "keys" / "release.key").trusted, signed)


def never_learns(request: object) -> str:
    raise TrainingError("the loss is not finite")


def publish_without_hub(deployment: object) -> dict[str, Any]:
    return {"repo_id": "acme/whisper", "commit": "0" * 40, "tag": "v"}


def test_a_withdrawal_after_a_release_names_snapshots_models_and_dates(auditor: Auditor) -> None:  # noqa: F811
    assert auditor.say("withdrawals") == "nobody withdrew a consent yet\n"
    gone = Withdrawal(auditor, days=1)
    (shown,) = auditor.ask("withdrawals")["withdrawals"]
    assert auditor.ask("withdrawals", str(gone.receipt_id)[:6])["withdrawals"] == [shown]
    assert "consent 'zz': expected the beginning of one that was withdrawn" in auditor.say("withdrawals", "zz", code=2)
    (before,) = [item for item in auditor.ask("snapshots")["snapshots"] if item["replaced_by"] is not None]
    assert (shown["n_samples"], shown["is_complete"]) == (2, True)
    assert [(item["snapshot_id"], item["reissued_as"]) for item in shown["snapshots"]] == [
        (before["snapshot_id"], before["replaced_by"])
    ]
    replace_by = gone.moment + timedelta(days=90)
    (release,) = shown["releases"]
    assert (release["version"], release["replaced_by"]) == ("1.0.0", None)
    assert datetime.fromisoformat(release["replace_by"]) == replace_by
    text = auditor.say("withdrawals", str(gone.receipt_id)[:8])
    assert f"re-issued without them as {before['replaced_by'][:12]}" in text
    assert (
        f"model 1.0.0 (stable, {release['weights_sha256'][:12]}): to be replaced by {replace_by:%Y-%m-%d %H:%M}" in text
    )
    signed = gone.signed()
    assert json.loads(json.dumps(shown)) == signed.model_dump(mode="json", exclude={"limits", "issued_at"})
    assert gone.office.worker.work_once() == []  # there is time


@pytest.mark.parametrize("is_marked", [True, False])
def test_the_schedule_replaces_the_model_by_one_that_can_prove_the_absence(
    auditor: Auditor,  # noqa: F811
    tmp_path: Path,
    is_marked: bool,
) -> None:
    gone = Withdrawal(auditor, days=60)
    if not is_marked:  # the control: nothing else would ever start a run, and the model would stay
        with writing(gone.office.home.engine) as connection:
            connection.execute(delete(RECALLS))
        assert gone.office.worker.work_once() == []
        return
    (run,) = gone.office.worker.work_once()
    assert (run.trigger, run.state, run.version, run.n_new) == ("withdrawal", "succeeded", "1.1.0", 0)
    assert gone.office.worker.work_once() == []
    (release,) = auditor.ask("withdrawals")["withdrawals"][0]["releases"]
    assert (release["version"], release["replaced_by"]) == ("1.0.0", "1.1.0")
    assert [item.replaced_by for item in gone.signed().releases] == ["1.1.0"]
    assert run.dataset_sha256 is not None
    for sample_id in gone.samples:
        proof = tmp_path / f"{sample_id}.json"
        auditor.ask("snapshot", "prove", run.dataset_sha256, "--sample", sample_id, "--out", str(proof))
        is_theirs = gone.services.catalog.state_of(uuid.UUID(sample_id), PERSON) is not None
        assert auditor.ask("snapshot", "check", str(proof))["is_member"] is not is_theirs


@pytest.mark.slow
def test_a_model_that_nothing_replaced_in_time_is_retired(
    auditor: Auditor,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = Withdrawal(auditor, days=91)
    office = gone.office
    assert auditor.ask("withdrawals", code=1)["late"] == ["stable 1.0.0"]
    assert "LATE" in auditor.say("withdrawals", code=1)
    office.changes["train"] = never_learns
    monkeypatch.setattr(office.workshop.handout, "register", publish_without_hub)
    told: list[Message] = []
    monkeypatch.setattr(office.workshop, "senders", {"log": told.append})
    (run,) = office.worker.work_once()
    assert (run.trigger, run.state) == ("withdrawal", "quarantined")
    newest = office.workshop.ledger.newest("stable")
    assert newest is not None
    manifest = newest.manifest
    assert (manifest.version, manifest.weights_sha256) == ("1.1.0", office.workshop.base())
    assert (manifest.seq, manifest.min_seq) == (2, 2)
    latest = office.workshop.ledger.latest("stable")
    assert latest is not None
    assert latest.min_seq == 2
    assert any("Model 1.0.0 is retired" in message.subject for message in told)
    assert auditor.ask("withdrawals")["late"] == []
    assert office.worker.work_once() == []
    assert len(office.workshop.ledger.releases()) == 2


@pytest.mark.slow
def test_where_nothing_is_left_to_train_on_the_base_takes_over_at_once(
    auditor: Auditor,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = Withdrawal(auditor, days=60, contributors=1)
    monkeypatch.setattr(gone.office.workshop.handout, "register", publish_without_hub)
    (run,) = gone.office.worker.work_once()
    assert (run.trigger, run.state) == ("withdrawal", "no-data")
    assert [item.replaced_by for item in gone.signed().releases] == ["1.1.0"]
    assert gone.office.worker.work_once() == []
