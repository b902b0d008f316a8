"""Rows of the Hub inside one transaction: repositories, references and the rest; and the store of rows and bytes."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, text, update

from projectone.server.database import reading, writing
from projectone.server.hubd.large_rows import LargeRows
from projectone.server.hubd.object_rows import ObjectRows
from projectone.server.hubd.tables import NAMES, OBJECTS, REFS, REPOS, UPLOADS, Repo
from projectone.server.hubd.token_rows import Token, TokenRows
from projectone.storage.blobs import FileBlobs

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,95}")
_POOL_LOCK = 0x706F6F6C  # PostgreSQL's advisory locks are numbers


class Rows(ObjectRows, LargeRows, TokenRows):
    """The Hub's rows inside one transaction.

    Args:
        connection: The transaction.
        record: Writes an entry of an audit log in the same transaction; None where nobody keeps one.
    """

    def __init__(self, connection: Connection, record: Callable[..., None] | None = None) -> None:
        super().__init__(connection)
        self._record = record

    def note(self, act: str, subject: Repo | str, by: Token | str | None, **facts: str | int | None) -> None:
        """Put on record that something was done, with the transaction that does it.

        Args:
            act: What.
            subject: To which repository or token.
            by: Whose token it was, or the operator's account.
            **facts: Commits, names and counts; a name that is more than a plain word is kept as a digest.
        """
        if self._record is None:
            return
        name = f"{subject.kind}/{subject.full_name}" if isinstance(subject, Repo) else subject
        plain = {key: _plain(value) if isinstance(value, str) else value for key, value in facts.items()}
        who = by.name if isinstance(by, Token) else by or "nobody"
        self._record(self._connection, act, _plain(name), by=who, now=datetime.now(UTC), **plain)

    def hold_pool(self, *, alone: bool = False) -> None:
        """Until this transaction ends, nobody removes bytes that it saw; `alone`: nobody refers to any that it removes.

        SQLite has one writer anyway.
        """
        if self._connection.dialect.name == "postgresql":
            name = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
            self._connection.execute(text(f"SELECT {name}(:number)"), {"number": _POOL_LOCK})

    def repo(self, kind: str, namespace: str, name: str) -> Repo | None:
        """The repository with this name, whatever the letters' case."""
        folded = f"{namespace}/{name}".lower()
        query = select(REPOS).join(NAMES, NAMES.c.repo_id == REPOS.c.id)
        row = self._connection.execute(query.where(NAMES.c.kind == kind, NAMES.c.folded == folded)).one_or_none()
        return None if row is None else _repo(row)

    def repos(self, kind: str | None = None) -> list[Repo]:
        """Every repository, of one kind or of all."""
        query = select(REPOS).order_by(REPOS.c.id)
        return [
            _repo(row) for row in self._connection.execute(query if kind is None else query.where(REPOS.c.kind == kind))
        ]

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

    def repo_by_id(self, repo_id: int) -> Repo | None:
        """The repository with this number, if it is still there."""
        row = self._connection.execute(select(REPOS).where(REPOS.c.id == repo_id)).one_or_none()
        return None if row is None else _repo(row)


class HubStore:
    """Rows and bytes of one Hub.

    Args:
        engine: From `server.database.open_engine`; the tables exist.
        folder: Where blobs and unfinished uploads lie.
        record: Writes what is pushed, deleted and given out into an audit log (`server.audit.record`).
    """

    def __init__(self, engine: Engine, folder: Path, *, record: Callable[..., None] | None = None) -> None:
        self._engine = engine
        self._record = record
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
            yield Rows(connection, self._record)


def _repo(row: Any) -> Repo:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    return Repo(row.id, row.kind, row.namespace, row.name, row.private, row.created_at_s)


def _plain(text: str) -> str:
    """`text`, if it is a plain word; a person's words have no place in what is never erased."""
    return text if _PLAIN.fullmatch(text) else f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
