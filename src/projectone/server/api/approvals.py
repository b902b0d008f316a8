"""For a team's own tools: which runs wait for a person, on what grounds, and that person's answer.

The token comes with every call, which is what the console's step-up asks for. Who signs in elsewhere has no token, and
answers in the console.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from projectone.contracts import endpoints
from projectone.contracts.base import Contract, Name, Sha256
from projectone.contracts.scores import Decision, Verdict
from projectone.server.api.answers import contract_body
from projectone.server.api.auth import Call
from projectone.server.api.operators import REVIEWERS
from projectone.server.api.services import services_of
from projectone.server.approvals import MAX_NOTE_CHARACTERS, Approval
from projectone.server.runs import RunRow

router = APIRouter(tags=["operators"])


class WaitingRun(BaseModel):
    """A run whose model waits for a person. Clips and transcripts are in `projectone-server console`."""

    run_id: str
    family: str
    subject_sha256: str = Field(description="the question; an answer names it, so that it is to what was read")
    decision: Decision
    production_sha256: str
    candidate_sha256: str
    asked_at: datetime
    expires_at: datetime
    verdict: Verdict | None = Field(description="what the gate asked and found; no word of anybody's")


class ApprovalOrder(Contract):
    """What a person decided about a run that waits for one."""

    run_id: Name
    subject_sha256: Sha256 = Field(description="the question that was read")
    answer: Literal["approved", "vetoed", "judge-again"]
    note: str | None = Field(default=None, max_length=MAX_NOTE_CHARACTERS, description="why; kept with the answer")


class Answered(BaseModel):
    """The answer as it is on record; the worker goes on with the run."""

    run_id: str
    subject_sha256: str
    answer: str
    answered_by: str
    answered_at: datetime


@router.get(endpoints.APPROVALS, summary="Runs that wait for a person")
def get_waiting(request: Request, call: Annotated[Call, Depends(REVIEWERS)]) -> list[WaitingRun]:
    """The oldest first, each with the gate's verdict."""
    services = services_of(request)
    return [_waiting(item, services.runs.get(item.question.run_id)) for item in services.approvals.waiting()]


@router.post(
    endpoints.APPROVAL_ANSWERS, openapi_extra=contract_body(ApprovalOrder), summary="Approve or veto a run's model"
)
def post_answer(request: Request, call: Annotated[Call, Depends(REVIEWERS)]) -> Answered:
    """One answer for each question.

    409 `not-waiting` if somebody was quicker, `other-question` if it was judged again since it was read,
    `production-changed` if it was judged against another model than production's.
    """
    order = ApprovalOrder.from_bytes(call.body.read())
    done = services_of(request).approvals.answer(
        order.run_id, order.answer, by=call.operator_name, note=order.note, subject_sha256=order.subject_sha256
    )
    assert done.answer is not None and done.answered_by is not None and done.answered_at is not None  # just given
    return Answered(
        run_id=order.run_id,
        subject_sha256=order.subject_sha256,
        answer=done.answer,
        answered_by=done.answered_by,
        answered_at=done.answered_at,
    )


def _waiting(approval: Approval, run: RunRow) -> WaitingRun:
    times = {"asked_at": approval.asked_at, "expires_at": approval.expires_at}
    verdict = None if run.verdict is None else Verdict.model_validate(run.verdict)
    return WaitingRun.model_validate({**vars(approval.question), **times, "family": run.family, "verdict": verdict})
