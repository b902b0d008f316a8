"""Routes that take something out of a repository's past: its history, or large files for good."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from projectone.server.hubd.auth import CallerOf, RemovableRepo, SettingsOf, StoreOf, WritableRepo
from projectone.server.hubd.garbage import remove_unused
from projectone.server.hubd.histories import rewrite_without, squash
from projectone.server.hubd.references import CursorOf, RevisionOf, moment, page_links
from projectone.server.hubd.refusals import no_such_repo, no_such_revision
from projectone.server.hubd.repos import Rows
from projectone.server.hubd.tables import Repo

router = APIRouter()


class Squash(BaseModel):
    """What the one commit that stays is called."""

    message: str = Field(default="", max_length=65_536)


class Deletions(BaseModel):
    """Large files to take away for good, at most as many as the client sends at once."""

    sha: list[str] = Field(max_length=1000)
    rewriteHistory: bool = True  # the client's word


class DeletionRequest(BaseModel):
    """The client's wrapping of it."""

    deletions: Deletions


@router.post("/api/{kind}/{namespace}/{name}/super-squash/{revision}")
def super_squash(
    body: Squash, repo: RemovableRepo, revision: RevisionOf, caller: CallerOf, store: StoreOf
) -> dict[str, str]:
    """Make one commit of a branch. Its bytes stay until they are collected; tags keep what they are on."""
    ref = f"refs/heads/{revision.removeprefix('refs/heads/')}"
    author = caller.token.name if caller.token else ""
    with store.writing() as rows:
        if not rows.lock(repo):
            raise no_such_repo(is_anonymous=False)
        head = rows.refs(repo).get(ref)
        if head is None:
            raise no_such_revision(revision)
        message = body.message.replace("\0", "").strip() or f"Super-squash branch {revision}"
        oid = squash(rows, repo, ref, head, author=author, message=message)
        rows.note("hub-squashed", repo, caller.token, ref=ref, commit=oid, before=head)
        return {"commitOid": oid}


@router.get("/api/{kind}/{namespace}/{name}/lfs-files")
def list_large_files(
    request: Request, repo: WritableRepo, store: StoreOf, settings: SettingsOf, cursor: CursorOf
) -> Response:
    """Every large file that the repository keeps, newest first, whether or not a branch still leads to it."""
    with store.reading() as rows:
        uploads, places = rows.uploads(repo), _places(rows, repo)
    end = cursor + settings.page_length
    answer: list[dict[str, Any]] = []
    for sha256, size_bytes, uploaded_at_s in uploads[cursor:end]:
        path, ref = places.get(sha256, ("", None))
        about = {"fileOid": sha256, "oid": sha256, "size": size_bytes, "pushedAt": moment(uploaded_at_s)}
        answer.append({**about, "filename": path, "ref": ref})
    return JSONResponse(answer, headers=page_links(request, settings, end if end < len(uploads) else None))


@router.post("/api/{kind}/{namespace}/{name}/lfs-files/batch")
def delete_large_files(body: DeletionRequest, repo: RemovableRepo, caller: CallerOf, store: StoreOf) -> dict[str, Any]:
    """Take large files from the repository for good: rows in one transaction, then the bytes nobody else needs."""
    with store.writing() as rows:
        if not rows.lock(repo):
            raise no_such_repo(is_anonymous=False)
        if body.deletions.rewriteHistory:
            rewrite_without(rows, repo, set(body.deletions.sha))
            rows.prune(repo)
        gone = rows.forget(repo, body.deletions.sha)
        rows.note("hub-files-deleted", repo, caller.token, n_files=len(gone))
    remove_unused(store, gone)
    return {"deleted": len(gone)}


def _places(rows: Rows, repo: Repo) -> dict[str, tuple[str, str | None]]:
    """A path and a reference for each large file that some reference's head holds."""
    found: dict[str, tuple[str, str | None]] = {}
    for ref, head in rows.refs(repo).items():
        for path, entry in rows.files(repo, rows.commit(repo, head).tree).items():
            if entry.lfs_sha256:
                found.setdefault(entry.lfs_sha256, (path, ref))
    return found
