"""Signed metadata made by hand: what an honest server shows, and whatever a thief of some of its keys could."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from projectone.contracts.base import sha256_hex
from projectone.contracts.releases import (
    NotedRelease,
    ReleaseManifest,
    ReleaseOffer,
    notes_path,
    release_path,
    rollout_path,
)

ROOTS = ("root-1", "root-2", "root-3")
LIVES = {"root": 365.0, "targets": 90.0, "rollout": 7.0, "snapshot": 7.0, "timestamp": 1.0}


def signer(name: str) -> CryptoSigner:
    """A key that everybody can make again from its name: for tests alone."""
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"test key {name}".encode()).digest()))


def signed(payload: Signed, names: Sequence[str]) -> bytes:
    """The file, signed by these keys."""
    metadata: Metadata[Any] = Metadata(payload)
    for name in names:
        metadata.sign(signer(name), append=True)
    return metadata.to_bytes()


@dataclass
class Shelf:
    """What a server shows, and what it is made from; change anything and look at `files` again.

    Attributes:
        now: When it is signed.
        keys: Role to the names of the keys that sign.
        versions: Role to version.
        expiries: Role to when it expires, where that is not the usual.
        listed: Path to what the targets say of it.
        documents: Path to bytes.
        roots: Every root, the first one first.
    """

    now: datetime
    keys: dict[str, list[str]] = field(
        default_factory=lambda: {role: [role] for role in ("targets", "rollout", "snapshot", "timestamp")}
    )
    versions: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("targets", "rollout", "snapshot", "timestamp"), 1)
    )
    expiries: dict[str, datetime] = field(default_factory=dict)
    listed: dict[str, TargetFile] = field(default_factory=dict)
    rollouts: dict[str, TargetFile] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    roots: list[bytes] = field(default_factory=list)
    delegations: Delegations | None = None

    def __post_init__(self) -> None:
        if not self.roots:
            self.add_root(ROOTS, signed_by=ROOTS)

    def copy(self) -> Shelf:
        """Another one that may go its own way."""
        return copy.deepcopy(self)

    def add_root(
        self,
        keys: Sequence[str] = ROOTS,
        *,
        signed_by: Sequence[str],
        threshold: int = 2,
        version: int | None = None,
        roles: Mapping[str, Sequence[str]] | None = None,
    ) -> bytes:
        """One root more: the keys of all roles as they are set now."""
        root = Root(version=version or len(self.roots) + 1, consistent_snapshot=True, expires=self.expiry("root"))
        for name in keys:
            root.add_key(signer(name).public_key, "root")
        root.roles["root"].threshold = threshold
        for role in ("targets", "snapshot", "timestamp"):
            for name in (roles or self.keys)[role]:
                root.add_key(signer(name).public_key, role)
        self.roots.append(signed(root, signed_by))
        return self.roots[-1]

    def expiry(self, role: str) -> datetime:
        """When what a role signs now expires."""
        return self.expiries.get(role) or (self.now + timedelta(days=LIVES[role])).replace(microsecond=0)

    def release(self, manifest: ReleaseManifest, **custom: Any) -> None:
        """List a release; `custom` changes what the list says of it."""
        path, release = release_path(manifest.channel, manifest.tier), NotedRelease.of(manifest)
        offer = ReleaseOffer.of(manifest).model_dump()
        self.list(path, release.listed().to_bytes(), offer | custom)
        if release.notes is not None:
            self.list(notes_path(manifest.channel, manifest.tier), release.notes.to_bytes(), offer)

    def list(self, path: str, content: bytes, custom: Mapping[str, Any]) -> TargetFile:
        """List any document under any path."""
        target = TargetFile(len(content), {"sha256": sha256_hex(content)}, path, {"custom": dict(custom)})
        self.listed[path] = target
        self._keep(path, content)
        return target

    def roll_out(self, channel: str, content: bytes) -> None:
        """Say how far a channel's release may go."""
        path = rollout_path(channel)
        self.rollouts[path] = TargetFile(len(content), {"sha256": sha256_hex(content)}, path)
        self._keep(path, content)

    def step(self, *roles: str) -> None:
        """The next version of these roles, or of all but the rollout."""
        for role in roles or ("targets", "snapshot", "timestamp"):
            self.versions[role] += 1

    def targets(self) -> bytes:
        """What the targets' key signs."""
        key = signer(self.keys["rollout"][0]).public_key
        delegated = DelegatedRole("rollout", [key.keyid], 1, terminating=True, paths=["*/rollout.json"])
        delegations = self.delegations or Delegations({key.keyid: key}, {"rollout": delegated})
        return self._signed("targets", Targets(targets=self.listed, delegations=delegations))

    def snapshot(self, listed: Mapping[str, bytes] | None = None) -> bytes:
        """What the snapshot's key signs: which versions belong together."""
        listed = listed or {"targets": self.targets(), "rollout": self.rollout()}
        meta = {f"{role}.json": _meta_of(content, self.versions[role]) for role, content in listed.items()}
        return self._signed("snapshot", Snapshot(meta=meta))

    def rollout(self) -> bytes:
        """What the rollout's key signs."""
        return self._signed("rollout", Targets(targets=self.rollouts))

    def timestamp(self, snapshot: bytes | None = None) -> bytes:
        """What the timestamp's key signs: which snapshot is current."""
        content = self.snapshot() if snapshot is None else snapshot
        return self._signed("timestamp", Timestamp(snapshot_meta=_meta_of(content, self.versions["snapshot"])))

    def files(self) -> dict[str, bytes]:
        """Everything that is shown, by its path below the server."""
        metadata = {f"{number}.root": content for number, content in enumerate(self.roots, start=1)}
        for role, content in (("targets", self.targets()), ("rollout", self.rollout()), ("snapshot", self.snapshot())):
            metadata[f"{self.versions[role]}.{role}"] = content
        metadata["timestamp"] = self.timestamp()
        return {f"/tuf/metadata/{name}.json": content for name, content in metadata.items()} | self.documents

    def _signed(self, role: str, payload: Signed) -> bytes:
        payload.version, payload.expires = self.versions[role], self.expiry(role)
        return signed(payload, self.keys[role])

    def _keep(self, path: str, content: bytes) -> None:
        folder, _, name = path.rpartition("/")
        self.documents[f"/tuf/targets/{folder}/{sha256_hex(content)}.{name}"] = content


def _meta_of(content: bytes, version: int) -> MetaFile:
    return MetaFile(version=version, length=len(content), hashes={"sha256": sha256_hex(content)})


def shelf_now() -> Shelf:
    """A shelf whose dates hold today."""
    return Shelf(datetime.now(UTC))
