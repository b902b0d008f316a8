"""A path at a revision to bytes: ETag, Range, or a signed URL on another origin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from projectone.server.hubd.auth import ReadableRepo, SettingsOf, StoreOf
from projectone.server.hubd.links import Link, expiry, read_link
from projectone.server.hubd.objects import FileEntry
from projectone.server.hubd.references import RevisionOf, find_commit
from projectone.server.hubd.refusals import Refusal, no_such_entry
from projectone.server.hubd.repos import HubStore

_READ_BYTES = 1024 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_UNCHANGING = "private, max-age=31536000, immutable"

router = APIRouter()


@router.api_route("/{namespace}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
@router.api_route("/{kind}/{namespace}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
def resolve(
    request: Request, repo: ReadableRepo, revision: RevisionOf, store: StoreOf, settings: SettingsOf
) -> Response:
    """One file. Large files are answered here unless there is another origin for them.

    A redirect to our own origin would be followed by the client's HEAD, which then reads the metadata from the
    last answer and loses it; so there is either none, or one to another origin with the metadata on the redirect.
    """
    path = unquote(str(request.path_params["path"]))
    with store.reading() as rows:
        commit = find_commit(rows, repo, revision)
        entry = rows.files(repo, rows.commit(repo, commit).tree).get(path)
    if entry is None or entry.pool_sha256 is None:
        refusal = no_such_entry(path)
        refusal.extra_headers["X-Repo-Commit"] = commit
        raise refusal
    headers = _headers(entry, commit)
    if revision == commit:
        headers["Cache-Control"] = _UNCHANGING
    if entry.lfs_sha256 and settings.cdn_url is not None:
        link = Link("GET", entry.lfs_sha256, entry.size_bytes, expiry(settings.url_lifetime_s))
        headers["Location"] = link.url(f"{settings.cdn_url}/api/blobs", settings.url_key)
        return Response(status_code=302, headers=headers)
    return _content(request, store, entry.pool_sha256, entry.size_bytes, headers)


@router.api_route("/api/blobs/{sha256}", methods=["GET", "HEAD"])
def download(sha256: str, request: Request, store: StoreOf, settings: SettingsOf) -> Response:
    """A large file by signed URL; this is what the other origin serves."""
    link = read_link("GET", sha256, request.query_params, settings.url_key)
    if not store.blobs.has(sha256):
        raise Refusal(404, "This file is gone")
    headers = {"ETag": f'"{sha256}"', "Cache-Control": _UNCHANGING}
    return _content(request, store, sha256, link.size_bytes, headers)


def _headers(entry: FileEntry, commit: str) -> dict[str, str]:
    etag = f'"{entry.lfs_sha256 or entry.oid}"'
    headers = {"X-Repo-Commit": commit, "ETag": etag}
    if entry.lfs_sha256:
        headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(entry.size_bytes)}
    return headers


def _content(request: Request, store: HubStore, sha256: str, size_bytes: int, headers: dict[str, str]) -> Response:
    etag = headers["ETag"]
    headers |= {"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    status, start, end = 200, 0, size_bytes
    asked = request.headers.get("range")
    if asked is not None and request.headers.get("if-range", etag) == etag:
        span = _span(asked, size_bytes)
        if span is not None:
            status, (start, end) = 206, span
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size_bytes}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    blocks = _blocks(store.blobs.path_of(sha256), start, end)
    # No compression anywhere on this way: the client compares lengths.
    return StreamingResponse(blocks, status_code=status, headers=headers, media_type="application/octet-stream")


def _span(asked: str, size_bytes: int) -> tuple[int, int] | None:
    """Start and end (not included) of a byte range; None if the header is one to ignore.

    Raises:
        Refusal: 416 if no byte of the file lies in it.
    """
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
        if last and int(last) < int(first):
            return None
    if start >= end:
        refusal = Refusal(416, f"expected a range inside {size_bytes} bytes, got {asked!r}")
        refusal.extra_headers["Content-Range"] = f"bytes */{size_bytes}"
        raise refusal
    return start, end


def _blocks(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        while start < end and (block := stream.read(min(_READ_BYTES, end - start))):
            start += len(block)
            yield block
