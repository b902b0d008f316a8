"""The newest signed checkpoint of the audit log: for everybody, so that many keep what an operator cannot change."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from projectone.contracts import endpoints
from projectone.contracts.checkpoints import SignedCheckpoint
from projectone.server.api.answers import contract_response
from projectone.server.api.auth import ANYONE, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import services_of

router = APIRouter(tags=["audit"])

_MAX_AGE_S = 600


@router.get(endpoints.AUDIT_CHECKPOINT, response_model=SignedCheckpoint, summary="What was signed of the audit log")
def get_checkpoint(request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """A signed `AuditCheckpoint`, to hold any later log to; 404 `no-checkpoint` before the first."""
    content = services_of(request).checkpoint()
    if content is None:
        raise Refusal(404, "no-checkpoint", "nothing was signed of the audit log yet; the worker does so every hour")
    headers = {"Cache-Control": f"max-age={_MAX_AGE_S}"}
    return contract_response(SignedCheckpoint.from_bytes(content), headers=headers)
