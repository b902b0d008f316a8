"""What a repository holds at a revision: its description, its tree, single paths."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse

from projectone.server.hubd.auth import CallerOf, ReadableRepo, SettingsOf, StoreOf
from projectone.server.hubd.objects import FileEntry
from projectone.server.hubd.references import CursorOf, RevisionOf, find_commit, moment, page_links
from projectone.server.hubd.refusals import Refusal, no_such_entry
from projectone.server.hubd.repos import HubStore, Rows
from projectone.server.hubd.tables import Repo

router = APIRouter()


@router.get("/api/{kind}")
def list_repos(
    request: Request,
    kind: str,
    caller: CallerOf,
    store: StoreOf,
    settings: SettingsOf,
    cursor: CursorOf,
    author: str = "",
    search: str = "",
) -> Response:
    """Every repository the caller may see, a page at a time."""
    if kind not in ("models", "datasets", "spaces"):
        raise Refusal(404, "No such page")
    with store.reading() as rows:
        found = [repo for repo in rows.repos(kind) if caller.may_see(repo)]
    described = [
        {
            "_id": f"{repo.id:024x}",
            "id": repo.full_name,
            "private": repo.private,
            "createdAt": moment(repo.created_at_s),
        }
        for repo in found
        if (not author or repo.namespace == author) and search.lower() in repo.full_name.lower()
    ]
    end = cursor + settings.page_length
    links = page_links(request, settings, end if end < len(described) else None)
    return JSONResponse(described[cursor:end], headers=links)


@router.get("/api/{kind}/{namespace}/{name}")
def describe_head(repo: ReadableRepo, store: StoreOf, blobs: bool = False) -> dict[str, Any]:
    """The repository at the head of main."""
    return _description(store, repo, "main", has_sizes=blobs)


@router.get("/api/{kind}/{namespace}/{name}/revision/{revision}")
def describe(repo: ReadableRepo, revision: RevisionOf, store: StoreOf, blobs: bool = False) -> dict[str, Any]:
    """The repository at a revision."""
    return _description(store, repo, revision, has_sizes=blobs)


@router.get("/api/{kind}/{namespace}/{name}/tree/{revision}")
@router.get("/api/{kind}/{namespace}/{name}/tree/{revision}/{path:path}")
def list_tree(
    request: Request,
    repo: ReadableRepo,
    revision: RevisionOf,
    store: StoreOf,
    settings: SettingsOf,
    cursor: CursorOf,
    recursive: bool = False,
) -> Response:
    """The files and folders below a path, a page at a time."""
    path = unquote(str(request.path_params.get("path", ""))).strip("/")
    with store.reading() as rows:
        entries = _entries(rows, repo, revision)
    prefix = f"{path}/" if path else ""
    if path and entries.get(path, {}).get("type") != "directory":
        raise no_such_entry(path)
    below = [entry for name, entry in sorted(entries.items()) if name.startswith(prefix)]
    wanted = [entry for entry in below if recursive or "/" not in entry["path"][len(prefix) :]]
    end = cursor + settings.page_length
    links = page_links(request, settings, end if end < len(wanted) else None)
    return JSONResponse(wanted[cursor:end], headers=links)


@router.post("/api/{kind}/{namespace}/{name}/paths-info/{revision}")
def describe_paths(
    repo: ReadableRepo, revision: RevisionOf, store: StoreOf, paths: Annotated[list[str], Form()]
) -> list[dict[str, Any]]:
    """Single files and folders; those that are not there are left out."""
    with store.reading() as rows:
        entries = _entries(rows, repo, revision)
    return [entries[path] for path in dict.fromkeys(paths) if path in entries]


def _description(store: HubStore, repo: Repo, revision: str, *, has_sizes: bool) -> dict[str, Any]:
    with store.reading() as rows:
        oid = find_commit(rows, repo, revision)
        commit = rows.commit(repo, oid)
        files = rows.files(repo, commit.tree)
    siblings: list[dict[str, Any]] = []
    for path, entry in files.items():
        sibling: dict[str, Any] = {"rfilename": path}
        if has_sizes:
            sibling |= {"size": entry.size_bytes, "blobId": entry.oid}
            if entry.lfs_sha256:
                large = {"sha256": entry.lfs_sha256, "size": entry.size_bytes, "pointerSize": entry.pointer_bytes}
                sibling["lfs"] = large
        siblings.append(sibling)
    return {
        "_id": f"{repo.id:024x}",
        "id": repo.full_name,
        "modelId": repo.full_name,
        "author": repo.namespace,
        "sha": oid,
        "private": repo.private,
        "visibility": "private" if repo.private else "public",
        "gated": False,
        "disabled": False,
        "createdAt": moment(repo.created_at_s),
        "lastModified": moment(commit.time_s),
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": siblings,
    }


def _entries(rows: Rows, repo: Repo, revision: str) -> dict[str, dict[str, Any]]:
    tree = rows.commit(repo, find_commit(rows, repo, revision)).tree
    entries = {path: _file(path, entry) for path, entry in rows.files(repo, tree).items()}
    for path, oid in rows.folder_ids(repo, tree).items():
        entries[path] = {"type": "directory", "path": path, "oid": oid, "size": 0}
    return entries


def _file(path: str, entry: FileEntry) -> dict[str, Any]:
    answer: dict[str, Any] = {"type": "file", "path": path, "oid": entry.oid, "size": entry.size_bytes}
    if entry.lfs_sha256:
        answer["lfs"] = {"oid": entry.lfs_sha256, "size": entry.size_bytes, "pointerSize": entry.pointer_bytes}
    return answer
