"""What signatures here are made of: keys as text, bytes that a trusted key signed in one context, signed documents."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Generic, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from projectone.contracts.base import Contract, sha256_hex
from projectone.errors import SignatureError

Document = TypeVar("Document", bound=Contract)
Signed = TypeVar("Signed", bound=Contract)


def public_key_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """The raw public key, base64."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return base64.b64encode(public.public_bytes_raw()).decode()


def key_id_of(public_key: str) -> str:
    """A key's short name: the first 16 hexadecimal digits of its digest."""
    return sha256_hex(base64.b64decode(public_key))[:16]


def signed_by(key: Ed25519PrivateKey, content: bytes, *, context: bytes = b"") -> dict[str, str]:
    """The key's name and its signature over bytes in a context, as the fields of a signed document."""
    return {
        "key_id": key_id_of(public_key_text(key)),
        "signature": base64.b64encode(key.sign(context + content)).decode(),
    }


def signed_bytes(
    trusted: Mapping[str, str], key_id: str, text: str, signature: str, *, what: str, context: bytes = b""
) -> bytes:
    """The bytes in `text` (base64), if a key we trust signed exactly these in this context.

    Args:
        trusted: Key id to raw public key, base64.
        key_id: Whose signature it is said to be.
        text: What was signed.
        signature: Base64.
        what: For errors.
        context: Signed before the bytes, so that no signature over anything else can pass for one over these.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
    """
    public_key = _trusted_key(trusted, key_id, what=what)
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise SignatureError(f"{what}: what was signed is not base64") from error
    check_signature(public_key, signature, context + content, what=what)
    return content


def _trusted_key(trusted: Mapping[str, str], key_id: str, *, what: str) -> str:
    public_key = trusted.get(key_id)
    if public_key is None:
        raise SignatureError(f"{what}: signed by {key_id!r}, expected one of {sorted(trusted)}")
    return public_key


def check_signature(public_key: str, signature: str, content: bytes, *, what: str) -> None:
    """Refuse a signature that does not hold, or is spelt in another way than the one.

    Raises:
        SignatureError: naming `what`.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        raw = base64.b64decode(signature, validate=True)
        if base64.b64encode(raw).decode() != signature:
            raise ValueError("a signature has one spelling")  # the last digit's spare bits are not ours to ignore
        key.verify(raw, content)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError(f"{what}: the signature does not hold") from error


class SignedKind(Generic[Document, Signed]):
    """A kind of signed document.

    Args:
        what: For errors.
        context: Signed before the bytes, so that no signature over another kind can pass for one over this.
        document: What is signed.
        signed: What is sent: the bytes in base64, `key_id` and `signature`.
        field: Of `signed`, in which the bytes lie.
    """

    def __init__(
        self, what: str, *, context: bytes, document: type[Document], signed: type[Signed], field: str
    ) -> None:
        self.what = what
        self.context = context
        self._document = document
        self._signed = signed
        self._field = field

    def sign(self, key: Ed25519PrivateKey, document: Document) -> Signed:
        """The document's canonical bytes and the signature over them."""
        content = document.to_bytes()
        fields = {self._field: base64.b64encode(content).decode(), **signed_by(key, content, context=self.context)}
        return self._signed.model_validate(fields)

    def verify(self, trusted: Mapping[str, str], signed: Signed) -> Document:
        """The document, if a key we trust signed exactly these bytes as one of this kind.

        Args:
            trusted: Key id to raw public key, base64.
            signed: What the server sent.

        Raises:
            SignatureError: if the key is unknown or the signature does not hold.
            ContractError: if the signed bytes are no such document.
        """
        key_id, text, signature = (getattr(signed, name) for name in ("key_id", self._field, "signature"))
        content = signed_bytes(trusted, key_id, text, signature, context=self.context, what=self.what)
        return self._document.from_bytes(content)
