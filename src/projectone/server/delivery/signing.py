"""Signs every kind of document with the home's Ed25519 key; devices carry its public half."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from projectone.contracts.signed_bytes import Document, Signed, SignedKind, key_id_of, public_key_text
from projectone.errors import SettingsError


class ReleaseSigner:
    """Signs with one key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def sign(self, kind: SignedKind[Document, Signed], document: Document) -> Signed:
        """The document's canonical bytes and the signature over them."""
        return kind.sign(self._key, document)

    @property
    def trusted(self) -> dict[str, str]:
        """What verifies a signature of this key: its id and its public half."""
        return {key_id_of(self.public_key): self.public_key}

    @property
    def public_key(self) -> str:
        """The public half, raw, base64: what devices are told to trust."""
        return public_key_text(self._key)


def new_key() -> bytes:
    """A fresh private key in PEM, for the file that `load_signer` reads."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_signer(path: Path) -> ReleaseSigner:
    """The signer whose private key lies at `path`.

    Raises:
        SettingsError: if there is no key, or it is not Ed25519.
    """
    return ReleaseSigner(load_key(path))


def load_key(path: Path) -> Ed25519PrivateKey:
    """The private key that lies at `path`.

    Raises:
        SettingsError: if there is none, or it is not Ed25519.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"key: expected a file {path.name!r} in {path.parent.name!r}; run `projectone-server init`, "
            "or restore it from the backup"
        ) from error
    return _parse(content, path.name)


def _parse(content: bytes, name: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"key {name!r}: expected an unencrypted Ed25519 private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"key {name!r}: expected an Ed25519 key, got {type(key).__name__}")
    return key
