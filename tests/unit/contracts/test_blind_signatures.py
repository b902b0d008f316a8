"""A signature that its maker cannot recognise, checked by OpenSSL's own RSA-PSS."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA384

from projectone.contracts.blind_signatures import (
    blind,
    public_rsa_key,
    rsa_key_text,
    sign_blinded,
    unblind,
    verify_unblinded,
)
from projectone.contracts.health import ticket_message
from projectone.errors import ContractError, SignatureError

MESSAGE = ticket_message("stable", 7, "ab" * 32)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_what_is_unblinded_is_an_ordinary_signature(key: rsa.RSAPrivateKey) -> None:
    public = public_rsa_key(rsa_key_text(key.public_key()))
    blinded, unblinder = blind(public, MESSAGE)
    signature = unblind(public, MESSAGE, sign_blinded(key, blinded), unblinder)
    key.public_key().verify(base64.b64decode(signature), MESSAGE, padding.PSS(padding.MGF1(SHA384()), 48), SHA384())
    for other in (ticket_message("stable", 8, "ab" * 32), ticket_message("stable", 7, "ac" * 32)):
        with pytest.raises(SignatureError):
            verify_unblinded(public, other, signature)


def test_the_encoding_is_the_one_that_openssl_signs(key: rsa.RSAPrivateKey) -> None:
    numbers = key.public_key().public_numbers()
    theirs = key.sign(MESSAGE, padding.PSS(padding.MGF1(SHA384()), 48), SHA384())
    encoded = pow(int.from_bytes(theirs, "big"), numbers.e, numbers.n).to_bytes(256, "big")
    # EM = maskedDB || H || bc: the salt is what the mask hides at the end of DB.
    mask_seed, masked = encoded[-49:-1], encoded[:-49]
    mask = b"".join(_sha384(mask_seed + n.to_bytes(4, "big")) for n in range(5))[: len(masked)]
    salt = bytes(a ^ b for a, b in zip(masked, mask, strict=True))[-48:]
    blinded, _ = blind(key.public_key(), MESSAGE, salt=salt, factor=1)
    assert base64.b64decode(blinded) == encoded


def test_two_requests_for_one_message_have_nothing_in_common(key: rsa.RSAPrivateKey) -> None:
    public = key.public_key()
    requests = {blind(public, MESSAGE, salt=bytes(48))[0] for _ in range(20)}
    assert len(requests) == 20
    # For every request there is a factor that makes it one for any other message: it tells the signer nothing.
    (blinded, unblinder), (plain, _) = blind(public, MESSAGE), blind(public, b"another", salt=bytes(48), factor=1)
    n, e = public.public_numbers().n, public.public_numbers().e
    signed_blinded, signed_plain = (
        int.from_bytes(base64.b64decode(sign_blinded(key, x)), "big") for x in (blinded, plain)
    )
    factor = signed_blinded * pow(signed_plain, -1, n) % n
    assert int.from_bytes(base64.b64decode(plain), "big") * pow(factor, e, n) % n == int.from_bytes(
        base64.b64decode(blinded), "big"
    )
    assert unblinder != 1


def test_another_key_of_the_server_is_noticed(key: rsa.RSAPrivateKey) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    blinded, unblinder = blind(key.public_key(), MESSAGE)
    number = int.from_bytes(base64.b64decode(blinded), "big")
    if number < other.public_key().public_numbers().n:
        with pytest.raises(SignatureError):
            unblind(key.public_key(), MESSAGE, _fit(sign_blinded(other, blinded), key), unblinder)


def test_what_is_no_number_of_the_key_is_not_signed(key: rsa.RSAPrivateKey) -> None:
    for wrong in (b"", b"\1", b"\xff" * 256, bytes(255) + b"\1", bytes(300)):
        with pytest.raises(ContractError):
            sign_blinded(key, base64.b64encode(wrong).decode())
    with pytest.raises(ContractError):
        public_rsa_key(base64.b64encode(b"no key").decode())


def _fit(signature: str, key: rsa.RSAPrivateKey) -> str:
    number = int.from_bytes(base64.b64decode(signature), "big") % key.public_key().public_numbers().n
    return base64.b64encode(number.to_bytes(256, "big")).decode()


def _sha384(content: bytes) -> bytes:
    return hashlib.sha384(content).digest()
