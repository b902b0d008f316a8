"""What left this device: each thing with its sound and its bytes, and the way back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.contracts.consent import ConsentReceipt
from projectone.device.client import DeviceClient
from projectone.device.outbox import Whereabouts
from projectone.device.sent import SentPoint
from projectone.device.web.answers import json_answer
from projectone.device.web.context import WebContext
from projectone.device.web.stretches import Stretch, skip_of, stretch_of

_PLACES: Final[dict[Whereabouts, tuple[str, str, str]]] = {
    "sent": ("info", "cloud", "On the server"),
    "maybe sent": ("warn", "clock", "On the way"),
    "refused": ("plain", "home", "Not taken by the server"),
    "withdrawn": ("plain", "home", "Taken back"),
    "to be deleted": ("warn", "clock", "To be deleted"),
    "deleted": ("good", "check", "Deleted on the server"),
}


@dataclass(frozen=True)
class Departed:
    """One row of the list.

    Attributes:
        item: What left.
        receipt: The consent under which it left; None if it is from another time than this device's ledger.
        is_audible: Whether its sound is still here.
    """

    item: SentPoint
    receipt: ConsentReceipt | None
    is_audible: bool

    @property
    def place(self) -> tuple[str, str, str]:
        """Whether the server has it: the kind of a badge, its sign, and words."""
        return _PLACES[self.item.whereabouts]

    @property
    def is_there(self) -> bool:
        """Whether the server has it, or may have it, and was not told to delete it."""
        return self.item.whereabouts in ("sent", "maybe sent")

    def document(self) -> dict[str, Any]:
        """For scripts."""
        point, departure = self.item.point, self.item.departure
        return {
            "sample_id": str(point.sample_id),
            "kind": point.kind,
            "text": point.text,
            "utterance": point.utterance,
            "heard": point.heard,
            "duration_s": round(point.duration_s, 3),
            "made_at": point.created_at.isoformat(),
            "left_at": departure.left_at and departure.left_at.isoformat(),
            "erased_at": departure.erased_at and departure.erased_at.isoformat(),
            "whereabouts": self.item.whereabouts,
            "receipt_id": str(departure.receipt_id),
            "is_audible": self.is_audible,
            "words_version": self.receipt.text_version if self.receipt else None,
        }


@dataclass(frozen=True)
class Departures:
    """One page of what left, the last one first, and how many of all the server has, or may have."""

    stretch: Stretch[Departed]
    n_there: int


def departures_of(client: DeviceClient, request: Request, path: str) -> Departures:
    """The page of the list that `?skip=N` names; the last one if fewer left.

    Args:
        client: What left, and under which consent.
        request: For a page.
        path: Of what shows it.
    """
    counted = client.given.departures()
    receipts = {account.receipt.receipt_id: account.receipt for account in client.consent_accounts()}

    def find(limit: int, skip: int) -> list[Departed]:
        return [
            Departed(item, receipts.get(item.departure.receipt_id), client.given.is_audible(item.point))
            for item in client.sent(limit, skip=skip)
        ]

    return Departures(stretch_of(find, skip_of(request), path=path, n=counted.n, by={}), counted.n_there)


def routes(context: WebContext) -> list[Route]:
    """Under /api/sent: the list, one's sound and bytes; DELETE one, or all."""
    client = context.client

    def show(request: Request) -> Response:
        found = departures_of(client, request, "/api/sent")
        return json_answer(
            {
                "sent": [row.document() for row in found.stretch.items],
                "n": found.stretch.n,
                "n_on_server": found.n_there,
                "earlier": found.stretch.earlier,
            }
        )

    def sound(request: Request) -> Response:
        return Response(client.given.sound(_named(request)), media_type="audio/wav")

    def letter(request: Request) -> Response:
        raw = client.given.letter(_named(request))
        return json_answer({"raw": raw.decode(), "letter": json.loads(raw) if raw else None})

    def undo(request: Request) -> Response:
        undone = client.undo(_named(request))
        return json_answer({"sample_id": str(undone.sample_id), "may_have_left": undone.may_have_left})

    def undo_all(request: Request) -> Response:
        return json_answer({"n": len(client.undo_all())})

    one = "/api/sent/{sample_id}"
    return [
        Route("/api/sent", show),
        Route("/api/sent", undo_all, methods=["DELETE"]),
        Route(one, undo, methods=["DELETE"]),
        Route(f"{one}/audio", sound),
        Route(f"{one}/letter", letter),
    ]


def _named(request: Request) -> str:
    return str(request.path_params["sample_id"])
