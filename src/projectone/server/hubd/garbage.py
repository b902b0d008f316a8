"""What nobody refers to any more: found by walking every reference, removed while others push.

Mark and sweep. Objects that no reference leads to and old uploads that no commit used are forgotten repository by
repository, under its lock. Then bytes that no row names are removed, unless they are young: somebody may be about to
name them. Who is nevertheless overtaken learns it: a commit asks for its bytes in its own transaction, which waits for
ours, and is told to send them again.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass

from projectone.server.hubd.lfs_parts import sweep_parts
from projectone.server.hubd.repos import HubStore, Rows

_BATCH = 200  # blobs looked at in one transaction: nobody waits long for it


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What was removed, or would be.

    Attributes:
        n_objects: Commits, trees and files of histories that are gone.
        n_uploads: Uploads that no commit used.
        n_parts: Uploads in parts that were never completed.
        n_blobs: Files on the disk.
        n_bytes: Their size together.
    """

    n_objects: int = 0
    n_uploads: int = 0
    n_parts: int = 0
    n_blobs: int = 0
    n_bytes: int = 0


class _OnlyLooking(Exception):
    pass


def collect(store: HubStore, *, older_than_s: float, by: str, is_dry_run: bool = False) -> Collected:
    """Remove what nobody refers to.

    Args:
        store: The Hub. Others may use it meanwhile, in this process or another one.
        older_than_s: Younger bytes and uploads stay; longer than an upload takes, from its URL to its commit.
        by: Who asked for it.
        is_dry_run: Count, and leave everything as it is.
    """
    before_s = time.time() - older_than_s
    if is_dry_run:
        return _looked_at(store, before_s)
    n_objects = n_uploads = 0
    with store.reading() as rows:
        repos = rows.repos()
    for repo in repos:
        with store.writing() as rows:
            if rows.lock(repo):
                n_objects += rows.prune(repo)
                n_uploads += rows.forget_unused(repo, before_s)
    n_blobs = n_bytes = 0
    keys = store.blobs.keys()
    while batch := list(itertools.islice(keys, _BATCH)):
        if old := _old(store, batch, before_s):
            sizes = _remove(store, old, before_s)
            n_blobs, n_bytes = n_blobs + len(sizes), n_bytes + sum(sizes.values())
    n_parts = sweep_parts(store, older_than_s=older_than_s)
    found = Collected(n_objects=n_objects, n_uploads=n_uploads, n_parts=n_parts, n_blobs=n_blobs, n_bytes=n_bytes)
    with store.writing() as rows:
        rows.note("hub-collected", "hub", by, n_blobs=n_blobs, n_bytes=n_bytes, n_objects=n_objects)
    return found


def remove_unused(store: HubStore, digests: set[str]) -> set[str]:
    """Remove those of these bytes, however young, that no repository needs; gives which they were."""
    return set(_remove(store, digests, before_s=float("inf")))


def _remove(store: HubStore, digests: Iterable[str], before_s: float) -> dict[str, int]:
    """Sizes of what was removed, by digest."""
    wanted = set(digests)
    with store.writing() as rows:
        rows.hold_pool(alone=True)
        # Asked again: who sent the same bytes since has made them young.
        gone = _old(store, wanted - rows.in_use(wanted), before_s)
        for sha256 in gone:
            store.blobs.delete(sha256)
    return gone


def _old(store: HubStore, digests: Iterable[str], before_s: float) -> dict[str, int]:
    found = {}
    for sha256 in digests:
        try:
            status = store.blobs.path_of(sha256).stat()
        except FileNotFoundError:
            continue
        if status.st_mtime < before_s:
            found[sha256] = status.st_size
    return found


def _looked_at(store: HubStore, before_s: float) -> Collected:
    n_objects = n_uploads = 0
    sizes: dict[str, int] = {}
    try:
        with store.writing() as rows:
            for repo in rows.repos():
                n_objects += rows.prune(repo)
                n_uploads += rows.forget_unused(repo, before_s)
            sizes = _unused(store, rows, before_s)
            raise _OnlyLooking
    except _OnlyLooking:
        n_parts = sweep_parts(store, older_than_s=time.time() - before_s, is_dry_run=True)
        return Collected(
            n_objects=n_objects, n_uploads=n_uploads, n_parts=n_parts, n_blobs=len(sizes), n_bytes=sum(sizes.values())
        )


def _unused(store: HubStore, rows: Rows, before_s: float) -> dict[str, int]:
    old = _old(store, store.blobs.keys(), before_s)
    used = rows.in_use(old)
    return {sha256: n_bytes for sha256, n_bytes in old.items() if sha256 not in used}
