"""Rows of the Hub inside one transaction: tokens, repositories, references; and the store of rows and bytes."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, delete, insert, select, text, update

from projectone.server.database import reading, writing
from projectone.server.hubd.large_rows import LargeRows
from projectone.server.hubd.object_rows import ObjectRows
from projectone.server.hubd.tables import NAMES, OBJECTS, REFS, REPOS, TOKENS, UPLOADS, Repo
from projectone.storage.blobs import FileBlobs

Role = Literal["read", "write"]
_POOL_LOCK = 0x706F6F6C  # PostgreSQL's advisory locks are numbers


@dataclass(frozen=True)
class Token:
    """What a bearer token allows. The token itself is not kept, only its SHA-256."""

    name: str
    role: Role
    namespaces: frozenset[str]
    expires_at_s: float | None


class Rows(ObjectRows, LargeRows):
    """The Hub's rows inside one transaction."""

    def hold_pool(self, *, alone: bool = False) -> None:
        """Until this transaction ends, nobody removes bytes that it saw; `alone`: nobody refers to any that it removes.

        SQLite has one writer anyway.
        """
        if self._connection.dialect.name == "postgresql":
            name = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
            self._connection.execute(text(f"SELECT {name}(:number)"), {"number": _POOL_LOCK})

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

    def expire_token(self, digest: str, at_s: float) -> None:
        """End a token at a Unix time."""
        self._connection.execute(update(TOKENS).where(TOKENS.c.digest == digest).values(expires_at_s=at_s))

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
