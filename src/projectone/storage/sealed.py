"""Bytes that only the holder of a key reads: AES-256-GCM, with what they are and where they belong bound into the key.

Sealing takes a public key alone (HPKE, RFC 9180, base mode): whoever takes bytes in need not be able to read them.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from projectone.errors import SealError

KEY_BYTES = 32
SEAL_MARK = b"P1-SEAL\x01"
"""What sealed bytes begin with; the last byte is the version of the form."""

_LOCK_MARK = b"P1-LOCK\x01"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_SALT_BYTES = 16
_NONCE_BYTES = 12
# 64 MB and about 0.2 s for each guess: OWASP's second choice for scrypt (2024), asked for once in a process.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**16, 8, 2


def new_key_pair() -> tuple[bytes, bytes]:
    """A fresh private key and its public half, 32 bytes each."""
    key = X25519PrivateKey.generate()
    return key.private_bytes_raw(), key.public_key().public_bytes_raw()


def seal(content: bytes, public_key: bytes, *, context: bytes) -> bytes:
    """Bytes that the private half of `public_key` alone opens, and only under the same `context`.

    Every call takes a fresh AES-256 key: the same content twice gives different bytes, 56 longer than the content.

    Args:
        content: What nobody else shall read.
        public_key: 32 bytes of an X25519 key.
        context: What the content is and where it belongs; it is not kept, the reader has to know it.
    """
    return SEAL_MARK + _SUITE.encrypt(content, X25519PublicKey.from_public_bytes(public_key), info=context)


def unseal(sealed: bytes, private_key: bytes, *, context: bytes) -> bytes:
    """What was sealed.

    Raises:
        SealError: if this is not what was sealed for this key and this `context`.
    """
    if not is_sealed(sealed):
        raise SealError(f"sealed bytes: expected them to begin with {SEAL_MARK!r}, got {len(sealed)} bytes that do not")
    try:
        return _SUITE.decrypt(sealed[len(SEAL_MARK) :], X25519PrivateKey.from_private_bytes(private_key), info=context)
    except (InvalidTag, ValueError) as error:
        raise SealError("sealed bytes: they were changed, or belong to another key or another place") from error


def is_sealed(content: bytes) -> bool:
    """Whether bytes claim to be sealed."""
    return content.startswith(SEAL_MARK)


def lock(secret: bytes, passphrase: str) -> bytes:
    """A short secret, readable with the passphrase (scrypt, AES-256-GCM)."""
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    return _LOCK_MARK + salt + nonce + AESGCM(_stretch(passphrase, salt)).encrypt(nonce, secret, _LOCK_MARK)


def unlock(locked: bytes, passphrase: str) -> bytes:
    """What was locked.

    Raises:
        SealError: if it is another passphrase, or the bytes were changed.
    """
    body = locked[len(_LOCK_MARK) :]
    salt, nonce, rest = body[:_SALT_BYTES], body[_SALT_BYTES:][:_NONCE_BYTES], body[_SALT_BYTES + _NONCE_BYTES :]
    try:
        return AESGCM(_stretch(passphrase, salt)).decrypt(nonce, rest, _LOCK_MARK)
    except (InvalidTag, ValueError) as error:
        raise SealError("locked secret: expected its passphrase, got another one, or the bytes were changed") from error


def is_locked(content: bytes) -> bool:
    """Whether a secret is locked with a passphrase."""
    return content.startswith(_LOCK_MARK)


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P).derive(passphrase.encode())
