"""Topics `signing/requests` and `signing/documents`: what a client signs, and what it believes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.conformance.portable import bytes_of_contracts
from tests.conformance.portable.topics import Case, Mistake, Topic, Value

import projectone.contracts.signatures as signatures
import projectone.contracts.signed_bytes as signed_bytes
import projectone.contracts.signed_requests as requests
from projectone.contracts.base import sha256_hex
from projectone.contracts.checkpoints import AuditCheckpoint, SignedCheckpoint
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.corrections import Correction
from projectone.contracts.erasures import ErasureReceipt, SignedErasure
from projectone.contracts.scripts import PromptScript, ScriptSheet, SignedScripts
from projectone.contracts.uses import ModelUse, SampleUses, SignedUses
from projectone.errors import ContractError, SignatureError

SEED = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC = signed_bytes.public_key_text(KEY)
TRUSTED = {signed_bytes.key_id_of(PUBLIC): PUBLIC}
T0 = datetime(2026, 11, 22, 12, tzinfo=UTC)
SAMPLE_ID = UUID("99999999-8888-4777-8666-555555555555")

_CONSENT = ConsentReceipt.model_validate(bytes_of_contracts.RECEIPT)
_HEADER = base64.urlsafe_b64encode(Correction.model_validate(bytes_of_contracts.CORRECTION).to_bytes()).decode()


def sign(given: Value) -> Value:
    """Signature base and headers of a request."""
    arguments: dict[str, Any] = {
        "method": given["method"],
        "path": given["path"],
        "query": given["query"],
        "body": base64.b64decode(given["body"]),
        "device_id": given["device_id"],
        "created_s": given["created_s"],
        "nonce": given["nonce"],
        "sample_header": given["sample_header"],
    }
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(given["private_key"]))
    headers = requests.sign_request(key, **arguments)
    lower = {name.lower(): value for name, value in headers.items()}
    parameters = headers["Signature-Input"].removeprefix("sig1=")
    base = requests._signature_base(given["method"], given["path"], given["query"], lower, parameters)
    return {"signature_base": base.decode(), "headers": headers}


def _request(name: str, method: str, path: str, *, query: str = "", body: bytes = b"", sample_header: str = "") -> Case:
    return Case(
        name,
        {
            "private_key": SEED.hex(),
            "method": method,
            "path": path,
            "query": query,
            "body": base64.b64encode(body).decode(),
            "device_id": "d-1",
            "created_s": 1_795_348_800,
            "nonce": "AAECAwQFBgcICQoLDA0ODw",
            "sample_header": sample_header,
        },
    )


_base = requests._signature_base
REQUESTS = Topic(
    name="signing/requests",
    about=(
        "Request signatures (RFC 9421 in one fixed profile, Ed25519). `private_key` is a seed of 32 bytes in hex, "
        "`body` is base64. Ed25519 as RFC 8032 says gives these very signatures; a library that signs with fresh "
        "randomness (CryptoKit does) compares `signature_base` and lets its own signature be verified."
    ),
    run=sign,
    cases=(
        _request("no body and no query", "GET", "/v1/samples/99999999-8888-4777-8666-555555555555"),
        _request("a query", "GET", "/v1/scripts", query="language=de"),
        _request("a consent", "PUT", f"/v1/consents/{_CONSENT.receipt_id}", body=_CONSENT.to_bytes()),
        _request("a sample with its header", "PUT", f"/v1/samples/{SAMPLE_ID}", body=b"RIFF", sample_header=_HEADER),
        _request("a deletion", "DELETE", f"/v1/samples/{SAMPLE_ID}"),
        _request("bytes that are no text", "POST", "/v1/health/tickets", body=bytes(range(256))),
    ),
    mistakes=(
        Mistake("no question mark", requests, "_signature_base", lambda *a: _base(*a).replace(b": ?", b": ")),
        Mistake("no sample header", requests, "_signature_base", lambda m, p, q, h, s: _base(
            m, p, q, {**h, "x-sample": ""}, s)),
        Mistake("no query", requests, "_signature_base", lambda m, p, q, h, s: _base(m, p, "", h, s)),
        Mistake("a newline at the end", requests, "_signature_base", lambda *a: _base(*a) + b"\n"),
        Mistake("the digest in hex", requests, "content_digest", lambda body: f"sha-256=:{sha256_hex(body)}:"),
    ),
)  # fmt: skip


VERIFY: dict[str, tuple[type[Any], Callable[..., Any]]] = {
    "erasure": (SignedErasure, signatures.verify_erasure),
    "checkpoint": (SignedCheckpoint, signatures.verify_checkpoint),
    "scripts": (SignedScripts, signatures.verify_scripts),
    "uses": (SignedUses, lambda trusted, signed: signatures.verify_uses(trusted, signed)[0]),
}


def verify(given: Value) -> Value:
    """What was signed, or why it is not believed."""
    kind, verified = VERIFY[given["kind"]]
    try:
        return {"value": verified(given["trusted"], kind.model_validate(given["signed"])).model_dump(mode="json")}
    except SignatureError:
        return {"refused": "signature"}
    except ContractError:
        return {"refused": "contract"}


ERASURE = ErasureReceipt(
    receipt_id=_CONSENT.receipt_id,
    contributor_id="c-7f3a",
    scope="corrections",
    granted_at=T0,
    withdrawn_at=T0.replace(day=24),
    issued_at=T0.replace(day=25),
    n_samples=3,
    is_complete=True,
    limits=("Models are not edited.",),
)
_SHEET = ScriptSheet(
    language="en",
    made_at=T0,
    scripts=(PromptScript(script_id="s-1", text="The quick brown fox.", why="for the letters"),),
)
_CHECKPOINT = AuditCheckpoint(n_entries=2, head_sha256="ab" * 32, merkle_root="cd" * 32, made_at=T0)
_USES = SampleUses(
    sample_id=SAMPLE_ID,
    issued_at=T0,
    models=(ModelUse(channel="stable", version="1.0.0", weights_sha256="ef" * 32, released_at=T0),),
    n_releases=1,
)
_ERASURE = signatures.sign_erasure(KEY, ERASURE).model_dump()
_SCRIPTS = signatures.sign_scripts(KEY, _SHEET).model_dump()
_SPELT_OTHERWISE = (
    _ERASURE["signature"][:-3] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[_ERASURE["signature"][-3]] + "=="
)
_OTHER_CONTENT = base64.b64encode(ERASURE.model_copy(update={"n_samples": 0}).to_bytes()).decode()
_NO_RECEIPT = {"receipt": base64.b64encode(b"{}").decode()} | signed_bytes.signed_by(
    KEY, b"{}", context=b"projectone erasure receipt 1\n"
)


def _document(name: str, kind: str, signed: Value, trusted: Value = TRUSTED) -> Case:
    return Case(name, {"kind": kind, "trusted": trusted, "signed": signed})


DOCUMENTS = Topic(
    name="signing/documents",
    about=(
        "Documents that the server signs: `signed` holds the exact bytes in base64 (`receipt`, `sheet`, `checkpoint` "
        "or `uses`), the key's id (the first 16 hex digits of SHA-256 over the raw public key) and an Ed25519 "
        "signature over a context line and these bytes. The lines: `projectone erasure receipt 1`, `projectone script "
        "sheet 1`, `projectone audit checkpoint 1`, `projectone uses of a sample 1`, each with a newline. `trusted` "
        "maps key ids to raw public keys in base64. Base64 has one spelling: a signature in another one is refused."
    ),
    run=verify,
    cases=(
        _document("an erasure", "erasure", _ERASURE),
        _document("scripts", "scripts", _SCRIPTS),
        _document("a checkpoint", "checkpoint", signatures.sign_checkpoint(KEY, _CHECKPOINT).model_dump()),
        _document("uses of a sample", "uses", signatures.sign_uses(KEY, _USES).model_dump()),
        _document("other bytes than were signed", "erasure", _ERASURE | {"receipt": _OTHER_CONTENT}),
        _document("a key that nobody trusts", "erasure", _ERASURE, {"0" * 16: PUBLIC}),
        _document("another trusted key", "erasure", _ERASURE | {"key_id": "0" * 16}, TRUSTED | {
            "0" * 16: signed_bytes.public_key_text(Ed25519PrivateKey.from_private_bytes(bytes(32)))}),
        _document("a signature without a context", "erasure", {"receipt": _ERASURE["receipt"]} | signed_bytes.signed_by(
            KEY, ERASURE.to_bytes())),
        _document("a sheet in the place of a receipt", "erasure", {
            "receipt": _SCRIPTS["sheet"], "key_id": _SCRIPTS["key_id"], "signature": _SCRIPTS["signature"]}),
        _document("a signature in another spelling", "erasure", _ERASURE | {"signature": _SPELT_OTHERWISE}),
        _document("a signature that is cut", "erasure", _ERASURE | {"signature": _ERASURE["signature"][:-4]}),
        _document("well signed, and no receipt", "erasure", _NO_RECEIPT),
    ),
    mistakes=(
        Mistake("the signature is not looked at", signed_bytes, "check_signature", lambda *_, **__: None),
        Mistake("no context", signatures.ERASURE, "context", b""),
        Mistake("one context for all", signatures.ERASURE, "context", signatures.SCRIPTS.context),
        Mistake("any key at all", signed_bytes, "_trusted_key", lambda trusted, key_id, **_: next(
            iter(trusted.values()))),
    ),
)  # fmt: skip
