"""Rows of git objects: commits, trees, and what is known of the bytes of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, delete, insert, select

from projectone.errors import StorageError
from projectone.server.hubd.objects import Commit, FileEntry, ObjectKind, parse_commit, parse_tree
from projectone.server.hubd.tables import OBJECTS, REFS, Repo, batches


class ObjectRows:
    """Git objects of repositories inside one transaction. A part of `Rows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

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
        for some in batches(large):
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

    def prune(self, repo: Repo) -> int:
        """Forget every object that no reference leads to; gives how many. The caller holds the repository's lock."""
        query = select(OBJECTS.c.oid).where(OBJECTS.c.repo_id == repo.id)
        lost = set(self._connection.execute(query).scalars()) - self._reachable(repo)
        for some in batches(lost):
            self._connection.execute(delete(OBJECTS).where(OBJECTS.c.repo_id == repo.id, OBJECTS.c.oid.in_(some)))
        return len(lost)

    def _reachable(self, repo: Repo) -> set[str]:
        heads = self._connection.execute(select(REFS.c.target).where(REFS.c.repo_id == repo.id)).scalars()
        found: set[str] = set()
        for head in set(heads):
            for oid, commit in self.history(repo, head):
                if oid in found:
                    break  # the rest was walked from another reference
                found.add(oid)
                waiting = [commit.tree]
                while waiting:
                    tree = waiting.pop()
                    if tree in found:
                        continue
                    found.add(tree)
                    for mode, _, child in parse_tree(self._body(repo, tree, "tree")):
                        (waiting.append if mode.startswith("4") else found.add)(child)
        return found

    def _body(self, repo: Repo, oid: str, kind: ObjectKind) -> bytes:
        where = (OBJECTS.c.repo_id == repo.id, OBJECTS.c.oid == oid, OBJECTS.c.kind == kind)
        body = self._connection.execute(select(OBJECTS.c.body).where(*where)).scalar_one_or_none()
        if body is None:
            raise StorageError(f"{repo.full_name}: {kind} {oid} is missing; was the repository deleted just now?")
        return bytes(body)

    def _present(self, repo: Repo, oids: Iterable[str]) -> set[str]:
        found: set[str] = set()
        for some in batches(oids):
            query = select(OBJECTS.c.oid).where(OBJECTS.c.repo_id == repo.id, OBJECTS.c.oid.in_(some))
            found.update(self._connection.execute(query).scalars())
        return found

    def _entries(self, repo: Repo, oids: Iterable[str]) -> dict[str, FileEntry]:
        found: dict[str, FileEntry] = {}
        for some in batches(oids):
            query = select(OBJECTS).where(OBJECTS.c.repo_id == repo.id, OBJECTS.c.oid.in_(some))
            for row in self._connection.execute(query):
                found[row.oid] = FileEntry(row.oid, row.size_bytes, row.pool_sha256, row.lfs_sha256)
        return found
