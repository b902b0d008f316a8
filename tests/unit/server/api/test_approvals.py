"""A run that waits for a person, answered by a team's own tool over the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.unit.server.api.conftest import reason
from tests.unit.server.work.test_decisions_of_a_person import hold
from tests.unit.server.work.test_worker import Office, make_office

from projectone.contracts import endpoints
from projectone.server.api.app import create_app
from projectone.server.approvals import Approvals
from projectone.server.audit import AuditLog
from projectone.server.devices.operators import OperatorTokens, Role
from projectone.server.serve.processes import api_services

__all__ = ["make_office"]  # a fixture


@dataclass
class Tool:
    """A program of the team that looks after the server, and what is behind the API."""

    office: Office
    http: TestClient

    def headers(self, name: str = "ada", role: Role = "reviewer") -> dict[str, str]:
        now = datetime.now(UTC) - timedelta(seconds=1)
        made = OperatorTokens(self.office.home.engine).create(name, role, lifetime=timedelta(days=1), by="t", now=now)
        return {"Authorization": f"Bearer {made[0]}"}

    def waiting(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.http.get(endpoints.APPROVALS, headers=self.headers()).json()
        return listed

    def answer(self, name: str = "ada", **order: str) -> Any:
        return self.http.post(endpoints.APPROVAL_ANSWERS, json=order, headers=self.headers(name))


@pytest.fixture
def tool(make_office: Callable[..., Office]) -> Iterator[Tool]:
    office = make_office(MIN_NEW_SAMPLES="2", SCHEDULE_DAYS="0")
    office.changes["judge"] = hold
    office.home.send_many(2, seed=3)
    office.worker.work_once()
    services = api_services(office.home.settings, office.home.engine)
    with TestClient(create_app(services), raise_server_exceptions=False) as http:
        yield Tool(office, http)


def test_a_tool_reads_why_and_approves_and_the_next_look_for_work_releases(tool: Tool) -> None:
    (item,) = tool.waiting()
    assert item["decision"] == "hold" and item["verdict"]["reasons"] == ["may be chance"]
    order = {"run_id": item["run_id"], "subject_sha256": item["subject_sha256"], "answer": "approved", "note": "heard"}
    done = tool.answer("grace", **order)
    assert done.status_code == 200 and done.json()["answered_by"] == "grace"
    assert tool.waiting() == []
    (run,) = tool.office.worker.work_once()
    assert (run.run_id, run.state, run.version) == (item["run_id"], "succeeded", "1.0.0")
    (entry,) = AuditLog(tool.office.home.engine).newest(1, act="run-approved")
    assert (entry.subject, entry.actor, entry.facts["subject_sha256"]) == (
        item["run_id"], "grace", item["subject_sha256"],
    )  # fmt: skip


def test_a_veto_sets_the_model_aside_in_the_words_that_were_given(tool: Tool) -> None:
    (item,) = tool.waiting()
    tool.answer(
        run_id=item["run_id"], subject_sha256=item["subject_sha256"], answer="vetoed", note="names are lost"
    )  # fmt: skip
    (run,) = tool.office.worker.work_once()
    assert run.state == "quarantined" and run.reason is not None and "names are lost" in run.reason


def test_a_note_is_kept_as_a_line_in_which_everything_can_be_seen(tool: Tool) -> None:
    (item,) = tool.waiting()
    order = {"run_id": item["run_id"], "subject_sha256": item["subject_sha256"], "answer": "vetoed"}
    assert tool.answer(**order, note="names\n are\x1b[2J lost\u202e\x00").status_code == 200
    (run,) = tool.office.worker.work_once()
    assert run.reason is not None and r"names are\x1b[2J lost\u202e\x00" in run.reason
    assert run.reason.isprintable()


def test_of_ten_who_answer_at_once_one_is_heard_and_the_others_are_told(tool: Tool) -> None:
    (item,) = tool.waiting()
    order = {"run_id": item["run_id"], "subject_sha256": item["subject_sha256"]}
    with ThreadPoolExecutor(10) as pool:
        said = ["approved", "vetoed"] * 5
        answers = list(pool.map(lambda n: tool.answer(f"p{n}", answer=said[n], **order), range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    late = next(answer for answer in answers if answer.status_code == 409)
    assert reason(late) == (409, "not-waiting") and "decided already" in late.json()["detail"]
    assert len(Approvals(tool.office.home.engine, released=lambda family: None).of_run(item["run_id"])) == 1


def test_an_answer_to_another_question_than_the_one_that_waits_opens_nothing(tool: Tool) -> None:
    (item,) = tool.waiting()
    other = tool.answer(run_id=item["run_id"], subject_sha256="0" * 64, answer="approved")
    assert reason(other) == (409, "other-question")
    again = tool.answer(run_id=item["run_id"], subject_sha256=item["subject_sha256"], answer="judge-again")
    assert reason(again) == (409, "same-production")
    nobody = tool.answer(run_id="no-such-run", subject_sha256=item["subject_sha256"], answer="approved")
    assert reason(nobody) == (404, "run-unknown")
    for bad in ({"answer": "expired"}, {"answer": "withdrawn"}, {"by": "root"}, {"subject_sha256": None}):
        order = {"run_id": item["run_id"], "subject_sha256": item["subject_sha256"], "answer": "vetoed", **bad}
        assert reason(tool.answer(**order)) == (422, "contract")
    assert tool.waiting() == [item]
