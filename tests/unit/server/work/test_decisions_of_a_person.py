"""A run that waits for a person, from the worker's side and from the command line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from tests.unit.server.work.test_worker import Office, make_office

from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.errors import DataError
from projectone.server.approvals import APPROVALS
from projectone.server.audit import AuditLog
from projectone.server.database import writing
from projectone.server.settings import ServerSettings
from projectone.server.work import worker

__all__ = ["make_office"]  # a fixture


def hold(production: EvaluationReport, candidate: EvaluationReport) -> Verdict:
    return Verdict(decision="hold", reasons=("may be chance",), gain=0.1, gain_low=-0.1, gain_high=0.3)


@pytest.fixture
def office(make_office: Callable[..., Office]) -> Office:
    office = make_office(MIN_NEW_SAMPLES="2", SCHEDULE_DAYS="0", APPROVAL_DAYS="3")
    office.changes["judge"] = hold
    office.home.send_many(2, seed=3)
    (run,) = office.worker.work_once()
    assert run.state == "waiting"
    return office


def say(office: Office, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, Any], str]:
    """`projectone-server work ...`, as JSON and as text."""
    settings: ServerSettings = office.home.settings
    parser = argparse.ArgumentParser()
    worker.add_arguments(parser)
    assert worker.execute(parser.parse_args([*words, "--json"]), settings) == 0
    answer = json.loads(capsys.readouterr().out)
    assert isinstance(answer, dict)
    return answer, office.newest().run_id


def test_what_waits_starts_no_other_run_until_more_has_come(office: Office) -> None:
    assert office.worker.work_once() == []
    office.home.send_many(1, seed=4)
    assert office.worker.work_once() == []
    office.home.send_many(1, seed=5)
    del office.changes["judge"]
    (other,) = office.worker.work_once()
    assert (other.trigger, other.state, other.n_new) == ("threshold", "succeeded", 4)


def test_a_person_approves_and_the_next_look_for_work_releases(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, run_id = say(office, capsys, "waiting")
    assert [(item["run_id"], item["reasons"]) for item in listed["waiting"]] == [(run_id, ["may be chance"])]
    told, _ = say(office, capsys, "approve", run_id[:8], "--by", "ada", "--note", "listened to all of them")
    assert (told["answer"], told["answered_by"], told["note"]) == ("approved", "ada", "listened to all of them")
    (run,) = office.worker.work_once()
    assert (run.run_id, run.state, run.version) == (run_id, "succeeded", "1.0.0")
    (entry,) = AuditLog(office.home.engine).newest(1, act="run-approved")
    assert (entry.subject, entry.actor, entry.facts["decision"]) == (run_id, "ada", "hold")
    assert say(office, capsys, "waiting")[0] == {"waiting": []}


def test_a_veto_sets_the_model_aside_on_the_record(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    _, run_id = say(office, capsys, "waiting")
    say(office, capsys, "veto", run_id, "--by", "ada", "--note", "names are lost")
    (run,) = office.worker.work_once()
    assert run.state == "quarantined"
    assert run.reason is not None and "vetoed by ada" in run.reason and "names are lost" in run.reason
    assert AuditLog(office.home.engine).newest(1, act="run-vetoed")[0].actor == "ada"
    with pytest.raises(DataError, match="is decided already: vetoed by ada"):
        say(office, capsys, "approve", run_id)


def test_a_run_that_nobody_decides_about_ends_with_its_time(office: Office) -> None:
    assert office.worker.work_once() == []
    past = (datetime.now(UTC) - timedelta(seconds=1)).timestamp()
    with writing(office.home.engine) as connection:
        connection.execute(update(APPROVALS).values(expires_at_s=past))
    (run,) = office.worker.work_once()
    assert run.state == "quarantined"
    assert run.reason is not None and run.reason.startswith("nobody decided by ")
    assert AuditLog(office.home.engine).newest(1, act="approval-expired")[0].actor == "server"


def test_a_withdrawal_ends_the_waiting_at_the_next_look(office: Office) -> None:
    waiting = office.newest()
    receipt = office.home.grant("person0")
    office.home.catalog.withdraw(receipt.receipt_id, receipt.contributor_id, datetime.now(UTC))
    del office.changes["judge"]
    ended, anew = office.worker.work_once()
    assert (ended.run_id, ended.state) == (waiting.run_id, "failed")
    assert "was withdrawn" in str(ended.reason)
    assert (anew.state, anew.n_new) == ("succeeded", 1)


def test_it_asks_nobody_where_nobody_is_to_be_asked(make_office: Callable[..., Office]) -> None:
    office = make_office(APPROVAL="never")
    office.changes["judge"] = hold
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    (run,) = office.worker.work_once()
    assert (run.state, run.reason) == ("quarantined", "hold: may be chance")


def test_it_asks_before_every_release_where_that_is_wanted(make_office: Callable[..., Office]) -> None:
    office = make_office(APPROVAL="always")
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    (run,) = office.worker.work_once()
    assert run.state == "waiting"
    office.workshop.approvals.answer(run.run_id, "approved", by="ada")
    (run,) = office.worker.work_once()
    assert (run.state, run.version) == ("succeeded", "1.0.0")
