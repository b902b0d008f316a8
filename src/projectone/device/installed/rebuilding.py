"""A release made on the device from a model that it has: its weights by a short way, its other files as they are."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from projectone.contracts.releases import ReleaseManifest, ReleaseUpdate
from projectone.device.installed.package import MANIFEST_FILE, refuse_conflicts
from projectone.errors import ArtifactError, DigestMismatchError
from projectone.storage.files import digest_of


def find_file(folders: Iterable[Path], path: str, sha256: str) -> Path | None:
    """The file of this name and these bytes in one of the models' folders."""
    for folder in folders:
        file = folder / path
        if file.is_file() and digest_of(file) == sha256:
            return file
    return None


def rebuild(
    folder: Path, folders: Iterable[Path], update: Path, base: Path, way: ReleaseUpdate, manifest: ReleaseManifest
) -> None:
    """Fill an empty `folder` with the release, every file checked against what was signed.

    Raises:
        ArtifactError: if a file is in none of the models, or the update does not lead to the release.
    """
    refuse_conflicts(manifest)
    if way.path not in {file.path for file in manifest.files}:
        raise ArtifactError(f"release {manifest.seq}: it has no file {way.path!r} that could be rebuilt")
    earlier = list(folders)
    for file in manifest.files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.path == way.path:
            _apply(way, base, update, target)
        elif (source := find_file(earlier, file.path, file.sha256)) is not None:
            shutil.copyfile(source, target)
        else:
            raise ArtifactError(f"release {manifest.seq}: {file.path!r} is new, so it has to be downloaded whole")
        if (actual := digest_of(target)) != file.sha256:
            raise DigestMismatchError(file.path, expected=file.sha256, actual=actual)
    (folder / MANIFEST_FILE).write_bytes(manifest.to_bytes())


def _apply(way: ReleaseUpdate, base: Path, update: Path, target: Path) -> None:
    # numpy and zstd, for those alone who update this way
    if way.kind == "adapter":
        from projectone.speech.adapter_update import apply_adapter_update

        apply_adapter_update(base, update, target)
    else:
        from projectone.speech.weight_delta import apply_delta

        apply_delta(base, update, target)
