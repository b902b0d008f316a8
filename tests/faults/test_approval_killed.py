"""A run waits for a person: the worker is killed with SIGKILL around the question and around the answer."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from tests.conformance.hub.running import Hub
from tests.faults.pipeline_driver import KillAt, run
from tests.faults.test_pipeline_killed import hub, make_home, outcome, run_killed

from projectone.errors import DataError
from projectone.server.decisions import open_approvals
from projectone.server.runs import Runs

__all__ = ["hub", "make_home"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]
ASKING = ["after notify", "after ask"]
GOING_ON = ["after find_answer", "before node result", "after enter deploy_model", "after release"]


def test_a_killed_question_is_put_once_and_an_answer_after_the_restart_is_heard_once(make_home: Any, hub: Hub) -> None:
    home = make_home("killed", APPROVAL="always")
    approvals = open_approvals(home.engine, home.settings.channel)
    for moment in ASKING:
        assert run_killed(home, KillAt(moment)) == -signal.SIGKILL, moment
    assert run(home.settings) == 0
    (row,) = Runs(home.engine).newest()
    assert row.state == "waiting"
    assert outcome(home, hub)["releases"] == []
    assert len(approvals.of_run(row.run_id)) == 1
    assert outcome(home, hub)["messages"] == [
        f"RUN-approval-{approvals.of_run(row.run_id)[0].question.subject_sha256[:12]}"
    ]

    approvals.answer(row.run_id, "approved", by="ada")
    for moment in GOING_ON:
        assert run_killed(home, KillAt(moment)) == -signal.SIGKILL, moment
        with pytest.raises(DataError, match="decided already"):
            approvals.answer(row.run_id, "vetoed", by="bob")
    assert run(home.settings) == 0
    ended = outcome(home, hub)
    assert ended["state"] == "succeeded"
    assert ended["tags"] == ["v1.0.0"]
    assert len(ended["releases"]) == 1
    assert len(ended["messages"]) == 2
