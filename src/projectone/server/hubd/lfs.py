"""Large files: what to upload how, the uploads themselves, and the check that they arrived."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from projectone.errors import DigestMismatchError
from projectone.server.hubd.auth import SettingsOf, StoreOf, WritableRepo
from projectone.server.hubd.bodies import body_pieces, exactly
from projectone.server.hubd.commits import refuse_overfull
from projectone.server.hubd.links import Link, expiry, read_link
from projectone.server.hubd.refusals import Refusal, collected
from projectone.server.hubd.repos import HubStore
from projectone.server.hubd.settings import HubSettings
from projectone.server.hubd.tables import Repo
from projectone.storage.files import staged_file

_LFS_JSON = "application/vnd.git-lfs+json"
_READ_BYTES = 1024 * 1024
_MAX_PARTS = 10_000
_SHA256 = re.compile(r"[0-9a-f]{64}")

router = APIRouter()


class LargeObject(BaseModel):
    """One large file, named by its content."""

    oid: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class BatchRequest(BaseModel):
    """What a client wants to upload."""

    operation: str
    transfers: list[str] = ["basic"]
    hash_algo: str = "sha256"
    objects: list[LargeObject] = Field(max_length=1000)


class Part(BaseModel):
    """One uploaded part, with the ETag its upload was answered with."""

    partNumber: int = Field(ge=1)  # the client's word
    etag: str


class Completion(BaseModel):
    """All parts of one upload."""

    oid: str
    parts: list[Part] = Field(max_length=_MAX_PARTS)


@router.post("/{namespace}/{name}.git/info/lfs/objects/batch")
@router.post("/{kind}/{namespace}/{name}.git/info/lfs/objects/batch")
def batch(body: BatchRequest, repo: WritableRepo, store: StoreOf, settings: SettingsOf) -> Response:
    """Where to send each file; no action for what this repository has received before."""
    if body.operation != "upload" or body.hash_algo != "sha256":
        raise Refusal(400, f"expected operation 'upload' by sha256, got {body.operation!r} by {body.hash_algo!r}")
    with store.writing() as rows:
        claimed = rows.claims(repo.id, [item.oid for item in body.objects])
        rows.renew(repo, claimed)  # what is not sent again must not be collected before it is committed
        used = rows.used_bytes(repo.namespace) if settings.quota_bytes is not None else 0
    may_cut = "multipart" in body.transfers
    answers: list[dict[str, Any]] = []
    was_cut = False
    for item in body.objects:
        answer: dict[str, Any] = {"oid": item.oid, "size": item.size}
        if item.size > settings.max_file_bytes:
            answer["error"] = {"code": 422, "message": f"Larger than {settings.max_file_bytes} bytes"}
        elif settings.quota_bytes is not None and used + item.size > settings.quota_bytes and item.oid not in claimed:
            answer["error"] = {"code": 413, "message": f"{repo.namespace!r} may hold {settings.quota_bytes} bytes"}
        elif claimed.get(item.oid) != item.size or not store.blobs.has(item.oid):
            answer["actions"] = _actions(repo, item, settings, may_cut=may_cut)
            was_cut |= "header" in answer["actions"]["upload"]
        answers.append(answer)
    transfer = "multipart" if was_cut else "basic"
    return JSONResponse({"transfer": transfer, "objects": answers}, media_type=_LFS_JSON)


@router.post("/{namespace}/{name}.git/info/lfs/verify")
@router.post("/{kind}/{namespace}/{name}.git/info/lfs/verify")
def verify(body: LargeObject, repo: WritableRepo, store: StoreOf) -> dict[str, Any]:
    """Whether this repository has received the file."""
    with store.reading() as rows:
        claimed = rows.claims(repo.id, [body.oid]).get(body.oid)
    if claimed != body.size or not store.blobs.has(body.oid):
        raise Refusal(404, f"{body.oid}: {body.size} bytes were not received here")
    return {}


@router.put("/api/uploads/{sha256}")
def upload(sha256: str, request: Request, store: StoreOf, settings: SettingsOf) -> Response:
    """Receive a file or one part of it; durable when answered."""
    link = read_link("PUT", sha256, request.query_params, settings.url_key)
    pieces = exactly(body_pieces(request, max_bytes=link.size_bytes), link.size_bytes)
    if link.part:
        return Response(headers={"ETag": f'"{_keep_part(store, link, pieces)}"'})
    _keep_file(store, settings, link, pieces)
    return Response(headers={"ETag": f'"{sha256}"'})


@router.post("/api/uploads/{sha256}")
def complete(sha256: str, body: Completion, request: Request, store: StoreOf, settings: SettingsOf) -> dict[str, Any]:
    """Join the parts of an upload. The client may repeat this when the answer was lost."""
    link = read_link("POST", sha256, request.query_params, settings.url_key)
    with store.reading() as rows:
        is_done = sha256 in rows.claims(link.repo_id, [sha256]) and store.blobs.has(sha256)
    if not is_done:
        etags = {part.partNumber: part.etag.strip('"') for part in body.parts}
        _keep_file(store, settings, link, exactly(_joined(store, link, etags), link.size_bytes))
    shutil.rmtree(store.parts_folder / link.upload_id, ignore_errors=True)
    return {"oid": sha256}


def _actions(repo: Repo, item: LargeObject, settings: HubSettings, *, may_cut: bool) -> dict[str, Any]:
    base, expires = f"{settings.public_url}/api/uploads", expiry(settings.url_lifetime_s)
    verify_url = f"{settings.public_url}/{quote(repo.path)}.git/info/lfs/verify"
    if settings.part_bytes is None or not may_cut or item.size <= settings.part_bytes:
        link = Link("PUT", item.oid, item.size, expires, repo_id=repo.id)
        return {"upload": {"href": link.url(base, settings.url_key)}, "verify": {"href": verify_url}}
    upload_id = secrets.token_hex(16)
    part_bytes = max(settings.part_bytes, math.ceil(item.size / _MAX_PARTS))
    header = {"chunk_size": str(part_bytes)}
    for number in range(1, math.ceil(item.size / part_bytes) + 1):
        size = min(part_bytes, item.size - (number - 1) * part_bytes)
        part = Link("PUT", item.oid, size, expires, repo_id=repo.id, upload_id=upload_id, part=number)
        header[f"{number:05d}"] = part.url(base, settings.url_key)
    whole = Link("POST", item.oid, item.size, expires, repo_id=repo.id, upload_id=upload_id)
    return {"upload": {"href": whole.url(base, settings.url_key), "header": header}, "verify": {"href": verify_url}}


def _keep_file(store: HubStore, settings: HubSettings, link: Link, pieces: Iterator[bytes]) -> None:
    """Bytes first, then the row that lets the repository use them."""
    try:
        store.blobs.put(pieces, expected_sha256=link.sha256)
    except DigestMismatchError as error:
        raise Refusal(400, str(error)) from error
    with store.writing() as rows:
        rows.hold_pool()
        repo = rows.repo_by_id(link.repo_id)
        if repo is None:
            raise Refusal(404, "Repository not found", code="RepoNotFound")
        if not store.blobs.has(link.sha256):
            raise collected()
        rows.claim(link.repo_id, link.sha256, link.size_bytes)
        refuse_overfull(rows, repo, settings)


def _keep_part(store: HubStore, link: Link, pieces: Iterator[bytes]) -> str:
    # The digest is part of the name: a part sent twice with other bytes is another file, not a mixture.
    digest = hashlib.sha256()
    folder = store.parts_folder / link.upload_id
    with staged_file(folder) as staged:
        for piece in pieces:
            digest.update(piece)
            staged.stream.write(piece)
        staged.commit(folder / f"{link.part:05d}-{digest.hexdigest()}")
    return digest.hexdigest()


def _joined(store: HubStore, link: Link, etags: dict[int, str]) -> Iterator[bytes]:
    if sorted(etags) != list(range(1, len(etags) + 1)):
        raise Refusal(400, f"expected parts numbered from 1 without a gap, got {sorted(etags)}")
    for number in sorted(etags):
        path = store.parts_folder / link.upload_id / f"{number:05d}-{etags[number]}"
        if not _SHA256.fullmatch(etags[number]) or not path.is_file():
            raise Refusal(400, f"Part {number} was not received")
        with path.open("rb") as stream:
            while piece := stream.read(_READ_BYTES):
                yield piece
