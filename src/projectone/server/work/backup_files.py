"""What a backup holds: copies whose digests are known, and a manifest with one root over all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from projectone.contracts.base import Contract, Moment, Name, Sha256, canonical_json
from projectone.contracts.checkpoints import AuditCheckpoint
from projectone.contracts.merkle import MerkleTree
from projectone.errors import DigestMismatchError, StorageError
from projectone.storage.files import TEMPORARY_PREFIX, digest_of, write_atomically

MANIFEST = "backup.json"
ROWS, KEYS = "projectone.sqlite", "consents.sqlite"

_BLOCK_BYTES = 1 << 20


class BackupFile(Contract):
    """One file: where it lies inside, and what it must be."""

    path: str = Field(min_length=1, max_length=1024)
    sha256: Sha256
    size_bytes: int = Field(ge=0)


class BackupManifest(Contract):
    """One of the two halves of a backup: everything but the keys, or the keys. `backup_id` says what goes together.

    `merkle_root` is over the files in the order of their paths; `checkpoint` is the audit log as it was copied.
    """

    schema_version: Literal[1] = 1
    backup_id: Name
    half: Literal["home", "keys"]
    made_at: Moment
    merkle_root: Sha256
    files: tuple[BackupFile, ...]
    checkpoint: AuditCheckpoint

    def sha256_of(self, path: str) -> str:
        """What this file must be; one of `files`."""
        return next(file.sha256 for file in self.files if file.path == path)


def files_below(folder: Path, *, without: Collection[str] = ()) -> Iterator[str]:
    """Paths of files below a folder, relative to it; not below top entries of these names, nor what is being written.

    What a database keeps beside itself while it is open is no file of its own.
    """
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        is_passing = any(part.startswith(TEMPORARY_PREFIX) for part in relative.parts)
        if relative.parts[0] in without or is_passing or path.name.endswith(("-wal", "-shm", "-journal")):
            continue
        if path.is_file() and not path.is_symlink():
            yield relative.as_posix()


def copy_file(source: Path, target: Path, *, expected_sha256: str | None = None) -> None:
    """Copy a file, for its owner alone.

    Raises:
        FileNotFoundError: if it is gone.
        DigestMismatchError: if it is not what was expected; nothing is left at `target`.
    """
    digest = hashlib.sha256()
    with source.open("rb") as reading:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with target.open("wb") as writing:
            target.chmod(0o600)
            while block := reading.read(_BLOCK_BYTES):
                digest.update(block)
                writing.write(block)
    actual = digest.hexdigest()
    if expected_sha256 is not None and actual != expected_sha256:
        target.unlink()
        raise DigestMismatchError(source.name, expected=expected_sha256, actual=actual)


def write_manifest(
    folder: Path, *, backup_id: str, half: Literal["home", "keys"], made_at: Moment, checkpoint: AuditCheckpoint
) -> BackupManifest:
    """Describe what lies in a folder, in the folder."""
    files = tuple(
        BackupFile(path=name, sha256=digest_of(folder / name), size_bytes=(folder / name).stat().st_size)
        for name in files_below(folder)
    )
    manifest = BackupManifest(
        backup_id=backup_id, half=half, made_at=made_at, merkle_root=_root(files), files=files, checkpoint=checkpoint
    )
    write_atomically(folder / MANIFEST, manifest.to_bytes())
    return manifest


def read_backup(folder: Path, half: Literal["home", "keys"]) -> BackupManifest:
    """The manifest of a half, every file of it compared with its digest.

    Raises:
        StorageError: if it is no such half, or a file is missing, damaged or a stranger.
        ContractError: if the manifest cannot be read.
    """
    try:
        manifest = BackupManifest.from_bytes((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise StorageError(f"{folder}: expected a backup, with {MANIFEST!r}: {error}") from error
    if manifest.half != half:
        raise StorageError(f"{folder}: expected the half {half!r} of a backup, got {manifest.half!r}")
    if _root(manifest.files) != manifest.merkle_root:
        raise StorageError(f"{folder}: the list of files is not the one that was written")
    named = {file.path for file in manifest.files}
    strangers = sorted(set(files_below(folder)) - named - {MANIFEST})
    damaged = [file.path for file in manifest.files if not _is_whole(folder / file.path, file)]
    if damaged or strangers:
        what = [
            *(f"{name!r} is damaged or missing" for name in damaged),
            *(f"{n!r} is no part of it" for n in strangers),
        ]
        raise StorageError(f"{folder}: {'; '.join(what[:10])}{' and more' if len(what) > 10 else ''}")
    return manifest


def _is_whole(path: Path, file: BackupFile) -> bool:
    try:
        return path.stat().st_size == file.size_bytes and digest_of(path) == file.sha256
    except OSError:
        return False


def _root(files: Collection[BackupFile]) -> str:
    leaves = (canonical_json([file.path, file.sha256, file.size_bytes]) for file in files)
    return MerkleTree(leaves).root.hex()
