"""The Hub's webhook: a push there starts the conversion elsewhere, where the operator has set that up."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from projectone.errors import SignatureError, TransportError
from projectone.server.api.auth import Call, Policy
from projectone.server.api.problems import RETRY_AFTER_S, Refusal
from projectone.server.api.services import services_of

router = APIRouter(tags=["hub"])

_EVENT = Policy(frozenset({"public"}), max_body_bytes=32 * 1024)  # the secret is checked before anything is read


class EventAnswer(BaseModel):
    """What became of an event."""

    outcome: Literal["dispatched", "seen", "ignored"]


@router.post("/v1/hub-events", summary="A push to the Hub")
async def take_event(
    request: Request,
    call: Annotated[Call, Depends(_EVENT)],
    x_webhook_secret: Annotated[str, Header(max_length=256)] = "",
) -> EventAnswer:
    """Start the conversion of the commit, once: an event that is sent again changes nothing.

    Raises:
        Refusal: if there is no such webhook here, the secret is another one, or GitHub did not take it.
        ContractError: if the body is no event.
    """
    events = services_of(request).hub_events
    if events is None:
        raise Refusal(404, "no-webhook", "this server's own worker converts; no webhook is set up")
    try:
        outcome = await run_in_threadpool(events.take, x_webhook_secret, call.body.read())
    except SignatureError as error:
        raise Refusal(401, "webhook-secret", str(error)) from error
    except TransportError as error:
        raise Refusal(502, "dispatch", str(error), retry_after_s=RETRY_AFTER_S) from error
    return EventAnswer(outcome=outcome)
