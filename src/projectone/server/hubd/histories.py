"""Commits made from files, and histories made anew: squashed into one commit, or without certain large files."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from projectone.server.hubd.objects import Commit, FileEntry, build_trees, encode_commit, git_id
from projectone.server.hubd.repos import Rows
from projectone.server.hubd.tables import Repo


def write_commit(
    rows: Rows, repo: Repo, files: Mapping[str, FileEntry], *, parent: str | None, author: str, message: str
) -> str:
    """Keep a commit of `files` and give its id; where the parent holds the same files, the parent's."""
    root = _write_trees(rows, repo, files)
    if parent is not None and rows.commit(repo, parent).tree == root:
        return parent
    return _write(rows, repo, Commit(root, parent, author, int(time.time()), message))


def squash(rows: Rows, repo: Repo, ref: str, head: str, *, author: str, message: str) -> str:
    """Leave one commit of a reference's history: the files of its head, without ancestors."""
    tree = rows.commit(repo, head).tree
    oid = _write(rows, repo, Commit(tree, None, author, int(time.time()), message))
    rows.set_ref(repo, ref, oid)
    return oid


def rewrite_without(rows: Rows, repo: Repo, digests: Collection[str]) -> int:
    """Write every history of `repo` as if these large files had never been in it; gives how many references moved.

    Authors, times and messages stay; commits from the first one that held such a file onwards get other ids.
    """
    known: dict[str, str] = {}
    n_moved = 0
    for ref, head in rows.refs(repo).items():
        for oid, commit in reversed(list(rows.history(repo, head))):
            if oid not in known:
                known[oid] = _rewritten(rows, repo, oid, commit, known, digests)
        if known[head] != head:
            rows.set_ref(repo, ref, known[head])
            n_moved += 1
    return n_moved


def _rewritten(
    rows: Rows, repo: Repo, oid: str, commit: Commit, known: Mapping[str, str], digests: Collection[str]
) -> str:
    files = rows.files(repo, commit.tree)
    kept = {path: entry for path, entry in files.items() if entry.lfs_sha256 not in digests}
    parent = known[commit.parent] if commit.parent else None
    if len(kept) == len(files) and parent == commit.parent:
        return oid
    tree = _write_trees(rows, repo, kept)
    return _write(rows, repo, Commit(tree, parent, commit.author, commit.time_s, commit.message))


def _write_trees(rows: Rows, repo: Repo, files: Mapping[str, FileEntry]) -> str:
    root, trees = build_trees({path: entry.oid for path, entry in files.items()})
    rows.add_files(repo, files.values())
    rows.add_objects(repo, "tree", trees)
    return root


def _write(rows: Rows, repo: Repo, commit: Commit) -> str:
    body = encode_commit(commit)
    oid = git_id("commit", body)
    rows.add_objects(repo, "commit", {oid: body})
    return oid
