"""Topics `health/blinding` and `health/tickets`: signatures that cannot be traced to whom they were made for."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers
from tests.conformance.portable.topics import Case, Mistake, Topic, Value

import projectone.contracts.blind_signatures as blind_signatures
import projectone.contracts.quality as quality
from projectone.contracts.blind_signatures import blind, public_rsa_key, rsa_key_text, sign_blinded, unblind
from projectone.contracts.health import ticket_message
from projectone.contracts.quality import QualityReport
from projectone.errors import ContractError, SignatureError

_P = int(
    "fb39e8b2aef8e31e70c3674ca2f233d062cef4c2f74c5e25210171d1389c71d5463ee8e343908d3cfc512ef8e755abb10bcf"
    "480f8d473568bcf69ddbb6548051251c70b380b98971ce1d6d24c4832e5d94fb0e5853325b2b7ca7ab58ec430eaf235f2088"
    "2d48886acdebfa0e1085be3ba8f0de76ad7df2fdb371922d8c0704a3",
    16,
)
_Q = int(
    "c8338b1db2019c7abcf7c345e57d41e22fcd6c7e57005dbf9d338ccb169fdc58cfb2677d59de67b32cc4f03f3e8c24a20add"
    "28f4a27d0c07842aac6cea76ae8dff7f621a5a0faa508133b0d2f4b612fd5495df5a27f231bad6a8aadd5812f9ce24750245"
    "3195146d1c13ea49146d76c6f9f7dbeb25761632b9571020e8e6f75f",
    16,
)
_E = 65_537
_D = pow(_E, -1, (_P - 1) * (_Q - 1))
PRIVATE = RSAPrivateNumbers(
    _P, _Q, _D, _D % (_P - 1), _D % (_Q - 1), pow(_Q, -1, _P), RSAPublicNumbers(_E, _P * _Q)
).private_key()
PUBLIC = rsa_key_text(PRIVATE.public_key())
_SERIAL, _SALT = "5a" * 32, bytes(range(48)).hex()
_FACTOR = f"{(1 << 2000) + 12345:x}"


def blinding(given: Value) -> Value:
    """What is sent to be signed."""
    key = public_rsa_key(given["ticket_key"])
    message = ticket_message(given["channel"], given["seq"], given["serial"])
    blinded, _ = blind(key, message, salt=bytes.fromhex(given["salt"]), factor=int(given["factor"], 16))
    return {"message": message.decode(), "blinded": blinded}


def ticket(given: Value) -> Value:
    """The ticket that comes of the server's answer, or that none does."""
    key = public_rsa_key(given["ticket_key"])
    message = ticket_message(given["channel"], given["seq"], given["serial"])
    unblinder = pow(int(given["factor"], 16), -1, key.public_numbers().n)
    try:
        return {"signature": unblind(key, message, given["blind_signature"], unblinder)}
    except SignatureError:
        return {"refused": "signature"}
    except ContractError:
        return {"refused": "contract"}


def _asked(channel: str = "stable", seq: int = 7, salt: str = _SALT, factor: str = _FACTOR) -> Value:
    return {
        "ticket_key": PUBLIC, "channel": channel, "seq": seq, "serial": _SERIAL, "salt": salt, "factor": factor,
    }  # fmt: skip


def _answered(name: str, answer: str, **changes: object) -> Case:
    asked = {key: value for key, value in _asked().items() if key != "salt"}
    return Case(name, asked | {"blind_signature": answer} | changes)


_GOOD = sign_blinded(PRIVATE, blinding(_asked())["blinded"])
_OTHER = base64.b64encode(bytes([base64.b64decode(_GOOD)[0] ^ 1]) + base64.b64decode(_GOOD)[1:]).decode()
_encode, _mask = blind_signatures._encode_pss, blind_signatures._mask

BLINDING = Topic(
    name="health/blinding",
    about=(
        "RSABSSA-SHA384-PSS-Deterministic (RFC 9474). `ticket_key` is an RSA public key (DER, base64). The message is "
        "`projectone-health-ticket-v1:<channel>:<seq>:<serial>`; `salt` (48 bytes) and `factor` are hex here and "
        "random in life. Expected: the message and the blinded number, base64 of as many bytes as the modulus."
    ),
    run=blinding,
    cases=(
        Case("a ticket", _asked()),
        Case("another channel", _asked(channel="beta")),
        Case("another release", _asked(seq=8)),
        Case("another salt", _asked(salt="00" * 48)),
        Case("a factor of one shows the encoding itself", _asked(factor="1")),
    ),
    mistakes=(
        Mistake("one bit too many", blind_signatures, "_encode_pss", lambda m, n, s: _encode(m, n + 1, s)),
        Mistake("the mask of another seed", blind_signatures, "_mask", lambda seed, n: _mask(seed[::-1], n)),
        Mistake("no salt", blind_signatures, "_encode_pss", lambda m, n, s: _encode(m, n, bytes(48))),
    ),
)
TICKETS = Topic(
    name="health/tickets",
    about=(
        "The server's answer `blind_signature` and the factor of before give a ticket: an RSA-PSS signature (SHA-384, "
        "salt of 48 bytes) over the message. It is verified before it is kept."
    ),
    run=ticket,
    cases=(
        _answered("a good answer", _GOOD),
        _answered("one bit is wrong", _OTHER),
        _answered("the answer is about another release", _GOOD, seq=8),
        _answered("another factor", _GOOD, factor=f"{(1 << 2000) + 12347:x}"),
        _answered("too short", base64.b64encode(b"abc").decode()),
        _answered("the number one", base64.b64encode(bytes(255) + b"\1").decode()),
        _answered("above the modulus", base64.b64encode(b"\xff" * 256).decode()),
    ),
    mistakes=(
        Mistake("kept unseen", blind_signatures, "verify_unblinded", lambda *_: None),
        Mistake("any number", blind_signatures, "_number", lambda text, key: int.from_bytes(
            base64.b64decode(text), "big") % key.public_numbers().n),
    ),
)  # fmt: skip


def weekly(given: Value) -> Value:
    """The body of a report, and what is signed for it."""
    body = QualityReport.model_validate(given["report"]).to_bytes()
    message = quality.quality_ticket_message(body)
    salt, factor = bytes.fromhex(given["salt"]), int(given["factor"], 16)
    blinded, _ = blind(public_rsa_key(given["ticket_key"]), message, salt=salt, factor=factor)
    return {"body": body.decode(), "message": message.decode(), "blinded": blinded}


def _report(name: str, **changes: object) -> Case:
    report: Value = {
        "week": "2026-W47", "channel": "stable", "model_version": "1.2.0", "tier": "float16", "app_version": "0.1.0",
        "histogram": "duration", "answer": 3, "nonce": "0f" * 32,
    }  # fmt: skip
    asked = {key: _asked()[key] for key in ("ticket_key", "salt", "factor")}
    return Case(name, {"report": report | changes} | asked)


def _over_the_week(body: bytes) -> bytes:
    return f"projectone-quality-ticket-v1:{QualityReport.from_bytes(body).week}".encode()


WEEKLY = Topic(
    name="quality/tickets",
    about=(
        "A report of one week (QualityReport) goes without a name, behind a ticket that was signed blindly over its "
        "very bytes: the message is `projectone-quality-ticket-v1:` and SHA-256 of the body in hex. Blinding as in "
        "health/blinding."
    ),
    run=weekly,
    cases=(
        _report("a week"),
        _report("another answer is another ticket", answer=4),
        _report("another question", histogram="real_time"),
        _report("about a classifier", channel="stable.intents", edges_version=2, histogram="sketch", answer=6),
        _report("a week's corrections", channel="stable.intents", edges_version=3, histogram="corrected", answer=3),
        _report("a week's warnings", channel="stable.safety", edges_version=4, histogram="warned", answer=1),
        _report("another nonce", nonce="0e" * 32),
    ),
    mistakes=(
        Mistake("the week alone", quality, "quality_ticket_message", _over_the_week),
        Mistake("the bytes themselves", quality, "quality_ticket_message", lambda body: body),
        Mistake("as a health ticket", quality, "quality_ticket_message", lambda body: ticket_message(
            "stable", 7, quality.sha256_hex(body))),
    ),
)  # fmt: skip
