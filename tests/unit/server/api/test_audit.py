"""Everybody may keep what was signed of the audit log."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, insert, select
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.contracts.checkpoints import AuditCheckpoint, ProvenCheckpoint, SignedCheckpoint
from projectone.contracts.merkle import is_prefix
from projectone.contracts.signatures import verify_checkpoint
from projectone.server.audit import AUDIT_LOG, NOTHING, AuditLog, entry_digest
from projectone.server.database import writing
from projectone.server.delivery.signing import load_signer
from projectone.server.settings import ServerSettings
from projectone.server.work.checkpoints import publish_checkpoint


def test_the_newest_checkpoint_is_for_everybody_and_covers_what_was_done(backend: Backend) -> None:
    assert reason(backend.http.get(endpoints.AUDIT_CHECKPOINT)) == (404, "no-checkpoint")
    ada = backend.caller()
    assert ada.withdraw().status_code == 200
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(backend.home)})
    publish_checkpoint(settings, datetime.now(UTC))
    answer = backend.http.get(endpoints.AUDIT_CHECKPOINT)
    trusted = load_signer(settings.keys_folder / "release.key").trusted
    checkpoint = verify_checkpoint(trusted, SignedCheckpoint.from_bytes(answer.content))
    log = AuditLog(backend.engine)
    assert (checkpoint.n_entries, log.verify([checkpoint]).is_sound) == (2, True)
    assert [entry.act for entry in log.newest(9)] == ["consent-withdrawn", "consent-granted"]


def signed_now(backend: Backend) -> AuditCheckpoint:
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(backend.home)})
    signed = publish_checkpoint(settings, datetime.now(UTC))
    assert signed is not None
    return verify_checkpoint(load_signer(settings.keys_folder / "release.key").trusted, signed)


def shown(backend: Backend, seen: AuditCheckpoint) -> bool:
    """Whether what is answered shows that the log of the newest checkpoint begins with that of an earlier one."""
    answer = backend.http.get(f"{endpoints.AUDIT_CONSISTENCY}?first={seen.n_entries}")
    proven = ProvenCheckpoint.from_bytes(answer.content)
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(backend.home)})
    newest = verify_checkpoint(load_signer(settings.keys_folder / "release.key").trusted, proven.newest)
    return is_prefix(
        seen.n_entries,
        bytes.fromhex(seen.merkle_root),
        newest.n_entries,
        bytes.fromhex(newest.merkle_root),
        [bytes.fromhex(node) for node in proven.path],
    )


def test_who_saw_an_earlier_checkpoint_is_shown_that_the_log_only_grew(backend: Backend) -> None:
    assert reason(backend.http.get(f"{endpoints.AUDIT_CONSISTENCY}?first=0")) == (404, "no-checkpoint")
    seen = []
    for name in ("ada", "grace", "joan"):
        caller = backend.caller(name)
        seen.append(signed_now(backend))
        assert all(shown(backend, checkpoint) for checkpoint in seen)
        assert caller.withdraw().status_code == 200
    assert [checkpoint.n_entries for checkpoint in seen] == [1, 3, 5]
    assert not shown(backend, seen[0].model_copy(update={"merkle_root": "0" * 64}))
    for first in ("-1", "x", str(2**60)):
        assert backend.http.get(f"{endpoints.AUDIT_CONSISTENCY}?first={first}").status_code in (400, 422)


@pytest.mark.parametrize("is_rewritten", [True, False], ids=["rewritten", "control"])
def test_a_log_that_was_written_anew_and_signed_again_shows_nothing_to_who_saw_the_old_one(
    backend: Backend, is_rewritten: bool
) -> None:
    for name in ("ada", "grace", "joan"):
        backend.caller(name)
    seen = signed_now(backend)
    if is_rewritten:
        write_anew(backend, without="consent-granted")
    backend.caller("mary")
    signed_now(backend)
    assert shown(backend, seen) is not is_rewritten


def write_anew(backend: Backend, *, without: str) -> None:
    """As an operator would who has the keys: one entry less, a chain that holds, and no older checkpoint."""
    with writing(backend.engine) as connection:
        rows = [dict(row) for row in connection.execute(select(AUDIT_LOG).order_by(AUDIT_LOG.c.seq)).mappings()]
        rows.remove(next(row for row in rows if row["act"] == without))
        rows.append({**rows[-1], "subject": "somebody-else"})
        connection.execute(delete(AUDIT_LOG))
        previous = NOTHING
        for place, row in enumerate(rows, start=1):
            previous = entry_digest({**row, "seq": place}, previous)
            connection.execute(insert(AUDIT_LOG), {**row, "seq": place, "entry_sha256": previous})
    shutil.rmtree(backend.home / "checkpoints")


def test_a_log_that_was_cut_shows_nothing(backend: Backend) -> None:
    for name in ("ada", "grace", "joan"):
        backend.caller(name)
    seen = signed_now(backend)
    backend.caller("mary")
    signed_now(backend)
    with writing(backend.engine) as connection:
        connection.execute(delete(AUDIT_LOG).where(AUDIT_LOG.c.seq > 1))
    assert not shown(backend, seen)
