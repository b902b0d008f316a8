"""Git blobs, trees and commits under their real git ids, so that a repository can leave for any git server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

ObjectKind = Literal["blob", "tree", "commit"]

FILE_MODE = "100644"
TREE_MODE = "40000"
ATTRIBUTES_PATH = ".gitattributes"

# Without these lines a git export would not know which blobs are pointers to large files.
_LARGE_PATTERNS = (
    "*.safetensors",
    "*.bin",
    "*.npz",
    "*.onnx",
    "*.pt",
    "*.zip",
    "*.tar.gz",
    "*.tar",
    "*.wav",
    "*.model",
)
ATTRIBUTES_TEXT = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _LARGE_PATTERNS).encode()
LARGE_SUFFIXES = frozenset(pattern.removeprefix("*") for pattern in _LARGE_PATTERNS)


@dataclass(frozen=True)
class FileEntry:
    """One file of a commit.

    Attributes:
        oid: Git id of the blob; for a large file, of its pointer text.
        size_bytes: Length of the file itself, not of its pointer.
        lfs_sha256: SHA-256 of a large file, None for a file that git holds itself.
        pool_sha256: The key of the content in the blob store; None if it was permanently deleted.
    """

    oid: str
    size_bytes: int
    pool_sha256: str | None
    lfs_sha256: str | None = None

    @property
    def pointer_bytes(self) -> int:
        """Length of the pointer text of a large file."""
        return len(pointer_text(self.lfs_sha256 or "0" * 64, self.size_bytes))


@dataclass(frozen=True)
class Commit:
    """What a commit object says."""

    tree: str
    parent: str | None
    author: str
    time_s: int
    message: str

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.split("\n", 1)[0]

    @property
    def description(self) -> str:
        """The message below its first line."""
        return self.message.partition("\n")[2].strip("\n")


def git_id(kind: ObjectKind, body: bytes) -> str:
    """The SHA-1 name git gives to an object."""
    return hashlib.sha1(f"{kind} {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()


def pointer_text(sha256: str, size_bytes: int) -> bytes:
    """The text that stands in git for a large file (Git LFS specification, version 1)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size_bytes}\n".encode()


def encode_tree(entries: Iterable[tuple[str, str, str]]) -> bytes:
    """A tree body from `(mode, name, oid)`, in git's order: folders sort as if their name ended in a slash."""

    def order(entry: tuple[str, str, str]) -> bytes:
        mode, name, _ = entry
        return name.encode() + (b"/" if mode == TREE_MODE else b"")

    return b"".join(
        f"{mode} {name}".encode() + b"\0" + bytes.fromhex(oid) for mode, name, oid in sorted(entries, key=order)
    )


def parse_tree(body: bytes) -> list[tuple[str, str, str]]:
    """`(mode, name, oid)` of each entry of a tree body."""
    entries, position = [], 0
    while position < len(body):
        end = body.index(b"\0", position)
        mode, _, name = body[position:end].decode().partition(" ")
        position = end + 21
        entries.append((mode, name, body[end + 1 : position].hex()))
    return entries


def build_trees(files: Mapping[str, str]) -> tuple[str, dict[str, bytes]]:
    """Every tree that a flat listing needs.

    Args:
        files: Path to blob id.

    Returns:
        The id of the root, and the body of each tree by id.
    """
    children: dict[str, list[tuple[str, str, str]]] = {"": []}
    for path, oid in files.items():
        folder, _, name = path.rpartition("/")
        children.setdefault(folder, []).append((FILE_MODE, name, oid))
        while folder:
            folder = folder.rpartition("/")[0]
            children.setdefault(folder, [])
    bodies: dict[str, bytes] = {}
    root = ""
    # Deepest first: a folder's id must be known before its parent is written.
    for folder in sorted(children, key=lambda path: (-path.count("/") - bool(path), path)):
        body = encode_tree(children[folder])
        oid = git_id("tree", body)
        bodies[oid] = body
        if folder:
            parent, _, name = folder.rpartition("/")
            children[parent].append((TREE_MODE, name, oid))
        else:
            root = oid
    return root, bodies


def encode_commit(commit: Commit) -> bytes:
    """The body of a commit object; the author's name is cleaned of what git reserves."""
    name = "".join(letter for letter in commit.author if letter not in "<>\n\0").strip() or "unknown"
    who = f"{name} <{name.replace(' ', '-')}@hub.invalid> {commit.time_s} +0000"
    parent = f"parent {commit.parent}\n" if commit.parent else ""
    message = commit.message.rstrip("\n") + "\n"
    return f"tree {commit.tree}\n{parent}author {who}\ncommitter {who}\n\n{message}".encode()


def parse_commit(body: bytes) -> Commit:
    """A commit from its body, as `encode_commit` wrote it."""
    head, _, message = body.decode().partition("\n\n")
    fields = dict(line.split(" ", 1) for line in head.split("\n"))
    who, time_s, _ = fields["author"].rsplit(" ", 2)
    return Commit(
        tree=fields["tree"],
        parent=fields.get("parent"),
        author=who.rpartition(" <")[0],
        time_s=int(time_s),
        message=message.rstrip("\n"),
    )
