"""`projectone-server corpus snapshots`: what runs learned from, and what can be proved about it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from tests.unit.server.work.test_corpus import Auditor, auditor  # noqa: F401 - a fixture
from tests.unit.server.work.test_worker import make_office  # noqa: F401 - a fixture

from projectone.server.corpus.datasets import read_dataset
from projectone.server.corpus.retention import withdraw
from projectone.server.delivery.signing import load_signer


def test_a_run_leaves_a_snapshot_that_verifies(auditor: Auditor) -> None:  # noqa: F811
    assert auditor.say("snapshots") == "no run sealed a dataset yet\n"
    auditor.office.home.send_many(6, seed=3)
    auditor.run()
    (found,) = auditor.ask("snapshots")["snapshots"]
    n_used = auditor.office.home.catalog.counts()["used"]
    assert (found["n_train"] + found["n_dev"], found["n_speakers"], found["replaced_by"]) == (n_used, 3, None)
    assert found["snapshot_id"][:12] in auditor.say("snapshots")
    shown = auditor.ask("snapshot", "show", found["snapshot_id"][:6])
    assert shown == {**found, "run": {"run_id": auditor.office.newest().run_id, "state": "succeeded"}}
    assert "None" not in auditor.say("snapshot", "show", found["snapshot_id"])
    assert auditor.ask("snapshot", "verify", found["dataset_sha256"])["problems"] == []
    assert f"holds: signature, {n_used} leaves" in auditor.say("snapshot", "verify", found["snapshot_id"])


def test_training_keeps_to_the_split_of_the_snapshot(auditor: Auditor) -> None:  # noqa: F811
    office = auditor.office
    office.home.send_many(60, seed=3, contributors=12)
    auditor.run()
    (found,) = auditor.ask("snapshots")["snapshots"]
    assert (found["split"], found["n_dev"] > 0) == ("speakers", True)
    items = read_dataset(office.home.catalog, office.home.blobs, found["dataset_sha256"])
    sides = [{item.speaker for item in items if item.split == side} for side in ("train", "dev")]
    assert sides[0].isdisjoint(sides[1])
    assert {entry.split for entry in office.workshop.samples.read_dataset(found["dataset_sha256"])} == {"train", "dev"}


def test_a_changed_manifest_in_the_database_is_found(auditor: Auditor) -> None:  # noqa: F811
    auditor.office.home.send_many(3, seed=3)
    auditor.run()
    (found,) = auditor.ask("snapshots")["snapshots"]
    with auditor.office.home.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE snapshots SET leaves = substr(leaves, 66)")
    problems = auditor.ask("snapshot", "verify", found["snapshot_id"], code=1)["problems"]
    assert any("root" in problem for problem in problems)


def test_a_person_can_check_at_home_that_a_sample_was_in_and_then_is_not(
    auditor: Auditor,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    office = auditor.office
    sample = office.home.send_many(4, seed=3)[0]
    auditor.run()
    (before,) = auditor.ask("snapshots")["snapshots"]
    key = load_signer(office.home.settings.keys_folder / "release.key").public_key
    was_in, is_out = tmp_path / "in.json", tmp_path / "out.json"
    auditor.say("snapshot", "prove", before["snapshot_id"], "--sample", sample, "--out", str(was_in))
    receipt = office.home.grant("person0")
    withdraw(
        office.home.catalog, office.home.blobs, receipt.receipt_id, contributor_id="person0", now=datetime.now(UTC)
    )
    office.workshop.snapshots.reissue_without("person0")
    after = auditor.ask("snapshot", "show", before["snapshot_id"])["replaced_by"]
    assert "is what is left" in auditor.say("snapshot", "verify", before["snapshot_id"])
    auditor.say("snapshot", "prove", after, "--sample", sample, "--out", str(is_out))
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "nowhere"))
    told = auditor.ask("snapshot", "check", str(was_in), "--key", key)
    assert (told["holds"], told["is_member"], "salt" in told["opening"]) == (True, True, True)
    assert auditor.ask("snapshot", "check", str(is_out), "--key", key)["is_member"] is False
    assert "is not in the dataset" in auditor.say("snapshot", "check", str(is_out), "--key", key)
    bent = tmp_path / "bent.json"
    bent.write_bytes(was_in.read_bytes().replace(sample.encode(), sample[:-1].encode() + b"0"))
    assert auditor.ask("snapshot", "check", str(bent), "--key", key, code=1)["holds"] is False


def test_a_proof_that_is_none_is_named(auditor: Auditor, tmp_path: Path) -> None:  # noqa: F811
    other = tmp_path / "other"
    other.write_bytes(b"\x00")
    names = {
        "none.json": "No such file",
        "/dev/zero": "expected a proof, got a device",
        str(other): "expected a proof: ",
    }
    for name, why in names.items():
        assert f"'{name}': {why}" in auditor.say("snapshot", "check", name, "--key", "AAAA", code=2)


def test_a_datasheet_and_a_picture_are_written_for_a_snapshot(auditor: Auditor, tmp_path: Path) -> None:  # noqa: F811
    auditor.office.home.send_many(12, seed=3, contributors=6)
    auditor.run()
    (found,) = auditor.ask("snapshots")["snapshots"]
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "code.py").write_text("")
    for place in ("ours", "ours/code.py"):
        assert "expected a new folder" in auditor.say(
            "datasheet", found["snapshot_id"], "--out", str(tmp_path / place), code=2
        )
    told = auditor.say("datasheet", found["snapshot_id"], "--out", str(tmp_path / "sheet"))
    assert auditor.say("datasheet", found["snapshot_id"], "--out", str(tmp_path / "sheet")) == told
    assert "is a folder" in auditor.say(
        "snapshot", "prove", found["snapshot_id"], "--sample", str(UUID(int=0)), "--out", str(tmp_path), code=2
    )
    assert "no figure is about fewer than 5 people" in told
    assert {path.name for path in (tmp_path / "sheet").iterdir()} == {"README.md", "statistics.svg", "statistics.json"}
    assert "| people | 6 |" in (tmp_path / "sheet" / "README.md").read_text()
