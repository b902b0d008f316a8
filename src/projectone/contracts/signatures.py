"""Ed25519 over canonical bytes (releases, erasure receipts, snapshots) and over requests (RFC 9421, one fixed profile).

A request is signed over its method, path and query, the digest of its body, the device and the sample header, the
time and a nonce. The profile is small on purpose: one algorithm, one fixed list of components, so that the signature
base has exactly one form and a client in another language can build it from this page.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from projectone.contracts.base import sha256_hex
from projectone.contracts.checkpoints import AuditCheckpoint, SignedCheckpoint
from projectone.contracts.endpoints import DEVICE_ID_HEADER, SAMPLE_HEADER
from projectone.contracts.erasures import ErasureReceipt, SignedErasure
from projectone.contracts.releases import ReleaseManifest, SignedManifest
from projectone.contracts.scripts import ScriptSheet, SignedScripts
from projectone.contracts.snapshots import SignedSnapshot, SnapshotManifest, is_member
from projectone.contracts.uses import SampleUses, SignedUses
from projectone.errors import ContractError, SignatureError

# A phone may sign on Friday and send on Monday; replays create nothing, so the window is the longest queue we accept.
MAX_REQUEST_AGE_S = 30 * 24 * 3600
MAX_CLOCK_AHEAD_S = 10 * 60

_COMPONENTS = '("@method" "@path" "@query" "content-digest" "x-device-id" "x-sample")'
_INPUT = re.compile(
    r'^sig1=\("@method" "@path" "@query" "content-digest" "x-device-id" "x-sample"\)'
    r';created=(\d{1,12});nonce="([A-Za-z0-9_-]{16,64})";keyid="([A-Za-z0-9._-]{1,96})";alg="ed25519"$'
)
# Signed before the receipt's bytes, so that no signature over anything else can pass for one over a receipt.
_ERASURE_CONTEXT = b"projectone erasure receipt 1\n"
_SNAPSHOT_CONTEXT = b"projectone dataset snapshot 1\n"
_SCRIPTS_CONTEXT = b"projectone script sheet 1\n"
_CHECKPOINT_CONTEXT = b"projectone audit checkpoint 1\n"
_USES_CONTEXT = b"projectone uses of a sample 1\n"
_SIGNATURE = re.compile(r"^sig1=:([A-Za-z0-9+/]{86}==):$")


def content_digest(body: bytes) -> str:
    """The `Content-Digest` header (RFC 9530) of a body."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def public_key_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """The raw public key, base64."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return base64.b64encode(public.public_bytes_raw()).decode()


def key_id_of(public_key: str) -> str:
    """A key's short name: the first 16 hexadecimal digits of its digest."""
    return sha256_hex(base64.b64decode(public_key))[:16]


def _signature_base(method: str, path: str, query: str, headers: Mapping[str, str], parameters: str) -> bytes:
    lines = [
        f'"@method": {method}',
        f'"@path": {path}',
        f'"@query": ?{query}',
        f'"content-digest": {headers["content-digest"]}',
        f'"x-device-id": {headers["x-device-id"]}',
        f'"x-sample": {headers.get("x-sample", "")}',
        f'"@signature-params": {parameters}',
    ]
    return "\n".join(lines).encode()


def sign_request(
    key: Ed25519PrivateKey,
    *,
    method: str,
    path: str,
    body: bytes,
    device_id: str,
    created_s: int,
    query: str = "",
    sample_header: str = "",
    nonce: str | None = None,
) -> dict[str, str]:
    """The headers that sign one request.

    Args:
        key: The device's private key.
        method: HTTP method.
        path: Path without the query.
        body: The whole body; empty for none.
        device_id: Who is calling.
        created_s: Unix time in seconds.
        query: The query without its question mark.
        sample_header: Value of the sample header, if the request carries one.
        nonce: For tests; random otherwise.

    Source: RFC 9421 sections 2 and 3.1, RFC 9530.
    """
    nonce = nonce or secrets.token_urlsafe(16)
    parameters = f'{_COMPONENTS};created={created_s};nonce="{nonce}";keyid="{device_id}";alg="ed25519"'
    signed = {"content-digest": content_digest(body), "x-device-id": device_id, "x-sample": sample_header}
    signature = key.sign(_signature_base(method.upper(), path, query, signed, parameters))
    headers = {
        "Content-Digest": signed["content-digest"],
        DEVICE_ID_HEADER: device_id,
        "Signature-Input": f"sig1={parameters}",
        "Signature": f"sig1=:{base64.b64encode(signature).decode()}:",
    }
    if sample_header:
        headers[SAMPLE_HEADER] = sample_header
    return headers


@dataclass(frozen=True)
class VerifiedRequest:
    """A request whose signature holds: who sent it and when it was signed."""

    device_id: str
    created_s: int
    nonce: str


def verify_request(
    public_key: str,
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body_digest: str,
    now_s: int,
) -> VerifiedRequest:
    """Who signed this request.

    Args:
        public_key: The device's raw public key, base64.
        method: HTTP method as received: case counts (RFC 9421 section 2.2.1).
        path: Path as received, undecoded.
        query: Query as received, without its question mark.
        headers: Request headers with lower-case names.
        body_digest: `content_digest` of the body that really arrived.
        now_s: Unix time in seconds.

    Raises:
        SignatureError: if the signature does not hold, or is too old or from the future.
    """
    parsed = _INPUT.match(headers.get("signature-input", ""))
    found = _SIGNATURE.match(headers.get("signature", ""))
    if parsed is None or found is None:
        raise SignatureError("request: expected Signature-Input and Signature in the form of contracts/signatures.py")
    created_s, nonce, key_id = int(parsed[1]), parsed[2], parsed[3]
    if headers.get("x-device-id") != key_id:
        raise SignatureError("request: the signing key and the device header name different devices")
    if headers.get("content-digest") != body_digest:
        raise SignatureError("request: the body is not the one that was signed")
    if not now_s - MAX_REQUEST_AGE_S <= created_s <= now_s + MAX_CLOCK_AHEAD_S:
        raise SignatureError(f"request: signed at {created_s}, outside the accepted window around {now_s}")
    parameters = headers["signature-input"].removeprefix("sig1=")
    base = _signature_base(method, path, query, headers, parameters)
    _check(public_key, found[1], base, what="request")
    return VerifiedRequest(device_id=key_id, created_s=created_s, nonce=nonce)


def sign_manifest(key: Ed25519PrivateKey, manifest: ReleaseManifest) -> SignedManifest:
    """The manifest's canonical bytes and the signature over them."""
    content = manifest.to_bytes()
    return SignedManifest(
        manifest=base64.b64encode(content).decode(),
        key_id=key_id_of(public_key_text(key)),
        signature=base64.b64encode(key.sign(content)).decode(),
    )


def verify_manifest(trusted: Mapping[str, str], signed: SignedManifest) -> ReleaseManifest:
    """The manifest, if a key we trust signed exactly these bytes.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server sent.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
        ContractError: if the signed bytes are not a manifest.
    """
    content = _signed_bytes(trusted, signed.key_id, signed.manifest, signed.signature, what="release")
    return ReleaseManifest.from_bytes(content)


def sign_erasure(key: Ed25519PrivateKey, receipt: ErasureReceipt) -> SignedErasure:
    """The receipt's canonical bytes and the signature over them."""
    content = receipt.to_bytes()
    return SignedErasure(
        receipt=base64.b64encode(content).decode(),
        key_id=key_id_of(public_key_text(key)),
        signature=base64.b64encode(key.sign(_ERASURE_CONTEXT + content)).decode(),
    )


def verify_erasure(trusted: Mapping[str, str], signed: SignedErasure) -> ErasureReceipt:
    """The receipt, if a key we trust signed exactly these bytes as a receipt.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server sent.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
        ContractError: if the signed bytes are not a receipt.
    """
    content = _signed_bytes(
        trusted, signed.key_id, signed.receipt, signed.signature, context=_ERASURE_CONTEXT, what="erasure receipt"
    )
    return ErasureReceipt.from_bytes(content)


def sign_snapshot(key: Ed25519PrivateKey, manifest: SnapshotManifest) -> SignedSnapshot:
    """The manifest's canonical bytes and the signature over them."""
    content = manifest.to_bytes()
    return SignedSnapshot(
        manifest=base64.b64encode(content).decode(),
        key_id=key_id_of(public_key_text(key)),
        signature=base64.b64encode(key.sign(_SNAPSHOT_CONTEXT + content)).decode(),
    )


def verify_snapshot(trusted: Mapping[str, str], signed: SignedSnapshot) -> SnapshotManifest:
    """The manifest, if a key we trust signed exactly these bytes as one of a snapshot.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server made.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
        ContractError: if the signed bytes are not such a manifest.
    """
    content = _signed_bytes(
        trusted, signed.key_id, signed.manifest, signed.signature, context=_SNAPSHOT_CONTEXT, what="snapshot"
    )
    return SnapshotManifest.from_bytes(content)


def sign_checkpoint(key: Ed25519PrivateKey, checkpoint: AuditCheckpoint) -> SignedCheckpoint:
    """The checkpoint's canonical bytes and the signature over them."""
    content = checkpoint.to_bytes()
    return SignedCheckpoint(
        checkpoint=base64.b64encode(content).decode(),
        key_id=key_id_of(public_key_text(key)),
        signature=base64.b64encode(key.sign(_CHECKPOINT_CONTEXT + content)).decode(),
    )


def verify_checkpoint(trusted: Mapping[str, str], signed: SignedCheckpoint) -> AuditCheckpoint:
    """The checkpoint, if a key we trust signed exactly these bytes as one of an audit log.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server made.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
        ContractError: if the signed bytes are not a checkpoint.
    """
    content = _signed_bytes(
        trusted, signed.key_id, signed.checkpoint, signed.signature, context=_CHECKPOINT_CONTEXT, what="checkpoint"
    )
    return AuditCheckpoint.from_bytes(content)


def sign_uses(key: Ed25519PrivateKey, uses: SampleUses) -> SignedUses:
    """The canonical bytes and the signature over them."""
    content = uses.to_bytes()
    return SignedUses(
        uses=base64.b64encode(content).decode(),
        key_id=key_id_of(public_key_text(key)),
        signature=base64.b64encode(key.sign(_USES_CONTEXT + content)).decode(),
    )


def verify_uses(trusted: Mapping[str, str], signed: SignedUses) -> tuple[SampleUses, tuple[bool | None, ...]]:
    """What was signed, and for each model whether it learned from the sample, each proof checked; None where none is.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server sent.

    Raises:
        SignatureError: if the key is unknown or a signature does not hold.
        ContractError: if the signed bytes are something else, or a proof does not show what it says.
    """
    content = _signed_bytes(
        trusted, signed.key_id, signed.uses, signed.signature, context=_USES_CONTEXT, what="uses of a sample"
    )
    uses = SampleUses.from_bytes(content)
    learned: list[bool | None] = []
    for model in uses.models:
        if model.proof is None:
            learned.append(None if model.snapshot_missing else False)
            continue
        if model.proof.sample_id != uses.sample_id:
            raise ContractError(f"proof: expected one about {uses.sample_id}, got one about {model.proof.sample_id}")
        learned.append(is_member(model.proof, verify_snapshot(trusted, model.proof.snapshot)))
    return uses, tuple(learned)


def sign_scripts(key: Ed25519PrivateKey, sheet: ScriptSheet) -> SignedScripts:
    """The sheet's canonical bytes and the signature over them."""
    content = sheet.to_bytes()
    return SignedScripts(
        sheet=base64.b64encode(content).decode(),
        key_id=key_id_of(public_key_text(key)),
        signature=base64.b64encode(key.sign(_SCRIPTS_CONTEXT + content)).decode(),
    )


def verify_scripts(trusted: Mapping[str, str], signed: SignedScripts) -> ScriptSheet:
    """The sheet, if a key we trust signed exactly these bytes as a sheet.

    Args:
        trusted: Key id to raw public key, base64.
        signed: What the server sent.

    Raises:
        SignatureError: if the key is unknown or the signature does not hold.
        ContractError: if the signed bytes are not a sheet.
    """
    content = _signed_bytes(
        trusted, signed.key_id, signed.sheet, signed.signature, context=_SCRIPTS_CONTEXT, what="scripts"
    )
    return ScriptSheet.from_bytes(content)


def _signed_bytes(
    trusted: Mapping[str, str], key_id: str, text: str, signature: str, *, what: str, context: bytes = b""
) -> bytes:
    """The bytes in `text` (base64), if a key we trust signed exactly these in this context."""
    public_key = _trusted_key(trusted, key_id, what=what)
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise SignatureError(f"{what}: what was signed is not base64") from error
    _check(public_key, signature, context + content, what=what)
    return content


def _trusted_key(trusted: Mapping[str, str], key_id: str, *, what: str) -> str:
    public_key = trusted.get(key_id)
    if public_key is None:
        raise SignatureError(f"{what}: signed by {key_id!r}, expected one of {sorted(trusted)}")
    return public_key


def _check(public_key: str, signature: str, content: bytes, *, what: str) -> None:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        raw = base64.b64decode(signature, validate=True)
        if base64.b64encode(raw).decode() != signature:
            raise ValueError("a signature has one spelling")  # the last digit's spare bits are not ours to ignore
        key.verify(raw, content)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError(f"{what}: the signature does not hold") from error
