"""Branches, tags and commit ids: from a revision to a commit, and the routes that list and move references."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from projectone.server.hubd.auth import Caller, CallerOf, ReadableRepo, SettingsOf, StoreOf, WritableRepo
from projectone.server.hubd.objects import Commit
from projectone.server.hubd.refusals import Refusal, no_such_repo, no_such_revision
from projectone.server.hubd.repos import Rows
from projectone.server.hubd.settings import HubSettings
from projectone.server.hubd.tables import MAIN, Repo

_COMMIT_ID = re.compile(r"[0-9a-f]{40}")
# What `git check-ref-format` refuses, and names that would read as commit ids.
_BAD_REFERENCE = re.compile(
    r"^[-/.]|[/.]$|\.lock(/|$)|\.\.|//|/\.|@\{|[\x00-\x20\x7f~^:?*\[\\]|^@$|^[0-9a-f]{40}$|^refs/"
)
_COMMITS_ON_A_PAGE = 50
_GROUPS = {"heads": "branches", "tags": "tags", "pr": "pullRequests"}

router = APIRouter()


def revision_of(request: Request) -> str:
    """The revision in the path. The client quotes it into one segment, so the path is matched before unquoting."""
    return unquote(str(request.path_params["revision"]))


RevisionOf = Annotated[str, Depends(revision_of)]


class NewTag(BaseModel):
    """A tag to set."""

    tag: str
    message: str | None = None


class NewBranch(BaseModel):
    """Where a branch begins; the head of main if nothing is said."""

    startingPoint: str | None = None  # the client's word


def find_commit(rows: Rows, repo: Repo, revision: str) -> str:
    """The commit a revision stands for: a branch, a tag, a full reference, or a commit id.

    Raises:
        Refusal: if there is none; for a commit id also if no reference of this repository leads to it.
    """
    refs = rows.refs(repo)
    for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
        if name in refs:
            return refs[name]
    if _COMMIT_ID.fullmatch(revision):
        for head in dict.fromkeys(refs.values()):
            if any(oid == revision for oid, _ in rows.history(repo, head)):
                return revision
    raise no_such_revision(revision)


def moment(time_s: float) -> str:
    """A Unix time as the client reads it."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def page_links(request: Request, settings: HubSettings, next_cursor: int | None) -> dict[str, str]:
    """The header that leads to the next page, built on the public address, never on the Host header."""
    if next_cursor is None:
        return {}
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in [*query, ("cursor", str(next_cursor))])
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return {"Link": f'<{settings.public_url}{path}?{text}>; rel="next"'}


def cursor_of(request: Request) -> int:
    """Where the asked page begins."""
    text = request.query_params.get("cursor", "0")
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Refusal(400, f"cursor: expected a number, got {text!r}")
    return int(text)


CursorOf = Annotated[int, Depends(cursor_of)]


@router.get("/api/{kind}/{namespace}/{name}/refs")
def list_refs(repo: ReadableRepo, store: StoreOf, include_prs: bool = False) -> dict[str, Any]:
    """Every branch and tag, and on request every proposed commit."""
    answer: dict[str, Any] = {"branches": [], "converts": [], "tags": []}
    if include_prs:
        answer["pullRequests"] = []
    with store.reading() as rows:
        for ref, target in rows.refs(repo).items():
            _, group, short = ref.split("/", 2)
            if group_name := _GROUPS.get(group if group != "pr" or include_prs else ""):
                name = ref if group == "pr" else short
                answer[group_name].append({"name": name, "ref": ref, "targetCommit": target})
    return answer


@router.get("/api/{kind}/{namespace}/{name}/commits/{revision}")
def list_commits(
    request: Request,
    repo: ReadableRepo,
    revision: RevisionOf,
    store: StoreOf,
    settings: SettingsOf,
    cursor: CursorOf,
) -> Response:
    """The history of a revision, newest first, a page at a time."""
    end = cursor + min(_COMMITS_ON_A_PAGE, settings.page_length)
    with store.reading() as rows:
        history = rows.history(repo, find_commit(rows, repo, revision))
        page = list(itertools.islice(history, cursor, end + 1))
    links = page_links(request, settings, end if len(page) > end - cursor else None)
    return JSONResponse([_described(oid, commit) for oid, commit in page[: end - cursor]], headers=links)


@router.post("/api/{kind}/{namespace}/{name}/tag/{revision}")
def create_tag(
    body: NewTag, repo: WritableRepo, revision: RevisionOf, caller: CallerOf, store: StoreOf
) -> dict[str, str]:
    """Set a tag; a tag that exists is never moved."""
    return _create(store, repo, f"refs/tags/{_checked(body.tag)}", revision, caller)


@router.delete("/api/{kind}/{namespace}/{name}/tag/{revision}")
def delete_tag(repo: WritableRepo, revision: RevisionOf, caller: CallerOf, store: StoreOf) -> dict[str, str]:
    """Remove a tag."""
    return _delete(store, repo, f"refs/tags/{revision}", revision, caller)


@router.post("/api/{kind}/{namespace}/{name}/branch/{revision}")
def create_branch(
    repo: WritableRepo, revision: RevisionOf, caller: CallerOf, store: StoreOf, body: NewBranch | None = None
) -> dict[str, str]:
    """Begin a branch."""
    start = (body.startingPoint if body else None) or "main"
    return _create(store, repo, f"refs/heads/{_checked(revision)}", start, caller)


@router.delete("/api/{kind}/{namespace}/{name}/branch/{revision}")
def delete_branch(repo: WritableRepo, revision: RevisionOf, caller: CallerOf, store: StoreOf) -> dict[str, str]:
    """Remove a branch, but never main."""
    if f"refs/heads/{revision}" == MAIN:
        raise Refusal(403, "The main branch cannot be deleted")
    return _delete(store, repo, f"refs/heads/{revision}", revision, caller)


def _create(store: StoreOf, repo: Repo, ref: str, revision: str, caller: Caller) -> dict[str, str]:
    with store.writing() as rows:
        if not rows.lock(repo):
            raise no_such_repo(is_anonymous=False)
        target = find_commit(rows, repo, revision)
        if ref in rows.refs(repo):
            raise Refusal(409, f"Reference already exists: {ref!r}")
        rows.set_ref(repo, ref, target)
        rows.note("hub-ref-set", repo, caller.token, ref=ref, commit=target)
    return {"ref": ref, "targetCommit": target}


def _delete(store: StoreOf, repo: Repo, ref: str, revision: str, caller: Caller) -> dict[str, str]:
    with store.writing() as rows:
        if not rows.delete_ref(repo, ref):
            raise no_such_revision(revision)
        rows.note("hub-ref-deleted", repo, caller.token, ref=ref)
    return {"ref": ref}


def _checked(name: str) -> str:
    if not name or len(name) > 200 or _BAD_REFERENCE.search(name):
        raise Refusal(400, f"Invalid reference name: {name!r}")
    return name


def _described(oid: str, commit: Commit) -> dict[str, Any]:
    return {
        "id": oid,
        "title": commit.title,
        "message": commit.description,
        "date": moment(commit.time_s),
        "authors": [{"user": commit.author}],
    }
