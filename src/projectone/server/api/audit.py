"""The newest signed checkpoint of the audit log: for everybody, so that many keep what an operator cannot change."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from projectone.contracts import endpoints
from projectone.contracts.checkpoints import AuditCheckpoint, ProvenCheckpoint, SignedCheckpoint
from projectone.server.api.answers import contract_response
from projectone.server.api.auth import ANYONE, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import services_of

router = APIRouter(tags=["audit"])

_FOR_A_WHILE = {"Cache-Control": "max-age=600"}
_MAX_ENTRIES = 2**53


@router.get(endpoints.AUDIT_CHECKPOINT, response_model=SignedCheckpoint, summary="What was signed of the audit log")
def get_checkpoint(request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """A signed `AuditCheckpoint`, to hold any later log to; 404 `no-checkpoint` before the first."""
    return contract_response(_newest(request), headers=_FOR_A_WHILE)


@router.get(endpoints.AUDIT_CONSISTENCY, response_model=ProvenCheckpoint, summary="That the audit log only grew")
def get_consistency(
    request: Request,
    call: Annotated[Call, Depends(ANYONE)],
    first: Annotated[int, Query(ge=0, le=_MAX_ENTRIES, description="Entries of the checkpoint that was seen before")],
) -> Response:
    """The newest checkpoint, and a proof that its log begins with the `first` entries; 404 `no-checkpoint` before one.

    The path is empty where there is nothing to show, and where the log does not hold any more what was signed.
    """
    newest = _newest(request)
    signed = AuditCheckpoint.from_bytes(base64.b64decode(newest.checkpoint))
    path = services_of(request).audit.prefix_path(first, signed.n_entries)
    proven = ProvenCheckpoint(newest=newest, path=tuple(node.hex() for node in path))
    return contract_response(proven, headers=_FOR_A_WHILE)


def _newest(request: Request) -> SignedCheckpoint:
    content = services_of(request).checkpoint()
    if content is None:
        raise Refusal(404, "no-checkpoint", "nothing was signed of the audit log yet; the worker does so every hour")
    return SignedCheckpoint.from_bytes(content)
