"""What is released, and its bytes. Devices believe the signature inside, not this answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from projectone.contracts import endpoints
from projectone.contracts.base import sha256_hex
from projectone.contracts.releases import LatestModelInfo, line_of
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.server.api.answers import contract_response
from projectone.server.api.auth import ANYONE, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import services_of

router = APIRouter(tags=["releases"])

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHANNEL = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"
_LATEST_MAX_AGE_S = 300
_TIMESTAMP_MAX_AGE_S = 60
_Direct = Annotated[bool, Query(description="From here, whoever else has it: for a device that got nowhere there")]
_METADATA = re.compile(r"timestamp\.json|[1-9][0-9]{0,9}\.(root|targets|rollout|snapshot)\.json")
_DOCUMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,95}/){1,2}[0-9a-f]{64}\.(release|rollout)\.json")


@router.get(endpoints.LATEST_MODEL_INFO, response_model=LatestModelInfo, summary="The newest release of a channel")
def latest_model_info(
    request: Request,
    call: Annotated[Call, Depends(ANYONE)],
    channel: Annotated[str, Query(pattern=_CHANNEL)] = "stable",
    family: Annotated[Family, Query(description="What the model is for")] = DEFAULT_FAMILY,
) -> Response:
    """Its version, where to get it and the signed manifest; 404 `no-release` before the first one."""
    try:
        line = channel if family == DEFAULT_FAMILY else line_of(family, channel)
    except ValueError as error:
        raise Refusal(422, "line-unknown", str(error)) from error
    info = services_of(request).ledger.latest(line)
    if info is None:
        raise Refusal(404, "no-release", f"nothing has been released to {line!r} yet")
    etag = f'"{sha256_hex(info.to_bytes())}"'
    headers = {"ETag": etag, "Cache-Control": f"max-age={_LATEST_MAX_AGE_S}"}
    if _is_known(request, etag):
        return Response(status_code=304, headers=headers)
    return contract_response(info, headers=headers)


@router.get(endpoints.RELEASES + "/{sha256}.zip", response_class=FileResponse, summary="A released package")
def get_release(
    sha256: str, request: Request, call: Annotated[Call, Depends(ANYONE)], direct: _Direct = False
) -> Response:
    """The zip, whole or by Range; its name is its digest, so it never changes. 307 where a CDN or a bucket has it."""
    return _by_digest(sha256, request, "application/zip", is_direct=direct)


@router.get(endpoints.RELEASES + "/{sha256}.delta", response_class=FileResponse, summary="A short way to a release")
def get_update(
    sha256: str, request: Request, call: Annotated[Call, Depends(ANYONE)], direct: _Direct = False
) -> Response:
    """What turns an earlier release's weights into a later one's, whole or by Range. 307 as for a package."""
    return _by_digest(sha256, request, "application/octet-stream", is_direct=direct)


@router.get(endpoints.SIGNED_METADATA + "/{name}", response_class=Response, summary="Signed metadata of releases")
def get_metadata(name: str, request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """A file of The Update Framework: `timestamp.json`, or a role's by its version, which never changes."""
    if not _METADATA.fullmatch(name):
        raise Refusal(404, "metadata-unknown", "no metadata of this name is here")
    return _signed(services_of(request).signed / "metadata" / name, request, is_fixed=name != "timestamp.json")


@router.get(endpoints.SIGNED_DOCUMENTS + "/{path:path}", response_class=Response, summary="What the metadata lists")
def get_document(path: str, request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """A release of a channel and tier, or how far it may go; its name begins with its digest, so it never changes."""
    if not _DOCUMENT.fullmatch(path):
        raise Refusal(404, "document-unknown", "no document of this name is here")
    return _signed(services_of(request).signed / "targets" / path, request, is_fixed=True)


def _signed(path: Path, request: Request, *, is_fixed: bool) -> Response:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise Refusal(404, "metadata-unknown", "nothing of this name is here") from None
    etag = f'"{sha256_hex(content)}"'
    kept = "public, max-age=31536000, immutable" if is_fixed else f"public, max-age={_TIMESTAMP_MAX_AGE_S}"
    headers = {"ETag": etag, "Cache-Control": kept}
    if _is_known(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


def _by_digest(sha256: str, request: Request, media_type: str, *, is_direct: bool) -> Response:
    services = services_of(request)
    packages = services.packages
    if not _SHA256.fullmatch(sha256) or not packages.has(sha256):
        raise Refusal(404, "package-unknown", "no package of this name is here")
    etag = f'"{sha256}"'
    headers = {"ETag": etag, "Cache-Control": "public, max-age=31536000, immutable"}
    if _is_known(request, etag):
        return Response(status_code=304, headers=headers)
    if not is_direct and (address := services.elsewhere(sha256)) is not None:
        return RedirectResponse(address, headers={"Cache-Control": "no-store"})
    return FileResponse(packages.path_of(sha256), media_type=media_type, headers=headers)


def _is_known(request: Request, etag: str) -> bool:
    """Whether the caller has this very version already (RFC 9110, weak comparison)."""
    held = (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(","))
    return any(tag in (etag, "*") for tag in held)
