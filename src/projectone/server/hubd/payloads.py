"""A commit's request body to operations: every line judged, plain content already on disk."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from projectone.server.hubd.objects import FileEntry, git_id
from projectone.server.hubd.refusals import Refusal
from projectone.storage.blobs import BlobStore

_PARENT = re.compile(r"[0-9a-f]{5,40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_MESSAGE = 65_536


@dataclass(frozen=True)
class AddFile:
    """A plain file; its content is in the blob store."""

    path: str
    entry: FileEntry


@dataclass(frozen=True)
class AddLarge:
    """A large file that was uploaded before; the size may be left out."""

    path: str
    sha256: str
    size_bytes: int | None


@dataclass(frozen=True)
class DeleteFile:
    """One file to remove."""

    path: str


@dataclass(frozen=True)
class DeleteFolder:
    """Every file below a folder to remove; an empty path is the whole tree."""

    path: str


Operation = AddFile | AddLarge | DeleteFile | DeleteFolder


@dataclass(frozen=True)
class Payload:
    """One commit as asked for.

    Attributes:
        message: Summary, and after an empty line the description.
        parent: The first digits of the commit it must follow; None if anything will do.
        operations: In the order they apply.
    """

    message: str
    parent: str | None
    operations: tuple[Operation, ...]


def read_payload(lines: Iterator[bytes], blobs: BlobStore) -> Payload:
    """The commit that newline-delimited JSON describes. Plain content goes to `blobs` as it comes.

    Raises:
        Refusal: 400 if a line is not what the protocol says, or a path is not one we keep.
    """
    header: dict[str, Any] | None = None
    operations: list[Operation] = []
    for line in lines:
        key, value = _read_line(line)
        if key == "header":
            if header is not None or operations:
                raise Refusal(400, "expected exactly one header, as the first line")
            header = value
        elif header is None:
            raise Refusal(400, f"expected a header as the first line, got {key!r}")
        else:
            operations.append(_operation(key, value, blobs))
    if header is None:
        raise Refusal(400, "expected a header as the first line, got an empty body")
    return Payload(_message(header), _parent(header), tuple(operations))


def check_path(path: object) -> str:
    """`path`, if it may name a file of a repository.

    Raises:
        Refusal: 400 if it could lead outside a checkout, into git's own folder, or nowhere.
    """
    if not isinstance(path, str) or not 0 < len(path) <= 1024:
        raise Refusal(400, f"path: expected 1 to 1024 characters, got {path!r:.80}")
    segments = path.split("/")
    is_bad = any(segment in ("", ".", "..") or segment.lower() == ".git" for segment in segments)
    if is_bad or "\\" in path or any(ord(letter) < 32 or letter == "\x7f" for letter in path):
        raise Refusal(400, f"path: expected a relative path of plain names, got {path!r}")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise Refusal(400, f"path: expected Unicode text, got {path!r}") from error
    return path


def _read_line(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        item = json.loads(line)
    except ValueError as error:
        raise Refusal(400, f"expected one JSON object on each line: {error}") from error
    if not isinstance(item, dict) or not isinstance(item.get("key"), str) or not isinstance(item.get("value"), dict):
        raise Refusal(400, "expected {'key': ..., 'value': {...}} on each line")
    return item["key"], item["value"]


def _operation(key: str, value: dict[str, Any], blobs: BlobStore) -> Operation:
    path = value.get("path")
    if key == "deletedFolder":
        folder = path.strip("/") if isinstance(path, str) else path
        return DeleteFolder(check_path(folder) if folder else "")
    path = check_path(path)
    if key == "file":
        return AddFile(path, _keep_plain(value, blobs))
    if key == "lfsFile":
        oid, size = value.get("oid"), value.get("size")
        if value.get("algo") != "sha256" or not isinstance(oid, str) or not _SHA256.fullmatch(oid):
            raise Refusal(400, f"{path!r}: expected a sha256 of 64 digits, got {oid!r}")
        if size is not None and (not isinstance(size, int) or size < 0):
            raise Refusal(400, f"{path!r}: expected a size in bytes, got {size!r}")
        return AddLarge(path, oid, size)
    if key == "deletedFile":
        return DeleteFile(path)
    raise Refusal(400, f"{path!r}: unknown operation {key!r}")


def _keep_plain(value: dict[str, Any], blobs: BlobStore) -> FileEntry:
    content = value.get("content")
    if value.get("encoding") != "base64" or not isinstance(content, str):
        raise Refusal(400, "expected the content of a file in base64")
    try:
        body = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise Refusal(400, f"expected the content of a file in base64: {error}") from error
    return FileEntry(git_id("blob", body), len(body), blobs.put([body]))


def _message(header: dict[str, Any]) -> str:
    summary, description = header.get("summary"), header.get("description") or ""
    if not isinstance(summary, str) or not summary.strip() or not isinstance(description, str):
        raise Refusal(400, "expected a summary that is not empty")
    text = f"{summary.strip()}\n\n{description.strip()}".strip().replace("\0", "")
    try:
        is_short = len(text.encode()) <= _MAX_MESSAGE
    except UnicodeEncodeError as error:
        raise Refusal(400, "expected a message of Unicode text") from error
    if not is_short:
        raise Refusal(400, f"expected a message of at most {_MAX_MESSAGE} bytes")
    return text


def _parent(header: dict[str, Any]) -> str | None:
    parent = header.get("parentCommit")
    if parent is None:
        return None
    if not isinstance(parent, str) or not _PARENT.fullmatch(parent.lower()):
        raise Refusal(400, f"parentCommit: expected 5 to 40 hexadecimal digits, got {parent!r}")
    return parent.lower()
