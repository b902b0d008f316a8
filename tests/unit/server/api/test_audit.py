"""Everybody may keep what was signed of the audit log."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.contracts.checkpoints import SignedCheckpoint
from projectone.contracts.signatures import verify_checkpoint
from projectone.server.audit import AuditLog
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
