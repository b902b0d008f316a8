import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.releases import a_manifest

from projectone.contracts.base import canonical_json
from projectone.contracts.erasures import ErasureReceipt, SignedErasure
from projectone.contracts.releases import ReleaseFile, ReleaseManifest
from projectone.contracts.signatures import (
    MAX_REQUEST_AGE_S,
    content_digest,
    key_id_of,
    public_key_text,
    sign_erasure,
    sign_request,
    verify_erasure,
    verify_request,
)
from projectone.errors import ContractError, SignatureError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW = 1_800_000_000
BODY = b"RIFF and so on"


def signed(**changes: object) -> dict[str, str]:
    arguments: dict[str, object] = {
        "method": "PUT",
        "path": "/v1/samples/1",
        "body": BODY,
        "device_id": "device-1",
        "created_s": NOW,
        "sample_header": "e30",
        "nonce": "n" * 22,
    } | changes
    headers = sign_request(KEY, **arguments)  # type: ignore[arg-type]
    return {name.lower(): value for name, value in headers.items()}


def verify(
    headers: dict[str, str],
    *,
    method: str = "PUT",
    path: str = "/v1/samples/1",
    query: str = "",
    body: bytes = BODY,
    now_s: int = NOW,
) -> str:
    return verify_request(
        public_key_text(KEY),
        method=method,
        path=path,
        query=query,
        headers=headers,
        body_digest=content_digest(body),
        now_s=now_s,
    ).device_id


def test_a_signed_request_names_its_device() -> None:
    assert verify(signed()) == "device-1"


@pytest.mark.parametrize(
    "change",
    [{"method": "DELETE"}, {"path": "/v1/samples/2"}, {"query": "force=1"}, {"body": BODY + b" "}],
    ids=["method", "path", "query", "body"],
)
def test_a_request_changed_on_the_way_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(SignatureError):
        verify(signed(), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("header", ["content-digest", "x-device-id", "x-sample", "signature-input", "signature"])
def test_a_changed_header_is_refused(header: str) -> None:
    headers = signed()
    headers[header] = headers[header][:-2] + ("A" if headers[header][-2] != "A" else "B") + headers[header][-1]
    with pytest.raises(SignatureError):
        verify(headers)


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 63), flip=st.integers(1, 255))
def test_no_other_signature_holds(position: int, flip: int) -> None:
    import base64

    headers = signed()
    raw = bytearray(base64.b64decode(headers["signature"].removeprefix("sig1=:").removesuffix(":")))
    raw[position] ^= flip
    headers["signature"] = f"sig1=:{base64.b64encode(bytes(raw)).decode()}:"
    with pytest.raises(SignatureError):
        verify(headers)


def test_an_upload_signed_three_weeks_ago_is_still_good() -> None:
    assert verify(signed(created_s=NOW - 21 * 86400)) == "device-1"


@pytest.mark.parametrize("created_s", [NOW - MAX_REQUEST_AGE_S - 1, NOW + 3600])
def test_a_request_from_too_long_ago_or_from_the_future_is_refused(created_s: int) -> None:
    with pytest.raises(SignatureError, match="window"):
        verify(signed(created_s=created_s))


def test_a_manifest_with_an_unknown_field_is_refused() -> None:
    content = json.loads(a_manifest().to_bytes()) | {"surprise": 1}
    with pytest.raises(ContractError, match="surprise"):
        ReleaseManifest.from_bytes(json.dumps(content).encode())


def test_a_file_name_with_a_folder_in_it_is_no_release_file() -> None:
    with pytest.raises(ValueError, match="path"):
        ReleaseFile(path="../evil", sha256="d" * 64, size_bytes=1)


MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
RECEIPT = ErasureReceipt(
    receipt_id=UUID(int=7),
    contributor_id="c-1",
    scope="corrections",
    granted_at=MOMENT,
    withdrawn_at=MOMENT,
    issued_at=MOMENT,
    n_samples=3,
    is_complete=True,
)
TRUSTED = {key_id_of(public_key_text(KEY)): public_key_text(KEY)}


def test_an_erasure_receipt_is_read_by_whoever_knows_the_key() -> None:
    assert verify_erasure(TRUSTED, sign_erasure(KEY, RECEIPT)) == RECEIPT
    with pytest.raises(SignatureError, match="signed by"):
        verify_erasure({}, sign_erasure(KEY, RECEIPT))


def test_an_app_of_before_memories_were_counted_reads_a_receipt_that_has_none() -> None:
    signed = sign_erasure(KEY, RECEIPT)
    assert "n_memories" not in json.loads(base64.b64decode(signed.receipt))
    known = set(ErasureReceipt.model_fields) - {"n_memories"}  # to an app of before, any other field is a stranger
    assert set(json.loads(base64.b64decode(signed.receipt))) == known
    counted = RECEIPT.model_copy(update={"n_memories": 2})
    assert verify_erasure(TRUSTED, sign_erasure(KEY, counted)) == counted
    spelt_out = json.loads(RECEIPT.to_bytes()) | {"n_memories": 0}  # as a server may have written it
    assert ErasureReceipt.from_bytes(canonical_json(spelt_out)) == RECEIPT


def test_every_flipped_bit_of_an_erasure_receipt_is_noticed() -> None:
    signed = sign_erasure(KEY, RECEIPT)
    content = base64.b64decode(signed.receipt)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        forged = signed.model_copy(update={"receipt": base64.b64encode(changed).decode()})
        with pytest.raises(SignatureError):
            verify_erasure(TRUSTED, forged)


def test_a_signature_over_the_bytes_alone_does_not_make_a_receipt() -> None:
    content = RECEIPT.to_bytes()
    forged = SignedErasure(
        receipt=base64.b64encode(content).decode(),
        key_id=next(iter(TRUSTED)),
        signature=base64.b64encode(KEY.sign(content)).decode(),
    )
    with pytest.raises(SignatureError, match="does not hold"):
        verify_erasure(TRUSTED, forged)
