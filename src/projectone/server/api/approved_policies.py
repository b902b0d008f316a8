"""What may be answered on devices. The same for everybody, and asked for without a name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from projectone.contracts import endpoints
from projectone.contracts.policies import SignedPolicies
from projectone.server.api.answers import contract_response
from projectone.server.api.auth import ANYONE, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import services_of

router = APIRouter(tags=["policies"])

_MAX_AGE_S = 3600


@router.get(endpoints.POLICIES, response_model=SignedPolicies, summary="Approved policies and their answers")
def get_policies(request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """A signed `PolicySet`; 404 `no-policies` before an operator approved one."""
    content = services_of(request).policies()
    if content is None:
        raise Refusal(404, "no-policies", "nobody has approved policies here yet")
    headers = {"Cache-Control": f"max-age={_MAX_AGE_S}"}
    return contract_response(SignedPolicies.from_bytes(content), headers=headers)
