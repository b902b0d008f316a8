"""`projectone-server corpus export`: a copy leaves on the record, and a withdrawal says where it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.work.test_corpus import Auditor, auditor  # noqa: F401 - a fixture
from tests.unit.server.work.test_worker import make_office  # noqa: F401 - a fixture

from projectone.errors import SettingsError
from projectone.server.corpus.exports import Exports
from projectone.server.corpus.retention import withdraw
from projectone.server.work import exports


def trained(auditor: Auditor) -> dict[str, Any]:  # noqa: F811
    auditor.office.home.send_many(6, seed=3)
    auditor.run()
    found: dict[str, Any] = auditor.ask("snapshots")["snapshots"][0]
    return found


def leave(auditor: Auditor, person: str) -> None:  # noqa: F811
    home = auditor.office.home
    receipt = home.grant(person)
    withdraw(home.catalog, home.blobs, receipt.receipt_id, contributor_id=person, now=datetime.now(UTC))
    auditor.office.workshop.snapshots.reissue_without(person)


def test_an_export_is_on_record_and_a_withdrawal_lists_what_to_delete_from_it(
    auditor: Auditor,  # noqa: F811
    tmp_path: Path,
) -> None:
    snapshot = trained(auditor)
    told = auditor.say("export", snapshot["snapshot_id"], "--out", str(tmp_path / "copy"))
    assert "this copy left the vault: it is on record" in told
    (kept,) = auditor.ask("exports")["exports"]
    assert (kept["destination"], kept["n_samples"], kept["withdrawn"]) == (
        str(tmp_path / "copy"),
        snapshot["n_train"] + snapshot["n_dev"],
        [],
    )
    rows = [json.loads(line) for line in (tmp_path / "copy" / "train" / "metadata.jsonl").read_text().splitlines()]
    leave(auditor, "person0")
    assert "1 copies hold samples that were withdrawn" in auditor.say("exports", code=1)
    (kept,) = auditor.ask("exports", code=1)["exports"]
    assert 0 < len(kept["withdrawn"]) < len(rows)
    assert set(kept["withdrawn"]) <= {row["id"] for row in rows}
    assert list(auditor.ask("withdrawals")["copies"].values()) == [[kept["export_id"]]]
    assert f"at {tmp_path / 'copy'}: {len(kept['withdrawn'])} of its" in auditor.say("withdrawals")
    engine = auditor.office.home.engine
    assert [str(e.export_id) for e in Exports(engine).holding([snapshot["dataset_sha256"]])] == [kept["export_id"]]
    auditor.say("exports", "--deleted", kept["export_id"][:8])
    assert auditor.ask("exports")["exports"][0]["deleted_at"] is not None
    assert Exports(engine).holding([snapshot["dataset_sha256"]]) == []
    assert auditor.ask("withdrawals")["copies"] == {}


def test_only_its_owner_reads_a_copy(auditor: Auditor, tmp_path: Path) -> None:  # noqa: F811
    auditor.say("export", trained(auditor)["snapshot_id"], "--out", str(tmp_path / "copy"))
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700


def test_a_copy_that_was_never_made_is_on_no_record(
    auditor: Auditor,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise SettingsError("Parquet: needs pyarrow")

    snapshot = trained(auditor)
    monkeypatch.setattr(exports, "write_export", refuse)
    assert "needs pyarrow" in auditor.say("export", snapshot["snapshot_id"], "--out", str(tmp_path / "copy"), code=2)
    assert auditor.ask("exports")["exports"] == []


def test_what_was_withdrawn_is_not_exported_any_more(auditor: Auditor, tmp_path: Path) -> None:  # noqa: F811
    snapshot = trained(auditor)
    leave(auditor, "person0")
    assert "a sample in it was withdrawn; use" in auditor.say(
        "export", snapshot["snapshot_id"], "--out", str(tmp_path / "copy"), code=2
    )
    fresh = auditor.ask("snapshot", "show", snapshot["snapshot_id"])["replaced_by"]
    auditor.say("export", fresh, "--out", str(tmp_path / "copy"))
    assert auditor.ask("exports")["exports"][0]["withdrawn"] == []


def test_a_withdrawal_during_the_export_leaves_no_copy(
    auditor: Auditor,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snapshot = trained(auditor)
    write = exports.write_export

    def write_and_leave(*arguments: Any, **options: Any) -> int:
        n_written = write(*arguments, **options)
        leave(auditor, "person0")
        return n_written

    monkeypatch.setattr(exports, "write_export", write_and_leave)
    told = auditor.say("export", snapshot["snapshot_id"], "--out", str(tmp_path / "copy"), code=2)
    assert "withdrawn while it was written" in told
    assert not (tmp_path / "copy").exists()
    assert list(tmp_path.glob("*copy*")) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--out", "."), "exists"),
        ((), "one of the arguments --out --push is required"),
    ],
)
def test_an_export_goes_to_a_new_place(
    auditor: Auditor,  # noqa: F811
    arguments: tuple[str, ...],
    told: str,
) -> None:
    snapshot = trained(auditor)
    assert told in auditor.say("export", snapshot["snapshot_id"], *arguments, code=2)
    assert auditor.ask("exports")["exports"] == []


def test_a_copy_that_never_was_is_on_no_record_and_cannot_be_struck_off(auditor: Auditor) -> None:  # noqa: F811
    snapshot = trained(auditor)
    for repository in ("nonsense", "../../x", "acme/../x"):
        assert "expected OWNER/NAME" in auditor.say("export", snapshot["snapshot_id"], "--push", repository, code=2)
    assert auditor.ask("exports")["exports"] == []
    told = auditor.say("exports", "--deleted", "00000000-0000-0000-0000-000000000000", code=2)
    assert "expected the beginning of one id, found none" in told


def test_a_copy_of_what_a_quarantined_run_sealed_says_so(auditor: Auditor, tmp_path: Path) -> None:  # noqa: F811
    auditor.office.candidate_wer = 0.9
    snapshot = trained(auditor)
    told = auditor.say("export", snapshot["snapshot_id"], "--out", str(tmp_path / "copy"))
    assert "was QUARANTINED (" in told
    leave(auditor, "person0")
    (again,) = [one for one in auditor.ask("snapshots")["snapshots"] if one["replaces"] == snapshot["snapshot_id"]]
    facts = auditor.ask("export", again["snapshot_id"], "--out", str(tmp_path / "again"))
    assert facts["run_state"] == "quarantined"
