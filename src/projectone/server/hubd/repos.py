"""Rows of the Hub: repositories, references, git objects, tokens, and who uploaded which large file."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from projectone.errors import StorageError
from projectone.server.database import METADATA, reading, writing
from projectone.server.hubd.objects import Commit, FileEntry, ObjectKind, parse_commit, parse_tree
from projectone.storage.blobs import FileBlobs

Role = Literal["read", "write"]
MAIN = "refs/heads/main"
_LOOKUP_BATCH = 500  # SQLite accepts 32,766 variables; a smaller statement is planned faster

TOKENS = Table(
    "hub_tokens",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("name", String(96), nullable=False),
    Column("role", String(8), nullable=False),
    Column("namespaces", Text, nullable=False),
    Column("expires_at_s", Float),
    Column("created_at_s", Float, nullable=False),
)
REPOS = Table(
    "hub_repos",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(8), nullable=False),
    Column("namespace", String(96), nullable=False),
    Column("name", String(96), nullable=False),
    Column("private", Boolean, nullable=False),
    Column("writes", Integer, nullable=False),
    Column("created_at_s", Float, nullable=False),
    sqlite_autoincrement=True,  # an id is never given again, so an old upload URL cannot reach a new repository
)
NAMES = Table(
    "hub_names",
    METADATA,
    Column("kind", String(8), primary_key=True),
    # Lower case: two names that differ in case only would meet in one folder of a client's cache.
    Column("folded", String(193), primary_key=True),
    Column("repo_id", ForeignKey("hub_repos.id", ondelete="CASCADE"), nullable=False),
)
REFS = Table(
    "hub_refs",
    METADATA,
    Column("repo_id", ForeignKey("hub_repos.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("target", String(40), nullable=False),
)
OBJECTS = Table(
    "hub_objects",
    METADATA,
    Column("repo_id", ForeignKey("hub_repos.id", ondelete="CASCADE"), primary_key=True),
    Column("oid", String(40), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("body", LargeBinary),  # trees and commits; the bytes of files lie in the blob store
    Column("size_bytes", Integer),
    Column("pool_sha256", String(64)),
    Column("lfs_sha256", String(64)),
)
UPLOADS = Table(
    "hub_uploads",
    METADATA,
    Column("repo_id", ForeignKey("hub_repos.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("size_bytes", Integer, nullable=False),
)


@dataclass(frozen=True)
class Token:
    """What a bearer token allows. The token itself is not kept, only its SHA-256."""

    name: str
    role: Role
    namespaces: frozenset[str]
    expires_at_s: float | None


@dataclass(frozen=True)
class Repo:
    """One repository."""

    id: int
    kind: str
    namespace: str
    name: str
    private: bool
    created_at_s: float

    @property
    def full_name(self) -> str:
        """Namespace and name, as the client writes them."""
        return f"{self.namespace}/{self.name}"


class Rows:
    """The Hub's rows inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def token(self, digest: str) -> Token | None:
        """The token with this SHA-256."""
        row = self._connection.execute(select(TOKENS).where(TOKENS.c.digest == digest)).one_or_none()
        if row is None:
            return None
        return Token(row.name, row.role, frozenset(json.loads(row.namespaces)), row.expires_at_s)

    def add_token(self, digest: str, token: Token) -> None:
        """Keep a token by its SHA-256; the same one twice is the same row."""
        self._connection.execute(delete(TOKENS).where(TOKENS.c.digest == digest))
        values = {"digest": digest, "name": token.name, "role": token.role, "expires_at_s": token.expires_at_s}
        names = json.dumps(sorted(token.namespaces))
        self._connection.execute(insert(TOKENS).values(**values, namespaces=names, created_at_s=time.time()))

    def repo(self, kind: str, namespace: str, name: str) -> Repo | None:
        """The repository with this name, whatever the letters' case."""
        folded = f"{namespace}/{name}".lower()
        query = select(REPOS).join(NAMES, NAMES.c.repo_id == REPOS.c.id)
        row = self._connection.execute(query.where(NAMES.c.kind == kind, NAMES.c.folded == folded)).one_or_none()
        return None if row is None else _repo(row)

    def repos(self, kind: str, namespaces: Collection[str]) -> list[Repo]:
        """Every public repository, and the private ones of `namespaces`."""
        query = select(REPOS).where(REPOS.c.kind == kind).order_by(REPOS.c.id)
        found = [_repo(row) for row in self._connection.execute(query)]
        return [repo for repo in found if not repo.private or repo.namespace in namespaces]

    def add_repo(self, kind: str, namespace: str, name: str, *, private: bool) -> Repo:
        """A new repository without a commit; the caller has seen, in this transaction, that the name is free."""
        now_s = time.time()
        values = {"kind": kind, "namespace": namespace, "name": name, "private": private}
        done = self._connection.execute(insert(REPOS).values(**values, writes=0, created_at_s=now_s))
        (repo_id,) = done.inserted_primary_key or (0,)
        folded = f"{namespace}/{name}".lower()
        self._connection.execute(insert(NAMES).values(kind=kind, folded=folded, repo_id=repo_id))
        return Repo(repo_id, kind, namespace, name, private, now_s)

    def delete_repo(self, repo: Repo) -> None:
        """Remove a repository with everything that hangs on it, but for blobs."""
        for table in (NAMES, REFS, OBJECTS, UPLOADS):
            self._connection.execute(delete(table).where(table.c.repo_id == repo.id))
        self._connection.execute(delete(REPOS).where(REPOS.c.id == repo.id))

    def set_private(self, repo: Repo, private: bool) -> None:
        """Show or hide a repository."""
        self._connection.execute(update(REPOS).where(REPOS.c.id == repo.id).values(private=private))

    def lock(self, repo: Repo) -> bool:
        """Hold off every other writer of `repo` until this transaction ends; False if the repository is gone."""
        done = self._connection.execute(update(REPOS).where(REPOS.c.id == repo.id).values(writes=REPOS.c.writes + 1))
        return done.rowcount == 1

    def refs(self, repo: Repo) -> dict[str, str]:
        """Full reference name to commit id."""
        query = select(REFS.c.name, REFS.c.target).where(REFS.c.repo_id == repo.id).order_by(REFS.c.name)
        return {row.name: row.target for row in self._connection.execute(query)}

    def set_ref(self, repo: Repo, name: str, target: str) -> None:
        """Point a reference at a commit; the caller holds `lock` and has compared the old value."""
        self.delete_ref(repo, name)
        self._connection.execute(insert(REFS).values(repo_id=repo.id, name=name, target=target))

    def delete_ref(self, repo: Repo, name: str) -> bool:
        """Remove a reference; False if there was none."""
        done = self._connection.execute(delete(REFS).where(REFS.c.repo_id == repo.id, REFS.c.name == name))
        return done.rowcount == 1

    def has_repo(self, repo_id: int) -> bool:
        """Whether the repository is still there."""
        return self._connection.execute(select(REPOS.c.id).where(REPOS.c.id == repo_id)).one_or_none() is not None

    def claim(self, repo_id: int, sha256: str, size_bytes: int) -> None:
        """Record that these bytes were uploaded to this repository."""
        self._connection.execute(delete(UPLOADS).where(UPLOADS.c.repo_id == repo_id, UPLOADS.c.sha256 == sha256))
        self._connection.execute(insert(UPLOADS).values(repo_id=repo_id, sha256=sha256, size_bytes=size_bytes))

    def claims(self, repo_id: int, digests: Iterable[str]) -> dict[str, int]:
        """Which of `digests` were uploaded to this repository, with their sizes."""
        found: dict[str, int] = {}
        for some in _batches(digests):
            query = select(UPLOADS).where(UPLOADS.c.repo_id == repo_id, UPLOADS.c.sha256.in_(some))
            found.update({row.sha256: row.size_bytes for row in self._connection.execute(query)})
        return found

    def add_objects(self, repo: Repo, kind: ObjectKind, bodies: dict[str, bytes]) -> None:
        """Keep trees or commits; those already there stay as they are."""
        fresh = bodies.keys() - self._present(repo, bodies)
        rows = [{"repo_id": repo.id, "oid": oid, "kind": kind, "body": bodies[oid]} for oid in sorted(fresh)]
        if rows:
            self._connection.execute(insert(OBJECTS), rows)

    def add_files(self, repo: Repo, entries: Iterable[FileEntry]) -> None:
        """Keep what is known of blobs. A large file replaces a plain file that merely spells its pointer."""
        wanted = {entry.oid: entry for entry in entries}
        large = [oid for oid, entry in wanted.items() if entry.lfs_sha256]
        for some in _batches(large):
            self._connection.execute(delete(OBJECTS).where(OBJECTS.c.repo_id == repo.id, OBJECTS.c.oid.in_(some)))
        fresh = wanted.keys() - self._present(repo, wanted)
        rows = [
            {
                "repo_id": repo.id,
                "oid": oid,
                "kind": "blob",
                "size_bytes": wanted[oid].size_bytes,
                "pool_sha256": wanted[oid].pool_sha256,
                "lfs_sha256": wanted[oid].lfs_sha256,
            }
            for oid in sorted(fresh)
        ]
        if rows:
            self._connection.execute(insert(OBJECTS), rows)

    def commit(self, repo: Repo, oid: str) -> Commit:
        """A commit of this repository."""
        return parse_commit(self._body(repo, oid, "commit"))

    def history(self, repo: Repo, oid: str | None) -> Iterator[tuple[str, Commit]]:
        """A commit and its ancestors, newest first."""
        while oid is not None:
            commit = self.commit(repo, oid)
            yield oid, commit
            oid = commit.parent

    def files(self, repo: Repo, tree: str) -> dict[str, FileEntry]:
        """Every file below a tree: path to entry, in order of path."""
        oids: dict[str, str] = {}
        folders = [("", tree)]
        while folders:
            prefix, oid = folders.pop()
            for mode, name, child in parse_tree(self._body(repo, oid, "tree")):
                if mode.startswith("4"):
                    folders.append((f"{prefix}{name}/", child))
                else:
                    oids[prefix + name] = child
        entries = self._entries(repo, set(oids.values()))
        return {path: entries[oids[path]] for path in sorted(oids)}

    def folder_ids(self, repo: Repo, tree: str) -> dict[str, str]:
        """Every folder below a tree: path to tree id."""
        found: dict[str, str] = {}
        waiting = [("", tree)]
        while waiting:
            prefix, oid = waiting.pop()
            for mode, name, child in parse_tree(self._body(repo, oid, "tree")):
                if mode.startswith("4"):
                    found[prefix + name] = child
                    waiting.append((f"{prefix}{name}/", child))
        return found

    def _body(self, repo: Repo, oid: str, kind: ObjectKind) -> bytes:
        where = (OBJECTS.c.repo_id == repo.id, OBJECTS.c.oid == oid, OBJECTS.c.kind == kind)
        body = self._connection.execute(select(OBJECTS.c.body).where(*where)).scalar_one_or_none()
        if body is None:
            raise StorageError(f"{repo.full_name}: {kind} {oid} is missing; was the repository deleted just now?")
        return bytes(body)

    def _present(self, repo: Repo, oids: Iterable[str]) -> set[str]:
        found: set[str] = set()
        for some in _batches(oids):
            query = select(OBJECTS.c.oid).where(OBJECTS.c.repo_id == repo.id, OBJECTS.c.oid.in_(some))
            found.update(self._connection.execute(query).scalars())
        return found

    def _entries(self, repo: Repo, oids: Iterable[str]) -> dict[str, FileEntry]:
        found: dict[str, FileEntry] = {}
        for some in _batches(oids):
            query = select(OBJECTS).where(OBJECTS.c.repo_id == repo.id, OBJECTS.c.oid.in_(some))
            for row in self._connection.execute(query):
                found[row.oid] = FileEntry(row.oid, row.size_bytes, row.pool_sha256, row.lfs_sha256)
        return found


class HubStore:
    """Rows and bytes of one Hub.

    Args:
        engine: From `server.database.open_engine`; the tables exist.
        folder: Where blobs and unfinished uploads lie.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self.blobs = FileBlobs(folder / "blobs")
        self.parts_folder = folder / "parts"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Rows]:
        """Rows as one moment saw them."""
        with reading(self._engine) as connection:
            yield Rows(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Rows]:
        """Rows to change: what the block reads stays true until it ends; all of its changes land, or none."""
        with writing(self._engine) as connection:
            yield Rows(connection)


def _repo(row: Any) -> Repo:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    return Repo(row.id, row.kind, row.namespace, row.name, row.private, row.created_at_s)


def _batches(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(set(values))
    for start in range(0, len(ordered), _LOOKUP_BATCH):
        yield ordered[start : start + _LOOKUP_BATCH]
