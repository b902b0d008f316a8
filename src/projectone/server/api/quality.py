"""What devices say of how well models hear: one class each, from some device of ours, and not from which."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from projectone.contracts import endpoints
from projectone.contracts.base import sha256_hex
from projectone.contracts.blind_signatures import public_rsa_key, verify_unblinded
from projectone.contracts.health import TicketAnswer
from projectone.contracts.quality import QualityReport, QualityTicketRequest, QualityWeek, quality_ticket_message
from projectone.server.api.answers import contract_body, contract_response, header
from projectone.server.api.auth import ANYONE, SIGNED, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import Services, services_of

router = APIRouter(tags=["quality reports"])


@router.get(
    endpoints.quality_week("{week}"), response_model=QualityWeek, summary="The key of a week's tickets, for everybody"
)
def get_week(week: str, request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """422 `week-closed` for every week but the one that is just over."""
    services = services_of(request)
    return contract_response(services.weekly_tickets.week(week, services.clock()))


@router.post(
    endpoints.QUALITY_TICKETS,
    response_model=TicketAnswer,
    openapi_extra=contract_body(QualityTicketRequest),
    summary="Have a week's ticket signed, unseen",
)
def post_ticket(request: Request, call: Annotated[Call, Depends(SIGNED)]) -> Response:
    """One for each device and week; the same again for the same request, 422 `ticket-given` for another."""
    services, wanted = services_of(request), QualityTicketRequest.from_bytes(call.body.read())
    return contract_response(services.weekly_tickets.give(wanted, call.signer.device_id, services.clock()))


@router.post(
    endpoints.QUALITY_REPORTS,
    status_code=204,
    openapi_extra=contract_body(QualityReport)
    | {"parameters": [header(endpoints.QUALITY_TICKET_HEADER, "The ticket: a signature over the body (base64)")]},
    summary="Say how well a model hears on some device",
)
def post_report(request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """204, also for what was said before; 401 without a ticket that holds. Neither name nor address is kept."""
    services, body = services_of(request), call.body.read()
    report = QualityReport.from_bytes(body)
    key = public_rsa_key(services.weekly_tickets.week(report.week, services.clock()).ticket_key)
    signature = request.headers.get(endpoints.QUALITY_TICKET_HEADER, "")
    verify_unblinded(key, quality_ticket_message(body), signature)
    _require_known(services, report)
    services.quality.keep(report, sha256_hex(body))
    return Response(status_code=204)


def _require_known(services: Services, report: QualityReport) -> None:
    """Free choice of names would be a way to say something: only those that were released are kept."""
    releases = services.ledger.releases(report.channel)
    if not any(item.manifest.version == report.model_version and report.tier in item.tiers for item in releases):
        raise Refusal(422, "release-unknown", "no such model was released in this size")
