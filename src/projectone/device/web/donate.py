"""Reading aloud: one sentence at a time, why this one, whether the recording is good, and the way back."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.contracts.scripts import PromptScript
from projectone.device.client import DeviceClient
from projectone.device.clips import MAX_RECORDING_BYTES
from projectone.device.donation import Finding
from projectone.device.web.answers import json_answer
from projectone.device.web.bodies import reads_bytes
from projectone.device.web.consents import purpose_of
from projectone.device.web.context import WebContext
from projectone.device.web.moments import day_shown, when_shown
from projectone.errors import DataError

GOAL: Final = 10
"""Readings a day: a sheet is in the order in which its sentences teach, and whoever reads ten reads the best ten."""


def routes(context: WebContext) -> list[Route]:
    """The page, and under /api/donation what it does: look, check, keep, skip, take back."""
    client = context.client

    def page(request: Request) -> Response:
        purpose = purpose_of(client, "voice_donation")
        # Nobody waits for a network to see what to read: new sentences are asked for once the page is there.
        state = state_of(client, is_asking=False)
        return context.page(
            request, "donate", title="Donate", purpose=purpose, state=state, when=when_shown, day=day_shown
        )

    def show(request: Request) -> Response:
        return json_answer(state_of(client, is_asking=request.query_params.get("ask") == "1"))

    def check(request: Request, wav: bytes) -> Response:
        script = _script(request, client)
        checked = client.donating.check(wav, script.text)
        finding = checked.finding
        return json_answer(
            {
                "heard": checked.heard,
                "finding": finding and {"reason": finding.reason, "advice": _advice(finding, checked.heard)},
            }
        )

    def keep(request: Request, wav: bytes) -> Response:
        script = _script(request, client)
        others_present = request.query_params.get("others") == "1"
        kept = client.donating.give(wav, script.text, script.script_id, others_present=others_present)
        facts = {"sample_id": str(kept.sample_id), "is_queued": kept.is_queued, "reason": kept.reason}
        return json_answer({**facts, "state": state_of(client)})

    def skip(request: Request) -> Response:
        client.donating.next_script(is_skipping=True, is_asking=False)
        return json_answer(state_of(client))

    def undo(request: Request) -> Response:
        undone = client.donating.undo()
        if undone is None:
            raise DataError("sample-unknown", "there is no reading to take back")
        return json_answer({"text": undone.text, "may_have_left": undone.may_have_left, "state": state_of(client)})

    clip = "/api/donation/{script_id}"
    return [
        Route("/donate", page),
        Route("/api/donation", show),
        Route("/api/donation", undo, methods=["DELETE"]),
        Route("/api/donation/skip", skip, methods=["POST"]),
        Route(f"{clip}/check", reads_bytes(check, max_bytes=MAX_RECORDING_BYTES), methods=["POST"]),
        Route(clip, reads_bytes(keep, max_bytes=MAX_RECORDING_BYTES), methods=["PUT"]),
    ]


def state_of(client: DeviceClient, *, is_asking: bool = False) -> dict[str, Any]:
    """What to read, what was read today, and what there is to take back.

    Args:
        client: The device.
        is_asking: Ask the server for new sentences, if that was not done today.
    """
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    today, ever = client.given.donations(midnight), client.given.donations()
    facts: dict[str, Any] = {
        "script": None,
        "n_read": 0,
        "n_scripts": 0,
        "is_listed": True,
        "problem": None,
        "today": {"n": today.n, "seconds": round(today.seconds, 1), "goal": GOAL},
        "ever": {"n": ever.n, "seconds": round(ever.seconds, 1)},
        "waiting": client.status().waiting,
    }
    try:
        offer = client.donating.next_script(is_asking=is_asking)
    except DataError as error:  # no sentences in this language
        return facts | {"problem": str(error)}
    if offer is None:
        return facts
    script = {"script_id": offer.script.script_id, "text": offer.script.text, "why": why_shown(offer.script)}
    counts = {"n_read": offer.n_read, "n_scripts": offer.n_scripts, "is_listed": offer.is_listed}
    return facts | {"script": script, **counts}


def why_shown(script: PromptScript) -> str:
    """The reason as a sentence."""
    why = script.why.strip().rstrip(".")
    return f"{why[:1].upper()}{why[1:]}."


def _advice(finding: Finding, heard: str | None) -> str:
    """What a person can do about it, on a page that has a button for keeping it all the same."""
    if finding.reason == "other-words":
        said = f"“{heard.strip()}”" if heard and heard.strip() else "nothing"
        return f"The model heard {said}. Read the sentence as it stands, or keep this if that is what you did."
    advice = f"{finding.advice[:1].upper()}{finding.advice[1:]}"
    return advice if advice.endswith("?") else f"{advice}."


def _script(request: Request, client: DeviceClient) -> PromptScript:
    """The sentence on the screen, which must be the one that is offered: a page may be older than that."""
    offer = client.donating.next_script(is_asking=False)
    if offer is None or offer.script.script_id != request.path_params["script_id"]:
        raise DataError("script-changed", "another sentence is to be read now: load the page again")
    return offer.script
