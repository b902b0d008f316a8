"""What only the root's keys can do: name the keys of the other roles, and name itself anew.

Each ceremony writes one new root, which the keys before it and those in it have signed. Devices walk from the root
they carry to the newest, one version at a time, so every root stays for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization.json import CanonicalJSONSerializer

from projectone.errors import SettingsError
from projectone.server.delivery.role_keys import RoleKeys
from projectone.server.delivery.roles import ROOT_THRESHOLD, TOP_ROLES, Lifetimes, OnlineRole
from projectone.server.delivery.signed_files import SignedFiles
from projectone.storage.locks import exclusive_lock


class Ceremonies:
    """Makes roots."""

    def __init__(
        self,
        files: SignedFiles,
        keys: RoleKeys,
        *,
        lifetimes: Lifetimes | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._files = files
        self._keys = keys
        self._lifetimes = lifetimes or Lifetimes()
        self._clock = clock

    def begin(self) -> bytes:
        """The first root, which devices carry; made, with all keys, if there is none yet.

        Raises:
            SettingsError: if the keys of a root are gone that was signed once: a new one would be a stranger's.
        """
        with self._alone():
            if self._files.has_root():
                return self._files.first_root()
            if self._keys.has_online() and not self._keys.root_keys_here():
                raise SettingsError(
                    "signed metadata: the first root is gone, and so are the keys to sign one; restore it from the "
                    "backup: devices believe no other one"
                )
            signers = self._keys.ensure_root()
            self._keys.ensure_online()
            root = Root(consistent_snapshot=True)
            for signer in signers:
                root.add_key(signer.public_key, Root.type)
            root.roles[Root.type].threshold = ROOT_THRESHOLD
            for role in TOP_ROLES:
                root.add_key(self._keys.signer(role).public_key, role)
            self._write(root, signers)
            return self._files.first_root()

    def replace(self, roles: Sequence[OnlineRole], root_signers: Sequence[CryptoSigner]) -> int:
        """Give roles new keys; gives the new root's version. What the old keys sign is believed no more.

        Args:
            roles: Which; of the rollout, whose key the targets name, the key changes without a root.
            root_signers: The root's keys, as many as its threshold.

        Raises:
            SettingsError: if the root's keys are too few, or not the root's.
        """
        with self._alone():
            root = self._files.root().signed
            top = [role for role in roles if role in TOP_ROLES]
            if top:
                _require(root, root_signers)
                for role in top:
                    for key_id in list(root.roles[role].keyids):
                        root.revoke_key(key_id, role)
                    root.add_key(self._keys.prepare(role).public_key, role)
                self._write(root, root_signers)
                for role in top:  # puts the new key in the old one's place
                    self._keys.signer(role, root.roles[role].keyids)
            if "rollout" in roles:
                self._keys.replace("rollout")
            return root.version

    def replace_root(
        self, root_signers: Sequence[CryptoSigner], *, without: Iterable[str], new: Sequence[CryptoSigner]
    ) -> int:
        """A new root with other keys, or the same ones for another year; gives its version.

        Args:
            root_signers: Keys of the root as it is, as many as its threshold.
            without: Ids of keys that are believed no more: lost or stolen; their beginnings will do.
            new: Keys in their place.

        Raises:
            SettingsError: if the keys are too few, a key is unknown, or the new root would have too few.
        """
        with self._alone():
            root = self._files.root().signed
            _require(root, root_signers)
            for beginning in without:
                matching = [key_id for key_id in root.roles[Root.type].keyids if key_id.startswith(beginning)]
                if len(matching) != 1 or not beginning:
                    raise SettingsError(f"root key {beginning!r}: expected the id of one of the root's keys")
                root.revoke_key(matching[0], Root.type)
            for signer in new:
                root.add_key(signer.public_key, Root.type)
            if len(root.roles[Root.type].keyids) <= root.roles[Root.type].threshold:
                raise SettingsError(
                    f"root: expected more than {root.roles[Root.type].threshold} keys, so that one may be lost"
                )
            self._write(root, [*root_signers, *new])
            return root.version

    def _write(self, root: Root, signers: Iterable[CryptoSigner]) -> None:
        before = self._files.root() if self._files.has_root() else None
        root.version = 1 if before is None else before.signed.version + 1
        root.expires = self._clock().replace(microsecond=0) + self._lifetimes.root
        metadata = Metadata(root)
        for signer in signers:
            metadata.sign(signer, append=True)
        content = CanonicalJSONSerializer().serialize(root)
        try:
            for delegator in (root,) if before is None else (before.signed, root):
                delegator.verify_delegate(Root.type, content, metadata.signatures)
        except UnsignedMetadataError as error:
            raise SettingsError(
                f"root: expected {root.roles[Root.type].threshold} keys of the old root and of the new one: {error}"
            ) from error
        self._files.write(Root.type, metadata)

    def _alone(self) -> AbstractContextManager[None]:
        return exclusive_lock(self._files.folder / "publishing.lock", what="publishing", is_waiting=True)


def _require(root: Root, signers: Sequence[CryptoSigner]) -> None:
    role = root.roles[Root.type]
    known = {signer.public_key.keyid for signer in signers} & set(role.keyids)
    if len(known) < role.threshold:
        raise SettingsError(
            f"root keys: expected {role.threshold} of its {len(role.keyids)}, got {len(known)}; "
            "name the file of each with --root-key"
        )
