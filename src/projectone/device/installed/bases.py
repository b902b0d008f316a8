"""Models that releases are made from: kept beside the installed ones, so that an adapter always finds its base.

<folder>/bases/<digest of its weights>/   the base's files; never changed after it appears

A base is kept as long as an installed model names it. It comes from an installed model that is the base itself, whose
files then have a second name here and take no more room, or from the base's own package.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from projectone.contracts.releases import NotedRelease, ReleaseManifest, ReleaseUpdate
from projectone.device.installed.package import MANIFEST_FILE, unpack
from projectone.errors import ContractError
from projectone.storage.files import building_directory, digest_of, sweep_temporary


class Bases:
    """The bases on this device. Changed only inside `Installed.changing`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folders(self) -> list[Path]:
        """Where they lie."""
        return [path for path in self._paths() if not path.name.startswith(".")]

    def add(self, package: Path, way: ReleaseUpdate, manifest: ReleaseManifest) -> None:
        """Unpack the base's own package: the release's files, but for the one that `way` rebuilds.

        Raises:
            ArtifactError: if the package is not that.
            StorageError: if the disk refused.
        """
        target = self._room_for(way.base_sha256)
        files = tuple(
            file.model_copy(update={"sha256": way.base_sha256}) if file.path == way.path else file
            for file in manifest.files
        )
        with building_directory(target) as folder:
            unpack(package, manifest.model_copy(update={"files": files}), folder)

    def keep(self, manifest: ReleaseManifest, folders: Iterable[Path]) -> None:
        """Keep what `manifest` names as a base, if one of the models in `folders` is it.

        Raises:
            StorageError: if the disk refused.
        """
        models = list(folders)
        for sha256 in _bases_of(manifest):
            found = next(((folder, path) for folder in models for path in _paths_of(folder, sha256)), None)
            if found is None or self._has(sha256, found[1]) or digest_of(found[0] / found[1]) != sha256:
                continue
            with building_directory(self._room_for(sha256)) as target:
                for path in (MANIFEST_FILE, *(file.path for file in _manifest_in(found[0]).files)):
                    (target / path).parent.mkdir(parents=True, exist_ok=True)
                    _link(found[0] / path, target / path)

    def collect(self, folders: Iterable[Path]) -> None:
        """Remove every base that none of the models in `folders` names; where one cannot be read, none."""
        try:
            named = {sha256 for folder in folders for sha256 in _bases_of(_manifest_in(folder))}
        except (OSError, ContractError):
            return
        sweep_temporary(self._folder)
        for path in self._paths():
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True)

    def _has(self, sha256: str, path: str) -> bool:
        kept = self._folder / sha256 / path
        return kept.is_file() and digest_of(kept) == sha256

    def _room_for(self, sha256: str) -> Path:
        """Where a base is to appear; what lies there is damaged, or it would not be asked for."""
        target = self._folder / sha256
        shutil.rmtree(target, ignore_errors=True)
        return target

    def _paths(self) -> Iterator[Path]:
        yield from sorted(self._folder.iterdir()) if self._folder.is_dir() else ()


def _bases_of(manifest: ReleaseManifest) -> set[str]:
    """What a release is made from: the one fixed base, in the form that it was trained in and that it is sent in."""
    return {manifest.base_sha256} | {way.base_sha256 for way in manifest.updates if way.kind == "adapter"}


def _paths_of(folder: Path, sha256: str) -> list[str]:
    """The files of a model that should be of this digest."""
    try:
        return [file.path for file in _manifest_in(folder).files if file.sha256 == sha256]
    except (OSError, ContractError):
        return []


def _manifest_in(folder: Path) -> ReleaseManifest:
    return NotedRelease.from_bytes((folder / MANIFEST_FILE).read_bytes())


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without second names
        shutil.copyfile(source, target)
