"""The page about what leaves: every purpose, everything that was sent, and what the server signed about erasing it."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.contracts.audio import MAX_CLIP_S
from projectone.contracts.erasures import ERASURE_LIMITS
from projectone.device.client import DeviceClient
from projectone.device.web.consents import OWN_PAGE, purposes_of
from projectone.device.web.context import WebContext
from projectone.device.web.departures import departures_of
from projectone.device.web.moments import day_shown, when_shown
from projectone.device.web.proofs import erasure_lines
from projectone.errors import ArtifactError, SettingsError

_SHOWN_QUESTIONS: Final = 20


def routes(context: WebContext) -> list[Route]:
    """The page alone; what its buttons do lies in `consents`, `departures` and `sync`."""

    def show(request: Request) -> Response:
        return context.page(request, "privacy", title="Privacy", **privacy_facts(context.client, request))

    return [Route("/privacy", show)]


def privacy_facts(client: DeviceClient, request: Request) -> dict[str, Any]:
    """What the page shows."""
    device, purposes = client.status(), purposes_of(client)
    departures = departures_of(client, request, "/privacy")
    return {
        "purposes": [purpose for purpose in purposes if purpose.scope not in OWN_PAGE],
        "elsewhere": [purpose for purpose in purposes if purpose.scope in OWN_PAGE],
        "departures": departures.stretch,
        "n_there": departures.n_there,
        "device": device,
        "questions": client.answers.sent(_SHOWN_QUESTIONS),
        "erased": _erased(client),
        "limits": ERASURE_LIMITS,
        "longest_s": MAX_CLIP_S,
        "when": when_shown,
        "day": day_shown,
    }


def _erased(client: DeviceClient) -> dict[str, Any]:
    """The receipts, each checked; or why they could not be."""
    try:
        receipts = client.erasures()
    except (SettingsError, ArtifactError) as error:
        return {"receipts": [], "problem": str(error)}
    return {"receipts": [(receipt, erasure_lines(receipt)) for receipt in receipts], "problem": None}
