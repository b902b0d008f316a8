"""Rows of large files: who uploaded which bytes where."""

from __future__ import annotations

import time
from collections.abc import Iterable

from sqlalchemy import Connection, delete, func, insert, select, union, update

from projectone.server.hubd.tables import OBJECTS, REPOS, UPLOADS, Repo, batches


class LargeRows:
    """Large files of repositories inside one transaction. A part of `Rows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, repo_id: int, sha256: str, size_bytes: int) -> None:
        """Record that these bytes were uploaded to this repository."""
        self._connection.execute(delete(UPLOADS).where(UPLOADS.c.repo_id == repo_id, UPLOADS.c.sha256 == sha256))
        values = {"repo_id": repo_id, "sha256": sha256, "size_bytes": size_bytes, "uploaded_at_s": time.time()}
        self._connection.execute(insert(UPLOADS).values(**values))

    def claims(self, repo_id: int, digests: Iterable[str]) -> dict[str, int]:
        """Which of `digests` were uploaded to this repository, with their sizes."""
        found: dict[str, int] = {}
        for some in batches(digests):
            query = select(UPLOADS).where(UPLOADS.c.repo_id == repo_id, UPLOADS.c.sha256.in_(some))
            found.update({row.sha256: row.size_bytes for row in self._connection.execute(query)})
        return found

    def renew(self, repo: Repo, digests: Iterable[str]) -> None:
        """Count these as uploaded now."""
        for some in batches(digests):
            theirs = (UPLOADS.c.repo_id == repo.id, UPLOADS.c.sha256.in_(some))
            self._connection.execute(update(UPLOADS).where(*theirs).values(uploaded_at_s=time.time()))

    def forget_unused(self, repo: Repo, before_s: float) -> int:
        """Forget uploads from before a Unix time that no commit of `repo` refers to; gives how many."""
        used = select(OBJECTS.c.lfs_sha256).where(OBJECTS.c.repo_id == repo.id, OBJECTS.c.lfs_sha256.is_not(None))
        theirs = (UPLOADS.c.repo_id == repo.id, UPLOADS.c.uploaded_at_s < before_s, UPLOADS.c.sha256.not_in(used))
        return self._connection.execute(delete(UPLOADS).where(*theirs)).rowcount

    def used_bytes(self, namespace: str) -> int:
        """What the repositories of a namespace hold together; what several of them hold counts once."""
        theirs = REPOS.c.namespace == namespace
        plain = select(OBJECTS.c.pool_sha256.label("sha256"), OBJECTS.c.size_bytes.label("n_bytes"))
        large = select(UPLOADS.c.sha256, UPLOADS.c.size_bytes)
        held = union(
            plain.join(REPOS, REPOS.c.id == OBJECTS.c.repo_id).where(theirs, OBJECTS.c.pool_sha256.is_not(None)),
            large.join(REPOS, REPOS.c.id == UPLOADS.c.repo_id).where(theirs),
        ).subquery()
        return int(self._connection.execute(select(func.coalesce(func.sum(held.c.n_bytes), 0))).scalar_one())

    def uploads(self, repo: Repo) -> list[tuple[str, int, float]]:
        """Digest, size and Unix time of every large file that was uploaded to `repo`, newest first."""
        query = select(UPLOADS).where(UPLOADS.c.repo_id == repo.id)
        rows = self._connection.execute(query.order_by(UPLOADS.c.uploaded_at_s.desc(), UPLOADS.c.sha256))
        return [(row.sha256, row.size_bytes, row.uploaded_at_s) for row in rows]

    def forget(self, repo: Repo, digests: Iterable[str]) -> set[str]:
        """Take large files from `repo` for good; gives those that it had. Their pointers stay in history."""
        gone: set[str] = set()
        for some in batches(digests):
            theirs = (UPLOADS.c.repo_id == repo.id, UPLOADS.c.sha256.in_(some))
            gone.update(self._connection.execute(select(UPLOADS.c.sha256).where(*theirs)).scalars())
            self._connection.execute(delete(UPLOADS).where(*theirs))
            pointers = (OBJECTS.c.repo_id == repo.id, OBJECTS.c.lfs_sha256.in_(some))
            self._connection.execute(update(OBJECTS).where(*pointers).values(pool_sha256=None))
        return gone

    def in_use(self, digests: Iterable[str]) -> set[str]:
        """Which of `digests` any repository still needs."""
        found: set[str] = set()
        for some in batches(digests):
            for column in (OBJECTS.c.pool_sha256, UPLOADS.c.sha256):
                found.update(self._connection.execute(select(column).where(column.in_(some)).distinct()).scalars())
        return found
