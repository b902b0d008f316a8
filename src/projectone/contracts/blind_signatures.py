"""Signatures that cannot be traced to whom they were made for: RSA blind signatures, RFC 9474.

The variant is RSABSSA-SHA384-PSS-Deterministic: what is signed is a random number already. A device blinds a message,
the server signs what it cannot read, the device takes the blinding off; what is left is an ordinary RSA-PSS signature
over the message, and the server cannot tell at whose request it was made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import secrets

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from projectone.errors import ContractError, SignatureError

_SALT_BYTES = 48
_MIN_BITS, _MAX_BITS = 2048, 4096


def public_rsa_key(text: str) -> RSAPublicKey:
    """The key that `text` (DER, base64) spells.

    Raises:
        ContractError: if it is no RSA key of a size that is safe and small.
    """
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error) as error:
        raise ContractError("ticket key: expected an RSA public key, DER in base64") from error
    if not isinstance(key, RSAPublicKey) or not _MIN_BITS <= key.key_size <= _MAX_BITS:
        raise ContractError(f"ticket key: expected RSA of {_MIN_BITS} to {_MAX_BITS} bits")
    return key


def rsa_key_text(key: RSAPublicKey) -> str:
    """A public key as text, DER in base64."""
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def blind(
    key: RSAPublicKey, message: bytes, *, salt: bytes | None = None, factor: int | None = None
) -> tuple[str, int]:
    """What to send to be signed (base64), and the number that takes the blinding off again.

    Args:
        key: Whose signature is wanted.
        message: What is to be signed; the signer does not see it.
        salt: For test vectors; else random.
        factor: The blinding, for test vectors; else random.
    """
    numbers = key.public_numbers()
    encoded = int.from_bytes(_encode_pss(message, key.key_size - 1, salt or secrets.token_bytes(_SALT_BYTES)), "big")
    if math.gcd(encoded, numbers.n) != 1:
        raise ContractError("ticket: the message shares a factor with the key: that key is broken")
    while factor is None or math.gcd(factor, numbers.n) != 1:
        factor = secrets.randbelow(numbers.n - 2) + 2
    blinded = encoded * pow(factor, numbers.e, numbers.n) % numbers.n
    return _text(blinded, key), pow(factor, -1, numbers.n)


def sign_blinded(key: RSAPrivateKey, blinded: str) -> str:
    """The signature over what somebody blinded (base64).

    Raises:
        ContractError: if it is no number that this key signs.
    """
    private, public = key.private_numbers(), key.public_key().public_numbers()
    message = _number(blinded, key.public_key())
    # The time that a power takes tells of its base: the base is one that nobody else knows.
    veil = secrets.randbelow(public.n - 2) + 2
    veiled = message * pow(veil, public.e, public.n) % public.n
    # Two halves by the Chinese remainder theorem: a quarter of the work.
    p_half, q_half = pow(veiled, private.dmp1, private.p), pow(veiled, private.dmq1, private.q)
    signed = q_half + private.q * ((p_half - q_half) * private.iqmp % private.p)
    signature = signed * pow(veil, -1, public.n) % public.n
    if pow(signature, public.e, public.n) != message:  # a slip of the machine here would give the key away
        raise ContractError("ticket: the signature came out wrong; ask again")
    return _text(signature, key.public_key())


def unblind(key: RSAPublicKey, message: bytes, blind_signature: str, unblinder: int) -> str:
    """The signature over the message itself (base64).

    Raises:
        SignatureError: if the server signed with another key.
    """
    number = _number(blind_signature, key) * unblinder % key.public_numbers().n
    signature = _text(number, key)
    verify_unblinded(key, message, signature)
    return signature


def verify_unblinded(key: RSAPublicKey, message: bytes, signature: str) -> None:
    """Refuse a signature that does not hold.

    Raises:
        SignatureError: saying so.
    """
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, message, padding.PSS(padding.MGF1(SHA384()), _SALT_BYTES), SHA384())
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise SignatureError("ticket: the signature does not hold") from error


def _encode_pss(message: bytes, n_bits: int, salt: bytes) -> bytes:
    """EMSA-PSS-ENCODE of RFC 8017, 9.1.1, with SHA-384 for hash and mask."""
    n_bytes = (n_bits + 7) // 8
    digest = hashlib.sha384(b"\0" * 8 + hashlib.sha384(message).digest() + salt).digest()
    block = b"\0" * (n_bytes - len(salt) - len(digest) - 2) + b"\1" + salt
    masked = bytearray(a ^ b for a, b in zip(block, _mask(digest, len(block)), strict=True))
    masked[0] &= 0xFF >> (8 * n_bytes - n_bits)
    return bytes(masked) + digest + b"\xbc"


def _mask(seed: bytes, n_bytes: int) -> bytes:
    """MGF1 of RFC 8017, B.2.1."""
    n_blocks = -(-n_bytes // hashlib.sha384().digest_size)
    return b"".join(hashlib.sha384(seed + n.to_bytes(4, "big")).digest() for n in range(n_blocks))[:n_bytes]


def _number(text: str, key: RSAPublicKey) -> int:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ContractError("ticket: expected base64") from error
    number = int.from_bytes(raw, "big")
    if len(raw) != key.key_size // 8 or not 1 < number < key.public_numbers().n:
        raise ContractError(f"ticket: expected a number of {key.key_size // 8} bytes below the key's modulus")
    return number


def _text(number: int, key: RSAPublicKey) -> str:
    return base64.b64encode(number.to_bytes(key.key_size // 8, "big")).decode()
