"""What devices report of a release: counts, from some device of ours, and not from which."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from projectone.contracts import endpoints
from projectone.contracts.blind_signatures import public_rsa_key, verify_unblinded
from projectone.contracts.health import HealthReport, TicketAnswer, TicketRequest, ticket_message
from projectone.contracts.releases import ReleaseManifest
from projectone.server.api.answers import contract_body, contract_response
from projectone.server.api.auth import ANYONE, SIGNED, Call
from projectone.server.api.problems import Refusal
from projectone.server.api.services import Services, services_of

router = APIRouter(tags=["health reports"])


@router.post(
    endpoints.HEALTH_TICKETS,
    response_model=TicketAnswer,
    openapi_extra=contract_body(TicketRequest),
    summary="Have a ticket signed, unseen",
)
def post_ticket(request: Request, call: Annotated[Call, Depends(SIGNED)]) -> Response:
    """One for each device, release and side; the same again for the same request, 409 `ticket-given` for another."""
    services, wanted = services_of(request), TicketRequest.from_bytes(call.body.read())
    manifest = _release(services, wanted.channel, wanted.seq)
    return contract_response(services.tickets.give(wanted, call.signer.device_id, _ticket_key(manifest)))


@router.post(
    endpoints.HEALTH_REPORTS,
    status_code=204,
    openapi_extra=contract_body(HealthReport),
    summary="Say how a release does on some device",
)
def post_report(request: Request, call: Annotated[Call, Depends(ANYONE)]) -> Response:
    """204, also for what was said before; 401 without a ticket that holds. Neither name nor address is kept."""
    services, report = services_of(request), HealthReport.from_bytes(call.body.read())
    manifest = _release(services, report.channel, report.seq)
    key = public_rsa_key(_ticket_key(manifest))
    verify_unblinded(key, ticket_message(report.channel, report.seq, report.ticket.serial), report.ticket.signature)
    release = services.ledger.newest(report.channel)
    # Free choice of names would be a way to say something: only those of this release are kept.
    if release is None or report.tier not in release.tiers:
        raise Refusal(422, "tier-unknown", "this release has no such tier")
    services.health.keep(report, services.clock())
    return Response(status_code=204)


def _release(services: Services, channel: str, seq: int) -> ReleaseManifest:
    """The newest release of the channel, if it is the one that is meant: nobody has anything to say of others."""
    release = services.ledger.newest(channel)
    if release is None or release.manifest.seq != seq:
        raise Refusal(404, "release-unknown", f"release {seq} is not the newest of this channel")
    return release.manifest


def _ticket_key(manifest: ReleaseManifest) -> str:
    if manifest.rollout is None or not manifest.rollout.ticket_key:
        raise Refusal(404, "no-rollout", f"nothing is asked about release {manifest.seq}")
    return manifest.rollout.ticket_key
