"""Publishes what is current: signed metadata and documents, which any static file server could hand out.

One publication is: the documents, what lists them, the snapshot, and the timestamp last. Publishers wait for one
another. Each ends what a dead one began: what it finds current decides, and what is signed by a key that the root no
longer names, or expires soon, is signed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import CanonicalJSONSerializer

from projectone.contracts.base import sha256_hex
from projectone.contracts.releases import (
    NotedRelease,
    ReleaseManifest,
    ReleaseOffer,
    notes_path,
    release_path,
    rollout_path,
)
from projectone.errors import RollbackError, SettingsError
from projectone.server.delivery.role_keys import RoleKeys
from projectone.server.delivery.roles import ROLLOUT_PATHS, Lifetimes, OnlineRole
from projectone.server.delivery.signed_files import SignedFiles
from projectone.storage.locks import exclusive_lock

Listed = dict[str, TargetFile]
_T = TypeVar("_T", Targets, Snapshot, Timestamp)


class Publisher:
    """Signs and shows what is current."""

    def __init__(
        self,
        folder: Path,
        keys: RoleKeys,
        *,
        lifetimes: Lifetimes | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Publish below a folder.

        Args:
            folder: Where devices read, through the API or any other server of files.
            keys: What signs.
            lifetimes: How long each role's signature is believed.
            clock: The time.
        """
        self._files = SignedFiles(folder)
        self._keys = keys
        self._lifetimes = lifetimes or Lifetimes()
        self._clock = clock

    def publish(self, newest: Callable[[], Iterable[ReleaseManifest]]) -> None:
        """List a channel's newest release in the place of the one before.

        A tier that it does not have keeps the earlier release that it had, unless the newest one retires it.

        Args:
            newest: Gives the manifests of all tiers of one release. Asked while no other publisher is at work, so that
                the last one to publish has seen what is newest.

        Raises:
            RollbackError: if a newer release of the channel is listed already.
            SettingsError: if a key is missing; StorageError: if the disk refused.
        """

        def list_release(listed: Listed) -> Listed:
            manifests = list(newest())
            floors = {manifest.channel: manifest.min_seq for manifest in manifests}
            for path, target in listed.items():
                channel, seq = _channel(target), _seq_of(target)
                if any(seq > manifest.seq for manifest in manifests if manifest.channel == channel):
                    raise RollbackError(f"release: {path!r} is listed with number {seq}, which is newer")
            replaced = {notes_path(manifest.channel, manifest.tier) for manifest in manifests}  # by notes, or by none
            kept = {
                path: target
                for path, target in listed.items()
                if path not in replaced and _seq_of(target) >= floors.get(_channel(target), 0)
            }
            made = [target for manifest in manifests for target in self._release_targets(NotedRelease.of(manifest))]
            return kept | {target.path: target for target in made}

        self._settle(release=list_release)

    def publish_rollout(self, channel: str, content: bytes) -> None:
        """Show how far a channel's release may go now; only the rollout's key is needed for it.

        Raises:
            SettingsError: if a key is missing; StorageError: if the disk refused.
        """

        def list_rollout(listed: Listed) -> Listed:
            path = rollout_path(channel)
            return listed | {path: self._files.add(path, content)}

        self._settle(rollout=list_rollout)

    def renew(self) -> bool:
        """Sign again what expires soon, and finish what was begun; says whether there was anything to do."""
        return self._settle()

    def _release_targets(self, release: NotedRelease) -> Iterator[TargetFile]:
        """The manifest and, where there are any, the notes: both are listed as that release."""
        documents = {release_path(release.channel, release.tier): release.listed().to_bytes()}
        if release.notes is not None:
            documents[notes_path(release.channel, release.tier)] = release.notes.to_bytes()
        for path, content in documents.items():
            target = self._files.add(path, content)
            target.unrecognized_fields["custom"] = ReleaseOffer.of(release).model_dump()
            yield target

    def _settle(
        self,
        *,
        release: Callable[[Listed], Listed] = lambda listed: listed,
        rollout: Callable[[Listed], Listed] = lambda listed: listed,
    ) -> bool:
        with exclusive_lock(self._files.folder / "publishing.lock", what="publishing", is_waiting=True):
            root = self._files.root().signed
            timestamp = self._files.timestamp()
            snapshot = None if timestamp is None else self._files.snapshot(timestamp.signed.snapshot_meta.version)
            targets = None if snapshot is None else self._listed("targets", snapshot)
            wanted = self._wanted_targets(None if targets is None else targets.signed, release)
            new_targets = self._signed_if_needed("targets", targets, wanted, root)
            delegator = (new_targets or targets or wanted).signed
            rollouts = None if snapshot is None else self._listed("rollout", snapshot)
            listed = rollout({} if rollouts is None else dict(rollouts.signed.targets))
            new_rollouts = self._signed_if_needed("rollout", rollouts, Metadata(Targets(targets=listed)), delegator)
            meta = {} if snapshot is None else dict(snapshot.signed.meta)
            for role, made in (("targets", new_targets), ("rollout", new_rollouts)):
                if made is not None:
                    meta[f"{role}.json"] = _meta_of(self._files.write(role, made), made.signed.version)
            new_snapshot = self._signed_if_needed("snapshot", snapshot, Metadata(Snapshot(meta=meta)), root)
            if new_snapshot is None:
                assert timestamp is not None, "a snapshot is only found through a timestamp"
                pointer = timestamp.signed.snapshot_meta
            else:
                pointer = _meta_of(self._files.write("snapshot", new_snapshot), new_snapshot.signed.version)
            wish = Metadata(Timestamp(snapshot_meta=pointer))
            new_timestamp = self._signed_if_needed("timestamp", timestamp, wish, root)
            if new_timestamp is not None:
                self._files.write("timestamp", new_timestamp)
                self._files.prune()
            return new_timestamp is not None

    def _listed(self, role: OnlineRole, snapshot: Metadata[Snapshot]) -> Metadata[Targets]:
        return self._files.listed(role, snapshot.signed.meta[f"{role}.json"].version)

    def _wanted_targets(self, before: Targets | None, release: Callable[[Listed], Listed]) -> Metadata[Targets]:
        key = self._keys.signer("rollout").public_key
        role = DelegatedRole("rollout", [key.keyid], 1, terminating=True, paths=[ROLLOUT_PATHS])
        delegations = Delegations({key.keyid: key}, {"rollout": role})
        listed = release({} if before is None else dict(before.targets))
        return Metadata(Targets(targets=listed, delegations=delegations))

    def _signed_if_needed(
        self, role: OnlineRole, current: Metadata[_T] | None, wanted: Metadata[_T], delegator: Root | Targets
    ) -> Metadata[_T] | None:
        """What is wanted, signed as a new version; None where the current version says it and is good for a while."""
        now = self._clock().replace(microsecond=0)
        left = timedelta(0)
        if current is not None and _body(current) == _body(wanted) and _is_signed(current, role, delegator):
            left = current.signed.expires - now
            if left >= self._lifetimes.renewed_below(role):
                return None
        try:
            signer = self._keys.signer(role, delegator.get_delegated_role(role).keyids)
        except SettingsError:
            if left > timedelta(0):  # a key that is kept elsewhere holds up nobody until its signature ends
                return None
            raise
        version = 0 if current is None else current.signed.version
        wanted.signed.version = self._files.unused_version(role, version)
        wanted.signed.expires = now + self._lifetimes.of(role)
        wanted.sign(signer)
        return wanted


def _body(metadata: Metadata[_T]) -> dict[str, Any]:
    """What is said, whichever version says it and for how long."""
    return {**metadata.signed.to_dict(), "version": 0, "expires": ""}


def _is_signed(metadata: Metadata[_T], role: str, delegator: Root | Targets) -> bool:
    try:
        delegator.verify_delegate(role, CanonicalJSONSerializer().serialize(metadata.signed), metadata.signatures)
    except UnsignedMetadataError:
        return False
    return True


def _channel(target: TargetFile) -> str:
    return str(target.unrecognized_fields["custom"]["channel"])


def _seq_of(target: TargetFile) -> int:
    return int(target.unrecognized_fields["custom"]["seq"])


def _meta_of(content: bytes, version: int) -> MetaFile:
    return MetaFile(version=version, length=len(content), hashes={"sha256": sha256_hex(content)})
