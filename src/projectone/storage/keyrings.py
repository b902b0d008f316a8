"""Master keys whose private half lies in the operating system's keyring: it opens with the session of its user."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from projectone.errors import KeyMissingError, SettingsError, StorageError
from projectone.storage.keyfiles import KeyFiles

_SERVICE = "projectone-server"
_FOLDER_DIGITS = 12


def read_secret(service: str, name: str) -> str:
    """What the keyring of this session holds under a service and a name.

    Raises:
        SettingsError: if the extra `keyring` is not installed, there is no keyring, or nothing is in it.
        StorageError: if it cannot be read now.
    """
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ImportError as error:
        raise SettingsError("a key in a keyring needs pip install 'projectone[keyring]'") from error
    try:
        found = keyring.get_password(service, name)
    except NoKeyringError as error:
        raise SettingsError("no keyring here: it takes a session of the user; name a file instead") from error
    except KeyringError as error:
        raise StorageError(f"keyring: {type(error).__name__}: unlock it, then try again") from error
    if found is None:
        raise SettingsError(f"expected a key in the keyring: keyring set {service} {name}")
    return found


class KeyringKeys(KeyFiles):
    """`MasterKeys` in a keyring (Secret Service, macOS Keychain, Windows Credential Locker).

    The public half is a file, as with `KeyFiles`: who wraps asks no keyring.

    Args:
        folder: Where the public halves lie; also tells the entries of one server from those of another.
        can_unwrap: Whether private halves may be read here.

    Raises:
        SettingsError: if the extra `keyring` is not installed.
    """

    kind = "keyring-"

    def __init__(self, folder: Path, *, can_unwrap: bool = True) -> None:
        super().__init__(folder, can_unwrap=can_unwrap)
        try:
            import keyring
        except ImportError as error:
            raise SettingsError("master keys in a keyring need pip install 'projectone[keyring]'") from error
        self._keyring = keyring
        self._service = f"{_SERVICE}-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:_FOLDER_DIGITS]}"

    def is_locked(self, master_id: str) -> bool:
        """Yes: the keyring is."""
        return True

    def _keep_private(self, master_id: str, private: bytes) -> None:
        with self._told():
            self._keyring.set_password(self._service, master_id, base64.b64encode(private).decode())

    def _remove_private(self, master_id: str) -> None:
        with self._told():
            if self._keyring.get_password(self._service, master_id) is not None:
                self._keyring.delete_password(self._service, master_id)

    def _read_private(self, master_id: str) -> bytes:
        with self._told():
            found = self._keyring.get_password(self._service, master_id)
        if found is None:
            raise KeyMissingError(f"master key {master_id}: expected it in the keyring; restore it from its backup")
        return base64.b64decode(found)

    @contextmanager
    def _told(self) -> Iterator[None]:
        from keyring.errors import KeyringError, NoKeyringError

        try:
            yield
        except NoKeyringError as error:
            raise SettingsError(
                "no keyring here: it takes a session of the user; else choose file or aws-kms in "
                "PROJECTONE_SERVER_MASTER_KEYS"
            ) from error
        except KeyringError as error:
            raise StorageError(f"keyring: {type(error).__name__}: unlock it, then try again") from error
