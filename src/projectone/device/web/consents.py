"""Consent per purpose: what a page shows of it, and the two ways to change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.contracts.consent import CONSENT_SCOPES, CONSENT_TEXTS, ConsentScope
from projectone.device.client import DeviceClient
from projectone.device.web.answers import json_answer
from projectone.device.web.bodies import reads_json, switch_field
from projectone.device.web.context import WebContext
from projectone.errors import DataError

_TITLES: Final[dict[ConsentScope, str]] = {
    "corrections": "Learn from my corrections",
    "voice_donation": "Learn from what I read aloud",
    "evaluation": "Judge new models with what I sent",
    "quality": "Count how well the model hears me",
    "intents": "Learn what I mean",
    "hosted_answers": "Let a server answer what I ask",
}
OWN_PAGE: Final[frozenset[ConsentScope]] = frozenset({"quality"})
"""Purposes that are switched where one sees exactly what they send."""


@dataclass(frozen=True)
class Purpose:
    """One purpose as a person sees it.

    Attributes:
        scope: Its name.
        title: In a few words.
        text: The words that are agreed to today, whole.
        version: Of those words.
        since: The day from which people are asked in them.
        granted_at: When they were agreed to; None if they are not.
        granted_version: The version that was agreed to.
        is_adult: What the person said of themself then, or under another purpose if this one is off.
        n_earlier: Things made before, which stay here unless they are sent too.
        n_waiting: What a withdrawal would keep here.
        n_there: What a withdrawal would make the server erase.
    """

    scope: ConsentScope
    title: str
    text: str
    version: int
    since: date
    granted_at: datetime | None
    granted_version: int | None
    is_adult: bool | None
    n_earlier: int
    n_waiting: int
    n_there: int

    @property
    def is_granted(self) -> bool:
        """Whether it is allowed, in whichever words."""
        return self.granted_at is not None

    @property
    def is_outdated(self) -> bool:
        """Whether it was allowed in other words than today's: nothing is sent until it is allowed in these."""
        return self.is_granted and self.granted_version != self.version

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "scope": self.scope,
            "title": self.title,
            "text": self.text,
            "version": self.version,
            "since": self.since.isoformat(),
            "is_granted": self.is_granted,
            "is_outdated": self.is_outdated,
            "granted_at": self.granted_at and self.granted_at.isoformat(),
            "granted_version": self.granted_version,
            "is_adult": self.is_adult,
            "n_earlier": self.n_earlier,
            "n_waiting": self.n_waiting,
            "n_there": self.n_there,
        }


def purposes_of(client: DeviceClient) -> list[Purpose]:
    """Every purpose, as it stands now."""
    current = client.consents()
    accounts = {account.receipt.receipt_id: account for account in client.consent_accounts()}
    in_force = [accounts[receipt.receipt_id] for receipt in current.values() if receipt is not None]
    said = next((account.is_adult for account in in_force if account.is_adult is not None), None)
    purposes = []
    for scope in CONSENT_SCOPES:
        receipt, words = current[scope], CONSENT_TEXTS[scope]
        account = accounts[receipt.receipt_id] if receipt else None
        purposes.append(
            Purpose(
                scope=scope,
                title=_TITLES[scope],
                text=words.text,
                version=words.version,
                since=words.since,
                granted_at=receipt.granted_at if receipt else None,
                granted_version=receipt.text_version if receipt else None,
                is_adult=account.is_adult if account else said,
                n_earlier=client.n_earlier(scope),
                n_waiting=account.n_waiting if account else 0,
                n_there=account.n_there if account else 0,
            )
        )
    return purposes


def purpose_of(client: DeviceClient, scope: ConsentScope) -> Purpose:
    """One purpose, as it stands now."""
    return next(purpose for purpose in purposes_of(client) if purpose.scope == scope)


def routes(context: WebContext) -> list[Route]:
    """GET all of them, PUT one to agree to it, DELETE it to take that back."""
    client = context.client

    def show(request: Request) -> Response:
        return json_answer({"consents": [purpose.document() for purpose in purposes_of(client)]})

    def grant(request: Request, body: Mapping[str, Any]) -> Response:
        scope = _scope(request)
        version = body.get("version")
        if version != CONSENT_TEXTS[scope].version:  # they agree to what they read, and to nothing else
            raise DataError(
                "words-changed",
                f"the words are now those of version {CONSENT_TEXTS[scope].version}, not {version!r}: read them first",
            )
        granted = client.grant(
            scope,
            "web",
            is_for_earlier=switch_field(body, "is_for_earlier", False),
            is_adult=switch_field(body, "is_adult"),
        )
        return json_answer({"n_queued": granted.n_queued, "consent": purpose_of(client, scope).document()})

    def withdraw(request: Request) -> Response:
        scope = _scope(request)
        before = purpose_of(client, scope)
        receipt = client.withdraw(scope)
        facts = {
            "receipt_id": receipt and str(receipt.receipt_id),
            "n_kept": before.n_waiting,
            "n_to_erase": before.n_there,
        }
        return json_answer({**facts, "consent": purpose_of(client, scope).document()})

    path = "/api/consents/{scope}"
    return [
        Route("/api/consents", show),
        Route(path, reads_json(grant), methods=["PUT"]),
        Route(path, withdraw, methods=["DELETE"]),
    ]


def _scope(request: Request) -> ConsentScope:
    name, here = request.path_params["scope"], [scope for scope in CONSENT_SCOPES if scope not in OWN_PAGE]
    if name not in here:
        raise DataError("bad-request", f"scope: expected one of {', '.join(here)}, got {name!r}")
    return cast(ConsentScope, name)
