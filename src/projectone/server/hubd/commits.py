"""A commit payload to a tree and a commit; one compare-and-swap; refused if the parent has moved."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from projectone.server.hubd.auth import CallerOf, SettingsOf, StoreOf, WritableRepo
from projectone.server.hubd.bodies import body_pieces, lines_of
from projectone.server.hubd.histories import write_commit
from projectone.server.hubd.objects import ATTRIBUTES_PATH, ATTRIBUTES_TEXT, FileEntry, git_id, pointer_text
from projectone.server.hubd.payloads import (
    AddFile,
    AddLarge,
    DeleteFile,
    DeleteFolder,
    Operation,
    Payload,
    check_path,
    read_payload,
)
from projectone.server.hubd.references import RevisionOf, find_commit
from projectone.server.hubd.refusals import Refusal, collected, no_such_entry, no_such_repo, no_such_revision
from projectone.server.hubd.repos import HubStore, Rows
from projectone.server.hubd.settings import HubSettings
from projectone.server.hubd.tables import MAIN, Repo
from projectone.server.hubd.token_rows import Token

_PROPOSAL = re.compile(r"refs/pr/[0-9]{1,9}")

router = APIRouter()


class FileSummary(BaseModel):
    """A file the client is about to upload."""

    path: str
    size: int = Field(ge=0)
    sample: str = ""


class PreuploadRequest(BaseModel):
    """Files the client is about to upload."""

    files: list[FileSummary] = Field(max_length=1000)


@router.post("/api/{kind}/{namespace}/{name}/preupload/{revision}")
def preupload(
    body: PreuploadRequest, repo: WritableRepo, revision: RevisionOf, store: StoreOf, settings: SettingsOf
) -> dict[str, Any]:
    """How each file shall travel, and what lies there already, so that unchanged files are left out."""
    with store.reading() as rows:
        files = rows.files(repo, rows.commit(repo, find_commit(rows, repo, revision)).tree)
    answers = []
    for item in body.files:
        is_large = _is_large(check_path(item.path), item.size, settings)
        answer = {"path": item.path, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
        if present := files.get(item.path):
            answer["oid"] = present.lfs_sha256 or present.oid
        answers.append(answer)
    return {"files": answers}


@router.post("/api/{kind}/{namespace}/{name}/commit/{revision}")
def commit(
    request: Request,
    repo: WritableRepo,
    revision: RevisionOf,
    caller: CallerOf,
    store: StoreOf,
    settings: SettingsOf,
) -> dict[str, Any]:
    """Apply a commit to a branch, or beside it as a proposal. When this answers, it is on disk."""
    pieces = body_pieces(request, max_bytes=settings.max_commit_bytes)
    payload = read_payload(lines_of(pieces, max_lines=settings.max_commit_lines), store.blobs)
    ref = revision if _PROPOSAL.fullmatch(revision) else f"refs/heads/{revision.removeprefix('refs/heads/')}"
    is_proposed = request.query_params.get("create_pr") == "1"
    oid, moved = apply_commit(store, repo, ref, payload, settings, by=caller.token, is_proposed=is_proposed)
    home = f"{settings.public_url}/{repo.path}"
    answer = {"success": True, "commitOid": oid, "commitUrl": f"{home}/commit/{oid}"}
    if is_proposed:
        answer["pullRequestUrl"] = f"{home}/discussions/{moved.rpartition('/')[2]}"
    return answer


def apply_commit(
    store: HubStore,
    repo: Repo,
    ref: str,
    payload: Payload,
    settings: HubSettings,
    *,
    by: Token | None,
    is_proposed: bool = False,
) -> tuple[str, str]:
    """Move a branch by one commit; a payload that changes nothing leaves it where it is.

    Args:
        store: Where the repository is.
        repo: The repository.
        ref: The branch, or an earlier proposal, as a full reference.
        payload: What the commit is to do.
        settings: How much the namespace may hold.
        by: Whose commit it is.
        is_proposed: Leave the branch alone and give the commit a reference of its own, ``refs/pr/<number>``.

    Returns:
        The commit, and the reference that is on it now.

    Raises:
        Refusal: 404 for a missing branch or path, 412 if the branch is not where the payload's parent says, 400 if
            a large file was not uploaded to this repository or two paths exclude each other, 503 if what was sent
            was collected as garbage meanwhile, 413 if the namespace would hold more than it may.
    """
    with store.writing() as rows:
        rows.hold_pool()
        if not rows.lock(repo):
            raise no_such_repo(is_anonymous=False)
        refs = rows.refs(repo)
        head = refs.get(ref)
        if head is None:
            raise no_such_revision(ref.removeprefix("refs/heads/"))
        if payload.parent is not None and not head.startswith(payload.parent):
            raise Refusal(412, f"A commit has happened since: expected parent {payload.parent}, head is {head}")
        tree = rows.commit(repo, head).tree
        before = rows.files(repo, tree)
        files = _applied(dict(before), payload.operations, _large_entries(rows, repo, payload))
        _refuse_collected(store, {entry for path, entry in files.items() if before.get(path) != entry})
        oid = write_commit(rows, repo, files, parent=head, author=_author(by), message=payload.message)
        if is_proposed:
            numbers = [int(name.rpartition("/")[2]) for name in refs if _PROPOSAL.fullmatch(name)]
            ref = f"refs/pr/{max(numbers, default=0) + 1}"
        rows.set_ref(repo, ref, oid)
        if oid != head:
            refuse_overfull(rows, repo, settings)
            rows.note("hub-pushed", repo, by, commit=oid, ref=ref, n_operations=len(payload.operations))
    return oid, ref


def begin_repo(
    store: HubStore, kind: str, namespace: str, name: str, *, private: bool, by: Token | None
) -> Repo | None:
    """A new repository with its first commit; None if the name is taken."""
    oid = git_id("blob", ATTRIBUTES_TEXT)
    attributes = FileEntry(oid, len(ATTRIBUTES_TEXT), store.blobs.put([ATTRIBUTES_TEXT]))
    with store.writing() as rows:
        rows.hold_pool()
        if rows.repo(kind, namespace, name) is not None:
            return None
        _refuse_collected(store, {attributes})
        repo = rows.add_repo(kind, namespace, name, private=private)
        files, author = {ATTRIBUTES_PATH: attributes}, _author(by)
        rows.note("hub-repo-created", repo, by, visibility="private" if private else "public")
        rows.set_ref(repo, MAIN, write_commit(rows, repo, files, parent=None, author=author, message="Initial commit"))
    return repo


def refuse_overfull(rows: Rows, repo: Repo, settings: HubSettings) -> None:
    """Refuse the transaction that has just added to a namespace more than it may hold.

    Raises:
        Refusal: 413 if it has; nothing is kept then.
    """
    if settings.quota_bytes is None:
        return
    used = rows.used_bytes(repo.namespace)
    if used > settings.quota_bytes:
        text = f"{repo.namespace!r} may hold {settings.quota_bytes} bytes, and would hold {used}"
        raise Refusal(413, f"{text}: delete large files for good, or ask for more room")


def _author(by: Token | None) -> str:
    return "" if by is None else by.name


def _is_large(path: str, size_bytes: int, settings: HubSettings) -> bool:
    is_named_so = any(path.endswith(suffix) for suffix in settings.large_suffixes)
    return size_bytes > 0 and (size_bytes >= settings.large_file_bytes or is_named_so)


def _large_entries(rows: Rows, repo: Repo, payload: Payload) -> dict[str, FileEntry]:
    """Every large file of a payload by its digest; only those that were uploaded to this repository count.

    Knowing a digest is not owning the file: a digest from another repository would open it to this one's readers.
    """
    asked = {item.sha256: item for item in payload.operations if isinstance(item, AddLarge)}
    sizes = rows.claims(repo.id, asked)
    entries = {}
    for sha256, item in asked.items():
        if sha256 not in sizes or item.size_bytes not in (None, sizes[sha256]):
            raise Refusal(400, f"{item.path!r}: large file {sha256} of {item.size_bytes} bytes was not uploaded here")
        oid = git_id("blob", pointer_text(sha256, sizes[sha256]))
        entries[sha256] = FileEntry(oid, sizes[sha256], sha256, lfs_sha256=sha256)
    return entries


def _applied(
    files: dict[str, FileEntry], operations: tuple[Operation, ...], large: dict[str, FileEntry]
) -> dict[str, FileEntry]:
    for item in operations:
        if isinstance(item, AddFile):
            files[item.path] = item.entry
        elif isinstance(item, AddLarge):
            files[item.path] = large[item.sha256]
        elif isinstance(item, DeleteFile):
            if files.pop(item.path, None) is None:
                raise no_such_entry(item.path)
        else:
            files = _without_folder(files, item)
    for path in files:
        parent = path
        while parent := parent.rpartition("/")[0]:
            if parent in files:
                raise Refusal(400, f"{parent!r} cannot be a file and, for {path!r}, a folder")
    return files


def _without_folder(files: dict[str, FileEntry], item: DeleteFolder) -> dict[str, FileEntry]:
    prefix = f"{item.path}/" if item.path else ""
    kept = {path: entry for path, entry in files.items() if not path.startswith(prefix)}
    if len(kept) == len(files):
        raise no_such_entry(item.path)
    return kept


def _refuse_collected(store: HubStore, added: Collection[FileEntry]) -> None:
    if any(entry.pool_sha256 is not None and not store.blobs.has(entry.pool_sha256) for entry in added):
        raise collected()
