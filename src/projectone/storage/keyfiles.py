"""Keys that wrap other keys: files here, and the shape that a key service elsewhere (a KMS, an HSM) has to have."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from projectone.errors import KeyMissingError, SealError, SettingsError
from projectone.storage.files import fsync_folder, write_atomically
from projectone.storage.sealed import is_locked, lock, new_key_pair, seal, unlock, unseal

_PREFIX = "master-"
_ID_DIGITS = 16


class MasterKeys(Protocol):
    """Keys that wrap keys and never leave their place. A KMS maps to it one to one."""

    def create(self) -> str:
        """Make one more; gives its id. Durable when this returns."""
        ...

    def wrap(self, master_id: str, secret: bytes, *, context: bytes) -> bytes:
        """A secret that only `unwrap` with the same key and context gives back."""
        ...

    def unwrap(self, master_id: str, wrapped: bytes, *, context: bytes) -> bytes:
        """The secret again."""
        ...

    def destroy(self, master_id: str) -> None:
        """End a key for good; nothing happens if it is gone."""
        ...


class MasterKeyKinds:
    """`MasterKeys` of several kinds: new keys are of the first, and each key is asked where it lies.

    So the place of the master key is changed by a rotation: new wraps go to the new place, old ones are opened in the
    old one until it wraps nothing, and goes.

    Args:
        kinds: How ids begin (`""` for files), to what opens that kind; the first makes new keys. Opened when needed.
    """

    def __init__(self, kinds: Mapping[str, Callable[[], MasterKeys]]) -> None:
        self._kinds = dict(kinds)
        self._opened: dict[str, MasterKeys] = {}

    def create(self) -> str:
        """Make one more, of the first kind; gives its id."""
        return self._of_kind(next(iter(self._kinds))).create()

    def wrap(self, master_id: str, secret: bytes, *, context: bytes) -> bytes:
        """A secret that only `unwrap` with the same key and context gives back."""
        return self._of(master_id).wrap(master_id, secret, context=context)

    def unwrap(self, master_id: str, wrapped: bytes, *, context: bytes) -> bytes:
        """The secret again."""
        return self._of(master_id).unwrap(master_id, wrapped, context=context)

    def destroy(self, master_id: str) -> None:
        """End a key for good; nothing happens if it is gone."""
        self._of(master_id).destroy(master_id)

    def _of(self, master_id: str) -> MasterKeys:
        return self._of_kind(kind_of(master_id))

    def _of_kind(self, kind: str) -> MasterKeys:
        if kind not in self._kinds:
            raise KeyMissingError(
                f"a master key lies in {kind.rstrip('-')!r}, which is not among PROJECTONE_SERVER_MASTER_KEYS here"
            )
        if kind not in self._opened:
            self._opened[kind] = self._kinds[kind]()
        return self._opened[kind]


def kind_of(master_id: str) -> str:
    """How the id of a master key begins: `""` for one in files, else a word and a dash."""
    word, dash, _ = master_id.partition("-")
    return word + dash if dash else ""


class KeyFiles:
    """`MasterKeys` in a folder: `master-<id>.pub` wraps, `master-<id>.key` unwraps.

    Wrapping reads the public file alone, so a process may be built that wraps and cannot unwrap.

    Args:
        folder: Closed to everybody else.
        passphrase: Locks new private files, and opens those that are locked.
        can_unwrap: Whether private files may be read here.
    """

    kind = ""
    """How ids of these keys begin, so that several kinds can lie side by side."""

    def __init__(self, folder: Path, *, passphrase: str | None = None, can_unwrap: bool = True) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._can_unwrap = can_unwrap
        self._private: dict[str, bytes] = {}  # stretching a passphrase takes a fifth of a second

    def create(self) -> str:
        """A new pair of files; gives its id.

        Raises:
            StorageError: if the disk refused.
        """
        private, public = new_key_pair()
        master_id = self.kind + hashlib.sha256(public).hexdigest()[:_ID_DIGITS]
        # The private half first: what can be wrapped can be unwrapped.
        self._keep_private(master_id, private)
        self._write(self._public_path(master_id), public)
        return master_id

    def wrap(self, master_id: str, secret: bytes, *, context: bytes) -> bytes:
        """A secret that only `unwrap` with the same key and context gives back.

        Raises:
            KeyMissingError: if the public file is gone.
        """
        return seal(secret, self._read(self._public_path(master_id)), context=context)

    def unwrap(self, master_id: str, wrapped: bytes, *, context: bytes) -> bytes:
        """The secret again.

        Raises:
            KeyMissingError: if the private file is gone.
            SettingsError: if it is locked and the passphrase is missing or another one.
            SealError: if `wrapped` is not what this key wrapped under this context.
        """
        if not self._can_unwrap:
            raise SettingsError("this process wraps keys and opens none; ask the worker or a command")
        if master_id not in self._private:
            self._private[master_id] = self._read_private(master_id)
        return unseal(wrapped, self._private[master_id], context=context)

    def destroy(self, master_id: str) -> None:
        """Remove both halves; nothing happens if they are gone. The public one first: nothing new is wrapped."""
        self._private.pop(master_id, None)
        self._remove(self._public_path(master_id))
        self._remove_private(master_id)

    def private_path(self, master_id: str) -> Path:
        """Where the private half lies."""
        return self._folder / f"{_PREFIX}{master_id}.key"

    def is_locked(self, master_id: str) -> bool:
        """Whether the private file needs a passphrase."""
        return is_locked(self._read(self.private_path(master_id)))

    def _public_path(self, master_id: str) -> Path:
        return self._folder / f"{_PREFIX}{master_id}.pub"

    def _keep_private(self, master_id: str, private: bytes) -> None:
        content = private if self._passphrase is None else lock(private, self._passphrase)
        self._write(self.private_path(master_id), content)

    def _remove_private(self, master_id: str) -> None:
        self._remove(self.private_path(master_id))

    def _write(self, path: Path, content: bytes) -> None:
        write_atomically(path, content)
        path.chmod(0o600)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        fsync_folder(self._folder)

    def _read_private(self, master_id: str) -> bytes:
        content = self._read(self.private_path(master_id))
        if not is_locked(content):
            return content
        if self._passphrase is None:
            raise SettingsError(f"master key {master_id}: is locked; set PROJECTONE_SERVER_KEY_PASSPHRASE")
        try:
            return unlock(content, self._passphrase)
        except SealError as error:
            raise SettingsError(
                f"master key {master_id}: expected the passphrase that locked it; see PROJECTONE_SERVER_KEY_PASSPHRASE"
            ) from error

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise KeyMissingError(
                f"{path.name}: expected it in {self._folder.name!r}; restore it from its backup"
            ) from error
