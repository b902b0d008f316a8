"""A person allows something, or takes it back."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from projectone.contracts import endpoints
from projectone.contracts.consent import CONSENT_TEXTS, ConsentReceipt
from projectone.contracts.erasures import SignedErasure
from projectone.errors import DataError
from projectone.server.api.answers import contract_body, contract_response
from projectone.server.api.auth import SIGNED, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import services_of
from projectone.server.corpus.retention import withdraw

router = APIRouter(tags=["consents"])


@router.put(
    endpoints.CONSENTS + "/{receipt_id}",
    response_model=ConsentReceipt,
    openapi_extra=contract_body(ConsentReceipt),
    summary="Record a consent",
)
def put_consent(receipt_id: UUID, request: Request, call: Annotated[Call, Depends(SIGNED)]) -> Response:
    """200 with the consent as it stands here; what was withdrawn stays withdrawn."""
    receipt = ConsentReceipt.from_bytes(call.body.read())
    if receipt.receipt_id != receipt_id:
        raise DataError("consent-id", f"expected consent {receipt_id}, the body names {receipt.receipt_id}")
    if receipt.contributor_id != call.signer.contributor_id:
        raise Refusal(403, "contributor", "the consent names another person than the one who uses this device")
    if receipt.text_version > CONSENT_TEXTS[receipt.scope].version:
        raise DataError("consent-text", f"nobody here has seen version {receipt.text_version} of {receipt.scope!r}")
    services = services_of(request)
    kept = services.catalog.grant(receipt, services.clock())
    if receipt.withdrawn_at is not None and kept.withdrawn_at is None:
        return _withdraw(receipt_id, request, call)
    return contract_response(kept)


@router.delete(endpoints.CONSENTS + "/{receipt_id}", response_model=ConsentReceipt, summary="Withdraw a consent")
def delete_consent(receipt_id: UUID, request: Request, call: Annotated[Call, Depends(SIGNED)]) -> Response:
    """200 with the withdrawn consent; what was sent under it, and made from it, is erased when this is answered.

    Two things are not: models that were released already, and what a training run that is at work holds until it ends.
    """
    return _withdraw(receipt_id, request, call)


@router.get(
    endpoints.CONSENTS + "/{receipt_id}/erasure", response_model=SignedErasure, summary="What was erased, signed"
)
def get_erasure(receipt_id: UUID, request: Request, call: Annotated[Call, Depends(SIGNED)]) -> Response:
    """A signed `ErasureReceipt` of a withdrawn consent, made anew each time; 409 while the consent is in force."""
    signed = services_of(request).erasure(receipt_id, call.signer.contributor_id)
    if signed is None:
        raise Refusal(404, "consent-unknown", f"no consent {receipt_id} of yours is here")
    return contract_response(signed)


def _withdraw(receipt_id: UUID, request: Request, call: Call) -> Response:
    services = services_of(request)
    contributor_id = call.signer.contributor_id
    try:
        receipt = withdraw(
            services.catalog, services.blobs, receipt_id, contributor_id=contributor_id, now=services.clock()
        )
    finally:  # a clip that the disk will not let go of holds up nothing else
        services.erase_derived()
    if receipt is None:
        raise Refusal(404, "consent-unknown", f"no consent {receipt_id} of yours is here")
    return contract_response(receipt)
