"""Ed25519 over requests (RFC 9421, one fixed profile).

A request is signed over its method, path and query, the digest of its body, the device and the sample header, the
time and a nonce. The profile is small on purpose: one algorithm, one fixed list of components, so that the signature
base has exactly one form and a client in another language can build it from this page.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from projectone.contracts.endpoints import DEVICE_ID_HEADER, SAMPLE_HEADER
from projectone.contracts.signed_bytes import check_signature
from projectone.errors import SignatureError

# A phone may sign on Friday and send on Monday; replays create nothing, so the window is the longest queue we accept.
MAX_REQUEST_AGE_S = 30 * 24 * 3600
MAX_CLOCK_AHEAD_S = 10 * 60

_COMPONENTS = '("@method" "@path" "@query" "content-digest" "x-device-id" "x-sample")'
_INPUT = re.compile(
    r'^sig1=\("@method" "@path" "@query" "content-digest" "x-device-id" "x-sample"\)'
    r';created=(\d{1,12});nonce="([A-Za-z0-9_-]{16,64})";keyid="([A-Za-z0-9._-]{1,96})";alg="ed25519"$'
)
_SIGNATURE = re.compile(r"^sig1=:([A-Za-z0-9+/]{86}==):$")


def content_digest(body: bytes) -> str:
    """The `Content-Digest` header (RFC 9530) of a body."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


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
        raise SignatureError(
            "request: expected Signature-Input and Signature in the form of contracts/signed_requests.py"
        )
    created_s, nonce, key_id = int(parsed[1]), parsed[2], parsed[3]
    if headers.get("x-device-id") != key_id:
        raise SignatureError("request: the signing key and the device header name different devices")
    if headers.get("content-digest") != body_digest:
        raise SignatureError("request: the body is not the one that was signed")
    if not now_s - MAX_REQUEST_AGE_S <= created_s <= now_s + MAX_CLOCK_AHEAD_S:
        raise SignatureError(f"request: signed at {created_s}, outside the accepted window around {now_s}")
    parameters = headers["signature-input"].removeprefix("sig1=")
    base = _signature_base(method, path, query, headers, parameters)
    check_signature(public_key, found[1], base, what="request")
    return VerifiedRequest(device_id=key_id, created_s=created_s, nonce=nonce)
