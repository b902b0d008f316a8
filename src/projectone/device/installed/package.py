"""A release's zip to a folder: exactly the files that were signed, each checked while it is written."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import IO

from projectone.contracts.packages import conflict_of
from projectone.contracts.releases import NotedRelease, ReleaseFile, ReleaseManifest
from projectone.errors import ArtifactError, DigestMismatchError

MANIFEST_FILE = "manifest.json"
_BLOCK_BYTES = 1024 * 1024
_ENCRYPTED = 0x1


def unpack(package: Path, manifest: ReleaseManifest, folder: Path) -> None:
    """Write the package's files and its manifest into an empty `folder`.

    Raises:
        ArtifactError: if the archive holds anything else than the manifest says, or in another form.
    """
    wanted = {file.path: file for file in manifest.files}
    refuse_conflicts(manifest)
    try:
        with zipfile.ZipFile(package) as archive:
            entries = archive.infolist()
            names = sorted(entry.filename for entry in entries)
            if names != sorted(wanted):
                raise ArtifactError(f"release {manifest.seq}: expected the files {sorted(wanted)}, got {names}")
            for entry in entries:
                _check_form(entry, wanted[entry.filename])
                path = folder / entry.filename
                path.parent.mkdir(parents=True, exist_ok=True)  # inside: no part of a `PackagePath` leads out
                with archive.open(entry) as source, path.open("xb") as target:
                    _copy(source, target, wanted[entry.filename])
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ArtifactError(f"release {manifest.seq}: the package is no zip archive: {error}") from error
    (folder / MANIFEST_FILE).write_bytes(manifest.to_bytes())


def refuse_conflicts(manifest: ReleaseManifest) -> None:
    """Refuse files that cannot lie in one folder, beside the manifest itself.

    Raises:
        ArtifactError: naming the first.
    """
    conflict = conflict_of([MANIFEST_FILE, *(file.path for file in manifest.files)])
    if conflict is not None:
        raise ArtifactError(f"release {manifest.seq}: its files cannot be installed: {conflict}")


def find_damage(folder: Path, manifest_sha256: str) -> str | None:
    """What is wrong with an installed model's files; None if each is as it was signed."""
    try:
        content = (folder / MANIFEST_FILE).read_bytes()
        if hashlib.sha256(content).hexdigest() != manifest_sha256:
            return f"{MANIFEST_FILE!r} is not the one that was installed"
        for file in NotedRelease.from_bytes(content).files:
            with (folder / file.path).open("rb") as stream:
                actual = hashlib.file_digest(stream, "sha256").hexdigest()
            if actual != file.sha256:
                return f"{file.path!r}: expected sha256 {file.sha256}, got {actual}"
    except OSError as error:
        return f"{error.strerror}: {Path(error.filename or folder).name!r}"
    return None


def _check_form(entry: zipfile.ZipInfo, file: ReleaseFile) -> None:
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
        raise ArtifactError(f"{entry.filename!r}: expected a stored, unencrypted file in the package")
    if entry.file_size != file.size_bytes:
        raise ArtifactError(f"{entry.filename!r}: expected {file.size_bytes} bytes, got {entry.file_size}")


def _copy(source: IO[bytes], target: IO[bytes], file: ReleaseFile) -> None:
    digest = hashlib.sha256()
    while piece := source.read(_BLOCK_BYTES):
        digest.update(piece)
        target.write(piece)
    if digest.hexdigest() != file.sha256:
        raise DigestMismatchError(file.path, expected=file.sha256, actual=digest.hexdigest())
