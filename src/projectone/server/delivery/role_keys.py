"""The private keys of the release roles: those that stay here, and those of the root, which leave.

A key that takes another's place lies beside it as `ROLE.next.key` until the root that names it is written; so a
ceremony that was interrupted is finished, or forgotten, by whoever comes next.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from projectone.errors import SettingsError
from projectone.server.delivery.roles import N_ROOT_KEYS, ONLINE_ROLES, ROOT_KEYS, OnlineRole
from projectone.server.delivery.signing import load_key, new_key
from projectone.storage.files import fsync_folder, make_folder, write_atomically


class RoleKeys:
    """The folder of keys: one file a role, for the owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def root_folder(self) -> Path:
        """Where the root's keys lie until they are taken away."""
        return self._folder / ROOT_KEYS

    def ensure_online(self) -> None:
        """Make the keys that are missing; those that are there stay."""
        make_folder(self._folder, mode=0o700)
        for role in ONLINE_ROLES:
            if not self._path(role).exists():
                _write_secret(self._path(role), new_key())

    def has_online(self) -> bool:
        """Whether any online key was made already."""
        return any(self._path(role).exists() for role in ONLINE_ROLES)

    def ensure_root(self) -> list[CryptoSigner]:
        """The root's keys, made if they are missing; only before the first root is signed."""
        make_folder(self._folder, mode=0o700)
        make_folder(self.root_folder, mode=0o700)
        paths = [self.root_folder / f"root-{number}.key" for number in range(1, N_ROOT_KEYS + 1)]
        for path in paths:
            if not path.exists():
                _write_secret(path, new_key())
        return load_root_keys(paths)

    def root_keys_here(self) -> int:
        """How many of the root's keys still lie where `init` left them: none, once they are offline."""
        return len(list(self.root_folder.glob("*.key")))

    def signer(self, role: OnlineRole, key_ids: Iterable[str] | None = None) -> CryptoSigner:
        """What signs for a role.

        Args:
            role: The role.
            key_ids: The keys that are believed; None takes the one that is here.

        Raises:
            SettingsError: if the key is not here, or is another one than is believed.
        """
        wanted = None if key_ids is None else set(key_ids)
        here = signer_of(load_key(self._path(role))) if self._path(role).exists() else None
        if here is not None and (wanted is None or here.public_key.keyid in wanted):
            return here
        if wanted is not None and self._next(role).exists():
            successor = signer_of(load_key(self._next(role)))
            if successor.public_key.keyid in wanted:
                self._next(role).replace(self._path(role))
                fsync_folder(self._folder)
                return successor
        if here is None:
            raise SettingsError(
                f"key of role {role!r}: expected a file {self._path(role).name!r} in {self._folder.name!r}; restore it "
                f"from the backup, or make a new one with `projectone-server keys replace {role}`"
            )
        raise SettingsError(
            f"key of role {role!r}: the newest root names another one; restore the keys from the backup"
        )

    def prepare(self, role: OnlineRole) -> CryptoSigner:
        """A fresh key for a role, laid beside the old one until a root names it."""
        _write_secret(self._next(role), new_key())
        return signer_of(load_key(self._next(role)))

    def replace(self, role: OnlineRole) -> CryptoSigner:
        """A fresh key in the place of the old one: for the role that no root names."""
        _write_secret(self._path(role), new_key())
        return self.signer(role)

    def _path(self, role: OnlineRole) -> Path:
        return self._folder / f"{role}.key"

    def _next(self, role: OnlineRole) -> Path:
        return self._folder / f"{role}.next.key"


def load_root_keys(paths: Iterable[Path]) -> list[CryptoSigner]:
    """The root's keys from where the operator keeps them.

    Raises:
        SettingsError: if one cannot be read, is no Ed25519 key, or is given twice.
    """
    given = list(paths)
    for path in given:
        if not path.is_file():
            raise SettingsError(f"root key {str(path)!r}: expected the file of a root key, found none")
    signers = [signer_of(load_key(path)) for path in given]
    if len({signer.public_key.keyid for signer in signers}) != len(signers):
        raise SettingsError("root keys: expected different ones, one of them was given twice")
    return signers


def make_root_keys(folder: Path, count: int) -> list[CryptoSigner]:
    """New keys for the root, each in a file of its own named by its id."""
    made = []
    make_folder(folder, mode=0o700)
    for _ in range(count):
        content = new_key()
        temporary = folder / "root-new.key"
        _write_secret(temporary, content)
        signer = signer_of(load_key(temporary))
        temporary.replace(_root_path(folder, signer))
        made.append(signer)
    fsync_folder(folder)
    return made


def forget_root_keys(folder: Path, signers: Iterable[CryptoSigner]) -> None:
    """Take back what `make_root_keys` made for a root that was not signed."""
    for signer in signers:
        _root_path(folder, signer).unlink()


def _root_path(folder: Path, signer: CryptoSigner) -> Path:
    return folder / f"root-{signer.public_key.keyid[:16]}.key"


def signer_of(key: Ed25519PrivateKey) -> CryptoSigner:
    """A key as the metadata library signs with it."""
    return CryptoSigner(key)


def _write_secret(path: Path, content: bytes) -> None:
    write_atomically(path, content)
    path.chmod(0o600)
