"""The folder that devices read: signed metadata by role and version, and the documents that it names by digest.

What is current is what `timestamp.json` leads to. Everything else is written before it, under names that are new, so a
publisher that dies leaves files that nothing names, and the next one begins at the same place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from projectone.contracts.base import sha256_hex
from projectone.errors import SettingsError, StorageError
from projectone.server.delivery.roles import OnlineRole
from projectone.storage.files import write_atomically

_VERSIONED = re.compile(r"([1-9][0-9]{0,9})\.(root|targets|rollout|snapshot)\.json")
_TIMESTAMP = "timestamp.json"
_VERSIONED_ROLES: tuple[OnlineRole, ...] = ("targets", "rollout", "snapshot")
_KEPT_VERSIONS = 4  # a device that began to read before the last publications can finish
_T = TypeVar("_T", Root, Targets, Snapshot, Timestamp)


class SignedFiles:
    """`metadata/` and `targets/` below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = folder / "metadata"
        self.targets = folder / "targets"

    def root(self) -> Metadata[Root]:
        """The newest root.

        Raises:
            SettingsError: if there is none.
        """
        versions = self._versions("root")
        if not versions:
            raise SettingsError("signed metadata: there is no root yet; run `projectone-server init`")
        return self._read(f"{versions[-1]}.root.json", Root)

    def first_root(self) -> bytes:
        """The root that devices carry, as it was signed first.

        Raises:
            SettingsError: if there is none.
        """
        try:
            return (self.metadata / "1.root.json").read_bytes()
        except FileNotFoundError as error:
            raise SettingsError("signed metadata: there is no root yet; run `projectone-server init`") from error

    def has_root(self) -> bool:
        """Whether the first root was signed."""
        return (self.metadata / "1.root.json").exists()

    def timestamp(self) -> Metadata[Timestamp] | None:
        """What is current, or None before anything was published."""
        return self._read(_TIMESTAMP, Timestamp) if (self.metadata / _TIMESTAMP).exists() else None

    def snapshot(self, version: int) -> Metadata[Snapshot]:
        """The snapshot of a version."""
        return self._read(f"{version}.snapshot.json", Snapshot)

    def listed(self, role: OnlineRole, version: int) -> Metadata[Targets]:
        """What a role listed in a version: `targets` or `rollout`."""
        return self._read(f"{version}.{role}.json", Targets)

    def unused_version(self, role: str, current: int) -> int:
        """A version above the current one whose name was never given out, not even by a publisher that died."""
        return max([current, *self._versions(role)]) + 1

    def write(self, role: str, metadata: Metadata[_T]) -> bytes:
        """Put signed metadata in its place, whole; gives its bytes."""
        content = metadata.to_bytes()
        name = _TIMESTAMP if role == Timestamp.type else f"{metadata.signed.version}.{role}.json"
        write_atomically(self.metadata / name, content)
        return content

    def add(self, path: str, content: bytes) -> TargetFile:
        """Put a document under its digest; gives how it is listed."""
        digest = sha256_hex(content)
        place = self._place(path, digest)
        if not place.exists() or place.read_bytes() != content:
            write_atomically(place, content)
        return TargetFile(length=len(content), hashes={"sha256": digest}, path=path)

    def read(self, target: TargetFile) -> bytes:
        """A listed document.

        Raises:
            StorageError: if it is gone or damaged.
        """
        try:
            content = self._place(target.path, target.hashes["sha256"]).read_bytes()
        except OSError as error:
            raise StorageError(f"signed document {target.path!r}: {error.strerror}") from error
        if sha256_hex(content) != target.hashes["sha256"]:
            raise StorageError(f"signed document {target.path!r}: its bytes were changed")
        return content

    def prune(self) -> None:
        """Remove metadata that is no longer current nor was lately, and documents that none of the rest lists."""
        wanted: set[Path] = set()
        for role in _VERSIONED_ROLES:
            versions = self._versions(role)
            for version in versions[:-_KEPT_VERSIONS]:
                (self.metadata / f"{version}.{role}.json").unlink(missing_ok=True)
            for version in versions[-_KEPT_VERSIONS:] if role != "snapshot" else ():
                listed = self.listed(role, version).signed.targets.values()
                wanted |= {self._place(target.path, target.hashes["sha256"]) for target in listed}
        for path in self.targets.rglob("*.json"):
            if path not in wanted:
                path.unlink(missing_ok=True)

    def _place(self, path: str, digest: str) -> Path:
        folder, _, name = path.rpartition("/")
        return self.targets / folder / f"{digest}.{name}"

    def _versions(self, role: str) -> list[int]:
        matches = (_VERSIONED.fullmatch(path.name) for path in self.metadata.glob(f"*.{role}.json"))
        return sorted(int(match[1]) for match in matches if match is not None)

    def _read(self, name: str, kind: type[_T]) -> Metadata[_T]:
        try:
            metadata = Metadata[_T].from_bytes((self.metadata / name).read_bytes())
        except (OSError, DeserializationError) as error:
            raise StorageError(f"signed metadata {name!r}: {error}; restore it from the backup") from error
        if not isinstance(metadata.signed, kind):
            raise StorageError(f"signed metadata {name!r}: expected {kind.type}, got {metadata.signed.type}")
        return metadata
