"""Blobs in a folder here, and the same in a bucket from which a CDN hands them out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from projectone.storage.blobs import FileBlobs
from projectone.storage.objects import ObjectStore


class MirroredBlobs(FileBlobs):
    """`FileBlobs` whose every blob is in an object store too before it counts as kept.

    Args:
        folder: Where they lie here.
        store: Where they lie besides.
    """

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        super().__init__(folder)
        self._store = store

    def put(self, content: Iterable[bytes], *, expected_sha256: str | None = None) -> str:
        """Keep `content` in both places and give its digest.

        Raises:
            DigestMismatchError: if it is not `expected_sha256`; nothing is kept.
            StorageError: if the disk or the store refused; a later call makes up for what is missing there.
        """
        sha256 = super().put(content, expected_sha256=expected_sha256)
        self._store.put_new(sha256, self.path_of(sha256))
        return sha256

    def delete(self, sha256: str) -> None:
        """Remove the bytes in both places, from where others fetch them first."""
        self._store.delete(sha256)
        super().delete(sha256)
