"""Bytes kept under the digest of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from projectone.errors import DigestMismatchError, StorageError
from projectone.storage.files import digest_of, staged_file


class BlobStore(Protocol):
    """Content-addressed bytes. Keys are SHA-256 digests, so a key is written once and never changes."""

    def put(self, content: Iterable[bytes], *, expected_sha256: str | None = None) -> str:
        """Keep `content` and give its digest; durable when this returns."""
        ...

    def get(self, sha256: str) -> bytes:
        """The bytes, checked against their digest."""
        ...

    def has(self, sha256: str) -> bool:
        """Whether the bytes are here."""
        ...

    def delete(self, sha256: str) -> None:
        """Remove the bytes; nothing happens if they are not here."""
        ...


_PIECE_BYTES = 1 << 18


def _pieces(path: Path, start: int, n_bytes: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        while n_bytes > 0 and (piece := stream.read(min(n_bytes, _PIECE_BYTES))):
            n_bytes -= len(piece)
            yield piece


class FileBlobs:
    """A `BlobStore` in a folder: `<folder>/<first two digits>/<digest>`.

    Args:
        folder: Where they lie.
        is_read_soon: Whether what is written stays in the system's cache.
    """

    def __init__(self, folder: Path, *, is_read_soon: bool = True) -> None:
        self.folder = folder
        self._is_read_soon = is_read_soon
        self._whole: dict[str, tuple[int, int]] = {}

    def path_of(self, sha256: str) -> Path:
        """Where a blob lies, whether or not it is there."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"blob key: expected 64 hexadecimal digits, got {sha256!r}")
        return self.folder / sha256[:2] / sha256

    def put(self, content: Iterable[bytes], *, expected_sha256: str | None = None) -> str:
        """Keep `content` and give its digest; durable when this returns.

        Raises:
            DigestMismatchError: if it is not `expected_sha256`; nothing is kept.
            StorageError: if the disk refused; nothing is kept.
        """
        digest = hashlib.sha256()
        with staged_file(self.folder) as staged:
            staged.is_read_soon = self._is_read_soon
            for piece in content:
                digest.update(piece)
                staged.stream.write(piece)
            actual = digest.hexdigest()
            if expected_sha256 is not None and actual != expected_sha256:
                raise DigestMismatchError("upload", expected=expected_sha256, actual=actual)
            staged.commit(self.path_of(actual))
        return actual

    def get(self, sha256: str) -> bytes:
        """The bytes, checked against their digest.

        Raises:
            StorageError: if they are missing.
            DigestMismatchError: if the disk gives other bytes than were stored.
        """
        try:
            content = self.path_of(sha256).read_bytes()
        except FileNotFoundError as error:
            raise StorageError(f"blob {sha256}: not in this store") from error
        actual = hashlib.sha256(content).hexdigest()
        if actual != sha256:
            raise DigestMismatchError("blob", expected=sha256, actual=actual)
        return content

    def pieces(self, sha256: str, start: int, n_bytes: int) -> Iterator[bytes]:
        """A part of the bytes, in pieces. The whole is checked before the first of them is asked for, once.

        Args:
            sha256: The key.
            start: Where the part begins.
            n_bytes: How long it is; less is given where the content ends before.

        Raises:
            StorageError: if they are missing.
            DigestMismatchError: if the disk gives other bytes than were stored.
        """
        path = self.path_of(sha256)
        try:
            self._check(sha256, path)
        except FileNotFoundError as error:
            raise StorageError(f"blob {sha256}: not in this store") from error
        return _pieces(path, start, n_bytes)

    def n_bytes(self, sha256: str) -> int:
        """How long the content is.

        Raises:
            StorageError: if it is missing.
        """
        try:
            return self.path_of(sha256).stat().st_size
        except FileNotFoundError as error:
            raise StorageError(f"blob {sha256}: not in this store") from error

    def _check(self, sha256: str, path: Path) -> None:
        """Once for each file, as long as it is not touched: a player asks for a long recording piece by piece."""
        status = path.stat()
        seen = (status.st_mtime_ns, status.st_size)
        if self._whole.get(sha256) == seen:
            return
        actual = digest_of(path)
        if actual != sha256:
            raise DigestMismatchError("blob", expected=sha256, actual=actual)
        self._whole[sha256] = seen

    def has(self, sha256: str) -> bool:
        """Whether the bytes are here."""
        return self.path_of(sha256).is_file()

    def delete(self, sha256: str) -> None:
        """Remove the bytes; nothing happens if they are not here."""
        self.path_of(sha256).unlink(missing_ok=True)

    def keys(self) -> Iterator[str]:
        """Every digest in the store."""
        for path in sorted(self.folder.glob("??/*")):
            if len(path.name) == 64:
                yield path.name

    def scrub(self) -> list[str]:
        """Digests of blobs whose bytes have rotted; one that is removed meanwhile is none of them."""
        rotten = []
        for key in self.keys():
            try:
                if digest_of(self.path_of(key)) != key:
                    rotten.append(key)
            except FileNotFoundError:
                continue
            except OSError:  # a sector that cannot be read is rot, too
                rotten.append(key)
        return rotten
