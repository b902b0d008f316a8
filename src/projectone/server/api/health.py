"""Whether this process lives, and whether it can keep what it is sent."""

from __future__ import annotations

import os
import shutil
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from projectone import __version__
from projectone.contracts import endpoints
from projectone.server.api.auth import ANYONE, Call
from projectone.server.api.problems import RETRY_AFTER_S, Refusal
from projectone.server.api.services import services_of

router = APIRouter(tags=["health"])

_MIN_FREE_BYTES = 256 * 1024**2


class Health(BaseModel):
    """A sign of life."""

    status: str
    version: str


@router.get(endpoints.LIVE, summary="Does the process answer?")
async def live(call: Annotated[Call, Depends(ANYONE)]) -> Health:
    """200 as long as the event loop turns."""
    return Health(status="ok", version=__version__)


@router.get(endpoints.READY, summary="Can it take samples?")
def ready(request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Health:
    """200 if the rows can be read and the disk can be written and has room, else 503."""
    services = services_of(request)
    services.catalog.counts()
    if shutil.disk_usage(services.staging).free < _MIN_FREE_BYTES or not os.access(services.staging, os.W_OK):
        raise Refusal(503, "disk-full", "the disk is full or cannot be written", retry_after_s=RETRY_AFTER_S)
    return Health(status="ok", version=__version__)
