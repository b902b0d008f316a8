"""Packages where others fetch them: a folder of ours, or a bucket behind a CDN, by the same few calls.

Keys are digests of what lies under them. So nothing is ever overwritten, no conditional write is needed (some servers
have none), and what comes back is believed only after it was hashed: the servers themselves do not look. What changes,
such as which release is current, never lies here.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from projectone.errors import DigestMismatchError, SettingsError, StorageError
from projectone.storage.blobs import FileBlobs
from projectone.storage.files import digest_of, read_blocks, staged_file

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Bucket

_KEY = re.compile(r"[0-9a-f]{64}")
_BLOCK_BYTES = 4 * 1024 * 1024
_ATTRIBUTES = {"Content-Type": "application/octet-stream", "Cache-Control": "public, max-age=31536000, immutable"}


class ObjectStore(Protocol):
    """Files by the digest of their content."""

    def put_new(self, sha256: str, source: Path) -> None:
        """Keep a file; one that is there already is left as it is.

        Raises:
            DigestMismatchError: if the file is not what its key says; nothing is kept.
            StorageError: if the store refused.
        """
        ...

    def get_range(self, sha256: str, start: int, end: int) -> bytes:
        """Bytes from `start` to before `end`, not checked: a part has no digest.

        Raises:
            StorageError: if they are not here.
        """
        ...

    def fetch(self, sha256: str, target: Path) -> None:
        """Bring a whole file; it appears only if it is what its key says.

        Raises:
            DigestMismatchError: if it is not.
            StorageError: if it is not here, or the store or the disk refused.
        """
        ...

    def size_of(self, sha256: str) -> int | None:
        """Its bytes; None if it is not here."""
        ...

    def delete(self, sha256: str) -> None:
        """Remove a file; nothing happens if it is not here."""
        ...

    def sign_get(self, sha256: str, lifetime: timedelta) -> str | None:
        """An address that anybody may fetch it from for a while; None where our own API hands it out."""
        ...

    def keys(self) -> Iterator[str]:
        """Every key."""
        ...


class FolderObjects:
    """An `ObjectStore` in a folder: a file is flushed and renamed into its place, and the folder flushed after it."""

    def __init__(self, folder: Path) -> None:
        self._blobs = FileBlobs(folder)

    def put_new(self, sha256: str, source: Path) -> None:
        """See `ObjectStore`."""
        if self._path(sha256).is_file():
            return
        self._blobs.put(_opened(source), expected_sha256=sha256)

    def get_range(self, sha256: str, start: int, end: int) -> bytes:
        """See `ObjectStore`."""
        try:
            with self._path(sha256).open("rb") as stream:
                stream.seek(start)
                return stream.read(max(0, end - start))
        except OSError as error:
            raise StorageError(f"object {sha256}: {error}") from error

    def fetch(self, sha256: str, target: Path) -> None:
        """See `ObjectStore`."""
        _keep_checked(sha256, _opened(self._path(sha256)), target)

    def size_of(self, sha256: str) -> int | None:
        """See `ObjectStore`."""
        path = self._path(sha256)
        return path.stat().st_size if path.is_file() else None

    def delete(self, sha256: str) -> None:
        """See `ObjectStore`."""
        self._blobs.delete(_checked(sha256))

    def sign_get(self, sha256: str, lifetime: timedelta) -> str | None:
        """None: what lies here is public, and the API hands it out."""
        _checked(sha256)
        return None

    def keys(self) -> Iterator[str]:
        """See `ObjectStore`."""
        yield from self._blobs.keys()

    def _path(self, sha256: str) -> Path:
        return self._blobs.path_of(_checked(sha256))


class BucketObjects:
    """An `ObjectStore` in a bucket of S3, Google or Azure.

    Args:
        bucket: Of obstore, with its prefix.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def put_new(self, sha256: str, source: Path) -> None:
        """See `ObjectStore`."""
        import obstore

        _checked(sha256)
        if digest_of(source) != sha256:
            raise DigestMismatchError(source.name, expected=sha256, actual=digest_of(source))
        size_bytes = source.stat().st_size
        if self.size_of(sha256) == size_bytes:
            return
        with _translated(f"object {sha256} could not be kept"):
            obstore.put(self._bucket, sha256, source, attributes=self._attributes())
        if (found := self.size_of(sha256)) != size_bytes:
            raise StorageError(f"object {sha256}: sent {size_bytes} bytes, the store has {found}")

    def get_range(self, sha256: str, start: int, end: int) -> bytes:
        """See `ObjectStore`."""
        import obstore

        size_bytes = self.size_of(sha256)
        if size_bytes is None:
            raise StorageError(f"object {sha256}: not in this store")
        if start >= min(end, size_bytes):
            return b""
        with _translated(f"object {sha256} could not be read"):
            return bytes(obstore.get_range(self._bucket, sha256, start=start, end=min(end, size_bytes)))

    def fetch(self, sha256: str, target: Path) -> None:
        """See `ObjectStore`."""
        import obstore

        def pieces() -> Iterator[bytes]:
            for piece in obstore.get(self._bucket, _checked(sha256)).stream(min_chunk_size=_BLOCK_BYTES):
                yield bytes(piece)

        with _translated(f"object {sha256} could not be read"):
            _keep_checked(sha256, pieces(), target)

    def size_of(self, sha256: str) -> int | None:
        """See `ObjectStore`."""
        import obstore

        with _translated(f"object {sha256} could not be asked for"):
            try:
                return int(obstore.head(self._bucket, _checked(sha256))["size"])
            except FileNotFoundError:
                return None

    def delete(self, sha256: str) -> None:
        """See `ObjectStore`."""
        import obstore

        with _translated(f"object {sha256} could not be removed"), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._bucket, _checked(sha256))

    def sign_get(self, sha256: str, lifetime: timedelta) -> str | None:
        """See `ObjectStore`; None for a store that signs nothing."""
        import obstore
        from obstore.store import AzureStore, GCSStore, S3Store

        _checked(sha256)
        if not isinstance(self._bucket, AzureStore | GCSStore | S3Store):
            return None
        with _translated(f"object {sha256}: no address could be signed"):
            return str(obstore.sign(self._bucket, "GET", sha256, lifetime))

    def keys(self) -> Iterator[str]:
        """See `ObjectStore`."""
        import obstore

        with _translated("the objects could not be listed"):
            for found in obstore.list(self._bucket):
                yield from sorted(str(item["path"]) for item in found if _KEY.fullmatch(str(item["path"])))

    def _attributes(self) -> Any:  # noqa: ANN401 - obstore's own kind of mapping
        from obstore.store import MemoryStore

        return None if isinstance(self._bucket, MemoryStore) else _ATTRIBUTES


def open_objects(address: str, config: Mapping[str, Any] | None = None) -> ObjectStore:
    """The store behind an address.

    Args:
        address: A folder, or `s3://bucket/prefix`, `gs://...`, `az://...`.
        config: What obstore is told besides; else it finds credentials where the clouds' own tools do.

    Raises:
        SettingsError: if the address is none, or obstore is not installed.
    """
    if "://" not in address:
        return FolderObjects(Path(address))
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise SettingsError(f"{address}: pip install 'projectone[objects]' first") from error
    try:
        given: Any = dict(config or {})
        options = given.pop("client_options", None)
        return BucketObjects(from_url(address, config=given or None, client_options=options))
    except (BaseError, ValueError, TypeError) as error:
        raise SettingsError(f"{address}: no store can be opened there: {error}") from error


def _checked(sha256: str) -> str:
    if not _KEY.fullmatch(sha256):
        raise ValueError(f"object key: expected 64 hexadecimal digits, got {sha256!r:.80}")
    return sha256


def _opened(path: Path) -> Iterator[bytes]:
    try:
        yield from read_blocks(path)
    except OSError as error:
        raise StorageError(f"{path.name!r} could not be read: {error}") from error


def _keep_checked(sha256: str, pieces: Iterator[bytes], target: Path) -> None:
    digest = hashlib.sha256()
    with staged_file(target.parent) as staged:
        for piece in pieces:
            digest.update(piece)
            staged.stream.write(piece)
        if digest.hexdigest() != sha256:
            raise DigestMismatchError("object", expected=sha256, actual=digest.hexdigest())
        staged.commit(target)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Errors of the store's library become ours."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        raise StorageError(f"{what}: {type(error).__name__}: {error}") from error
