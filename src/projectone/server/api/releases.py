"""What is released, and its bytes. Devices believe the signature inside, not this answer."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse

from projectone.contracts import endpoints
from projectone.contracts.base import sha256_hex
from projectone.contracts.releases import LatestModelInfo
from projectone.server.api.answers import contract_response
from projectone.server.api.auth import ANYONE, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import services_of

router = APIRouter(tags=["releases"])

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHANNEL = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"
_LATEST_MAX_AGE_S = 300


@router.get(endpoints.LATEST_MODEL_INFO, response_model=LatestModelInfo, summary="The newest release of a channel")
def latest_model_info(
    request: Request,
    call: Annotated[Call, Depends(ANYONE)],
    channel: Annotated[str, Query(pattern=_CHANNEL)] = "stable",
) -> Response:
    """Its version, where to get it and the signed manifest; 404 `no-release` before the first one."""
    info = services_of(request).ledger.latest(channel)
    if info is None:
        raise Refusal(404, "no-release", f"nothing has been released to {channel!r} yet")
    etag = f'"{sha256_hex(info.to_bytes())}"'
    headers = {"ETag": etag, "Cache-Control": f"max-age={_LATEST_MAX_AGE_S}"}
    if _is_known(request, etag):
        return Response(status_code=304, headers=headers)
    return contract_response(info, headers=headers)


@router.get(endpoints.RELEASES + "/{sha256}.zip", response_class=FileResponse, summary="A released package")
def get_release(sha256: str, request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """The zip, whole or by Range; its name is its digest, so it never changes."""
    return _by_digest(sha256, request, "application/zip")


@router.get(endpoints.RELEASES + "/{sha256}.delta", response_class=FileResponse, summary="A short way to a release")
def get_update(sha256: str, request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """What turns an earlier release's weights into a later one's, whole or by Range."""
    return _by_digest(sha256, request, "application/octet-stream")


def _by_digest(sha256: str, request: Request, media_type: str) -> Response:
    packages = services_of(request).packages
    if not _SHA256.fullmatch(sha256) or not packages.has(sha256):
        raise Refusal(404, "package-unknown", "no package of this name is here")
    etag = f'"{sha256}"'
    headers = {"ETag": etag, "Cache-Control": "public, max-age=31536000, immutable"}
    if _is_known(request, etag):
        return Response(status_code=304, headers=headers)
    return FileResponse(packages.path_of(sha256), media_type=media_type, headers=headers)


def _is_known(request: Request, etag: str) -> bool:
    """Whether the caller has this very version already (RFC 9110, weak comparison)."""
    held = (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(","))
    return any(tag in (etag, "*") for tag in held)
