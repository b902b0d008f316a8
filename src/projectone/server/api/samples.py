"""One sample in, and what became of it. A 2xx means that it is on the disk."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from projectone.contracts import endpoints
from projectone.contracts.assist import UTTERANCE_MEDIA_TYPE, IntentCorrection, clean_label, clean_utterance
from projectone.contracts.corrections import Correction
from projectone.contracts.texts import clean_transcript
from projectone.contracts.uploads import SampleDeletion, SampleState, UploadReceipt
from projectone.contracts.uses import SignedUses
from projectone.errors import ContractError, DataError
from projectone.server.api.answers import contract_response, header, raw_body
from projectone.server.api.auth import SIGNED, SIGNED_SAMPLE, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import Services, services_of
from projectone.server.corpus.payloads import Given
from projectone.server.corpus.retention import delete_sample
from projectone.server.devices.catalog import Device

router = APIRouter(tags=["samples"])

_SAMPLE_BODY = {
    **raw_body("audio/wav", UTTERANCE_MEDIA_TYPE),
    "parameters": [
        header(endpoints.SAMPLE_HEADER, "The `Correction` or `IntentCorrection` as canonical JSON in base64url"),
        header("Content-Digest", "SHA-256 of the body (RFC 9530)"),
    ],
}


@router.put(
    endpoints.SAMPLES + "/{sample_id}",
    status_code=201,
    response_model=UploadReceipt,
    openapi_extra=_SAMPLE_BODY,
    summary="Send one sample",
)
def put_sample(sample_id: UUID, request: Request, call: Annotated[Call, Depends(SIGNED_SAMPLE)]) -> Response:
    """201 with a receipt; the same request again gives the same receipt with 200.

    The body of a `Correction` is its recording, that of an `IntentCorrection` its sentence in UTF-8.
    """
    sample = read_sample(_decode_header(request.headers.get(endpoints.SAMPLE_HEADER, "")))
    if sample.sample_id != sample_id:
        raise DataError("sample-id", f"expected sample {sample_id}, the header names {sample.sample_id}")
    content, sha256 = call.body.read(), call.body_sha256
    receipt, is_new = accept(services_of(request), sample, content, call.signer, sha256=sha256)
    return contract_response(receipt, status=201 if is_new else 200)


@router.get(endpoints.SAMPLES + "/{sample_id}", response_model=SampleState, summary="What became of a sample")
def get_sample(sample_id: UUID, request: Request, call: Annotated[Call, Depends(SIGNED)]) -> Response:
    """Only for the person who sent it; everybody else gets 404."""
    state = services_of(request).catalog.state_of(sample_id, call.signer.contributor_id)
    if state is None:
        raise Refusal(404, "sample-unknown", f"no sample {sample_id} of yours is here")
    return contract_response(state)


@router.get(
    endpoints.SAMPLES + "/{sample_id}/uses", response_model=SignedUses, summary="Which models learned from a sample"
)
def get_uses(sample_id: UUID, request: Request, call: Annotated[Call, Depends(SIGNED)]) -> Response:
    """A signed `SampleUses`, made anew each time: a proof for each of the newest releases, to be checked anywhere.

    Only for the person who sent the sample, also after it was erased; everybody else gets 404.
    """
    services = services_of(request)
    if services.catalog.state_of(sample_id, call.signer.contributor_id) is None:
        raise Refusal(404, "sample-unknown", f"no sample {sample_id} of yours is here")
    return contract_response(services.uses(sample_id))


@router.delete(endpoints.SAMPLES + "/{sample_id}", response_model=SampleDeletion, summary="Take one sample back")
def remove_sample(sample_id: UUID, request: Request, call: Annotated[Call, Depends(SIGNED)]) -> Response:
    """200 once the sample, and every dataset that named it, is erased; the consent stays, and the same again is 200.

    One that never came is answered alike, and refused (410) if it comes later: an undo may overtake its upload. A
    sample of somebody else is one that never came. As with a withdrawal, models that learned from it are replaced
    later.
    """
    services = services_of(request)
    try:
        since = delete_sample(services.catalog, services.blobs, sample_id, contributor_id=call.signer.contributor_id)
    finally:  # a clip that the disk will not let go of holds up nothing else
        services.erase_derived()
    return contract_response(SampleDeletion(sample_id=sample_id, deleted_at=since))


def accept(
    services: Services, sample: Given, content: bytes, device: Device, *, sha256: str | None = None
) -> tuple[UploadReceipt, bool]:
    """Take in one sample for the person whose device it is; `sha256` is that of `content`, if it is known.

    Raises:
        Refusal: 403 if the sample names another person.
        DataError: ``minor``, ``voice-minor``, ``voice-others`` where people said so: nothing of it is kept.
        DataError, ConsentError, StorageError: as `Intake.accept`.
    """
    if sample.contributor_id != device.contributor_id:
        raise Refusal(403, "contributor", "the sample names another person than the one who uses this device")
    sample.require_usable()
    return services.intake.accept(sample, content, device.device_id, sha256=sha256)


def read_sample(content: bytes) -> Given:
    """The metadata of a sample; which contract it keeps, its `kind` says.

    Raises:
        DataError: ``text-*`` or ``label`` if a word breaks the policy.
        ContractError: if it is no sample.
    """
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ContractError("sample: expected a JSON object in UTF-8") from error
    stated = document if isinstance(document, dict) else {}
    is_intent = stated.get("kind") == "intent"
    # For their own reasons, which the contract's report would swallow.
    if isinstance(stated.get("text"), str):
        (clean_utterance if is_intent else clean_transcript)(stated["text"])
    if is_intent and isinstance(stated.get("label"), str):
        clean_label(stated["label"])
    return IntentCorrection.from_bytes(content) if is_intent else Correction.from_bytes(content)


def _decode_header(text: str) -> bytes:
    if not text:
        raise Refusal(400, "sample-header", f"expected a {endpoints.SAMPLE_HEADER} header")
    if len(text) > endpoints.MAX_SAMPLE_HEADER_BYTES:
        limit = endpoints.MAX_SAMPLE_HEADER_BYTES
        raise Refusal(413, "sample-header", f"expected at most {limit} bytes of {endpoints.SAMPLE_HEADER}")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, "sample-header", f"{endpoints.SAMPLE_HEADER}: expected base64url") from error
