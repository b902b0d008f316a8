"""A device introduces itself."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from projectone.contracts import endpoints
from projectone.contracts.devices import Enrolment, EnrolmentReceipt
from projectone.server.api.answers import contract_body, contract_response
from projectone.server.api.auth import ANYONE, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import services_of

router = APIRouter(tags=["devices"])


@router.post(
    endpoints.DEVICES,
    status_code=201,
    response_model=EnrolmentReceipt,
    openapi_extra=contract_body(Enrolment),
    summary="Make a device known",
)
def enrol(request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """201 for a new device, 200 for the same again, 409 for a name that another key has, 403 for a wrong code.

    An address makes so many devices known in an hour, and then gets 429.
    """
    services = services_of(request)
    enrolment = Enrolment.from_bytes(call.body.read())
    failed = services.quotas.failed_enrolments
    if (wait_s := failed.take(call.address, is_counted=False)) is not None:
        raise Refusal(429, "quota", "too many wrong enrolment codes from this address", retry_after_s=wait_s)
    is_right = hmac.compare_digest(enrolment.enrolment_code.encode(errors="replace"), services.enrolment_code.encode())
    if not services.enrolment_code or not is_right:
        failed.take(call.address)
        raise Refusal(403, "enrolment-code", "this is not the enrolment code; `projectone-server init` shows it")
    if services.devices.find(enrolment.device_id) is None:
        wait_s = services.quotas.new_devices.take(call.address)
        if wait_s is not None:
            raise Refusal(429, "quota", "too many new devices from this address", retry_after_s=wait_s)
    found = services.devices.enrol(enrolment, services.clock())
    if found is None:
        raise Refusal(409, "device-known", f"the name {enrolment.device_id!r} belongs to another key; choose a new one")
    device, is_new = found
    if is_new:
        services.clusters.note(device.contributor_id, call.address, device.enrolled_at)
    receipt = EnrolmentReceipt(device_id=device.device_id, enrolled_at=device.enrolled_at)
    return contract_response(receipt, status=201 if is_new else 200)
