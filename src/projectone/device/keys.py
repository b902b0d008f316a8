"""This device's identity: a signing key and two random names, in one private file."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from projectone.contracts.base import Contract, Name
from projectone.contracts.devices import Enrolment
from projectone.contracts.signatures import public_key_text, sign_request
from projectone.errors import ContractError, StorageError
from projectone.storage.files import staged_file
from projectone.storage.locks import exclusive_lock

_FILE = "device.json"
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


class _Identity(Contract):
    """What the file holds. The names are drawn at random: nothing about the machine or the person is in them."""

    schema_version: int = Field(default=1, ge=1, le=1)
    device_id: Name
    contributor_id: Name
    private_key: str = Field(pattern=r"^[A-Za-z0-9+/]{43}=$", repr=False)


class DeviceKeys:
    """Signs this device's requests. The private key never leaves this object or its file."""

    def __init__(self, identity: _Identity, clock_s: Callable[[], float]) -> None:
        self.device_id: str = identity.device_id
        self.contributor_id: str = identity.contributor_id
        self._key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(identity.private_key))
        self._clock_s = clock_s

    @classmethod
    def open(cls, folder: Path, *, clock_s: Callable[[], float]) -> DeviceKeys:
        """The identity kept in `folder`; drawn at random and kept there at the first call.

        Raises:
            StorageError: if the file is damaged. Delete it to become a new device; what waits is then sent under
                the new name.
        """
        path = folder / _FILE
        if not path.exists():
            with exclusive_lock(folder / "device.lock", what="making the device key", is_waiting=True):
                folder.chmod(_PRIVATE_FOLDER)
                if not path.exists():
                    _write_new(path)
        try:
            identity = _Identity.from_bytes(path.read_bytes())
        except (ContractError, OSError) as error:
            raise StorageError(f"{path.name!r}: expected this device's identity, got {error}") from error
        if path.stat().st_mode & 0o077:
            path.chmod(_PRIVATE_FILE)
        return cls(identity, clock_s)

    def sign(self, *, method: str, path: str, query: str, body: bytes, sample_header: str) -> dict[str, str]:
        """The headers that prove a request comes from this device, made now."""
        return sign_request(
            self._key,
            method=method,
            path=path,
            query=query,
            body=body,
            device_id=self.device_id,
            created_s=int(self._clock_s()),
            sample_header=sample_header,
        )

    def enrolment(self, code: str) -> Enrolment:
        """How this device introduces itself to a server."""
        return Enrolment(
            device_id=self.device_id,
            contributor_id=self.contributor_id,
            public_key=public_key_text(self._key),
            enrolment_code=code,
        )


def _write_new(path: Path) -> None:
    identity = _Identity(
        device_id=f"d-{secrets.token_hex(16)}",
        contributor_id=f"c-{secrets.token_hex(16)}",
        private_key=base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode(),
    )
    with staged_file(path.parent) as staged:
        os.fchmod(staged.stream.fileno(), _PRIVATE_FILE)  # before the first byte of the key is in it
        staged.stream.write(identity.to_bytes())
        staged.commit(path)
