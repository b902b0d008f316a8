"""Sentences to read aloud. The same for everybody, and asked for without a name: nobody learns who reads what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from projectone.contracts import endpoints
from projectone.contracts.scripts import SignedScripts
from projectone.server.api.answers import contract_response
from projectone.server.api.auth import ANYONE, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import services_of

router = APIRouter(tags=["scripts"])

_MAX_AGE_S = 3600


@router.get(endpoints.SCRIPTS, response_model=SignedScripts, summary="Sentences to read aloud")
def get_scripts(request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """A signed `ScriptSheet`, most useful sentence first; 404 `no-scripts` before the worker made one."""
    content = services_of(request).scripts()
    if content is None:
        raise Refusal(404, "no-scripts", "nobody has chosen sentences here yet")
    headers = {"Cache-Control": f"max-age={_MAX_AGE_S}"}
    return contract_response(SignedScripts.from_bytes(content), headers=headers)
