"""For people who look after the server: the queue of held samples, runs, and the audit log. No word of anybody's."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from projectone.contracts import endpoints
from projectone.contracts.base import Contract
from projectone.contracts.corrections import SampleKind
from projectone.server.api.answers import contract_body
from projectone.server.api.auth import Call, Policy
from projectone.server.api.services import services_of

router = APIRouter(tags=["operators"])

REVIEWERS = Policy(frozenset({"reviewer", "admin"}))
TRAINERS = Policy(frozenset({"trainer", "admin"}))
AUDITORS = Policy(frozenset({"auditor", "admin"}))

_Limit = Annotated[int, Query(ge=1, le=1_000)]


class QueuedSample(BaseModel):
    """A sample that waits for a person: why and with which figures. Its words and sound are read where the keys are."""

    sample_id: UUID
    received_at: str
    duration_s: float
    kind: SampleKind
    reasons: list[str]
    measures: dict[str, float]


class ReviewOrder(Contract):
    """What a person decided about samples that wait for one."""

    sample_ids: tuple[UUID, ...] = Field(min_length=1, max_length=1_000)
    decision: Literal["accepted", "refused"]
    why: str | None = Field(default=None, max_length=2_000)


class Decided(BaseModel):
    """The samples that were decided about."""

    sample_ids: list[UUID]


class RunAsked(BaseModel):
    """A run that was asked for, or waits already."""

    run_id: str
    state: str


class EntryShown(BaseModel):
    """An entry of the audit log."""

    seq: int
    at: str
    act: str
    subject: str
    actor: str
    facts: dict[str, Any]
    entry_sha256: str


@router.get(endpoints.REVIEW_QUEUE, summary="Samples that wait for a person")
def get_queue(request: Request, call: Annotated[Call, Depends(REVIEWERS)], limit: _Limit = 100) -> list[QueuedSample]:
    """The oldest first; `projectone-server corpus show ID` has the words, `corpus clip ID` sound or sentence."""
    return [
        QueuedSample(
            sample_id=item.sample_id,
            received_at=item.received_at.isoformat(),
            duration_s=item.duration_s,
            kind=item.kind,
            reasons=list(item.checks.held),
            measures=dict(item.checks.measures),
        )
        for item in services_of(request).reviews.queue(limit)
    ]


@router.post(endpoints.REVIEW_DECISIONS, openapi_extra=contract_body(ReviewOrder), summary="Accept or refuse samples")
def post_decision(request: Request, call: Annotated[Call, Depends(REVIEWERS)]) -> Decided:
    """All of them or none; 422 `not-held` if one does not wait for a person any more."""
    order, services = ReviewOrder.from_bytes(call.body.read()), services_of(request)
    found = services.reviews.decide(
        order.sample_ids, order.decision, by=call.operator_name, why=order.why, now=services.clock()
    )
    return Decided(sample_ids=found)


@router.post(endpoints.RUNS, status_code=202, summary="Ask for a training run")
def post_run(request: Request, call: Annotated[Call, Depends(TRAINERS)]) -> RunAsked:
    """202 with the run; asked twice, it is the same one. The worker takes it."""
    run = services_of(request).runs.request("on-demand")
    return RunAsked(run_id=run.run_id, state=run.state)


@router.get(endpoints.AUDIT_ENTRIES, summary="The newest entries of the audit log")
def get_entries(request: Request, call: Annotated[Call, Depends(AUDITORS)], limit: _Limit = 100) -> list[EntryShown]:
    """Newest first; `entry_sha256` is what a checkpoint binds."""
    return [EntryShown(**vars(entry)) for entry in services_of(request).audit.newest(limit)]
