"""What was meant: ask, see the answer, say whether it was right, and take that back or forget it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.contracts.assist import NONE_OF_THESE, sure_shown
from projectone.device.assistant import FROM_NOW_ON, Understood
from projectone.device.web.answers import json_answer
from projectone.device.web.bodies import optional_text_field, reads_json, text_field
from projectone.device.web.context import WebContext
from projectone.device.web.moments import day_shown, when_shown
from projectone.errors import DataError

_LISTED: Final = 50
_FATES: Final[dict[str | None, str]] = {
    "waiting": "It waits to be sent.",
    "sending": "It waits to be sent.",
    "sent": "It was sent, as you allowed.",
    "refused": "The server did not take it.",
}


def routes(context: WebContext) -> list[Route]:
    """The page; under /api/ask what was asked, POST a text or a recording, PUT what was meant, DELETE that or all."""
    client = context.client

    def page(request: Request) -> Response:
        return context.page(
            request,
            "ask",
            title="Ask",
            version=client.status().intents_version,
            is_allowed=client.consents()["intents"] is not None,
            asked=client.assist.newest(_LISTED),
            harmless=client.harmless.listed(),
            from_now_on=FROM_NOW_ON,
            day=day_shown,
            meaning=meaning_words,
            fate=fate_words,
            when=when_shown,
            none_of_these=NONE_OF_THESE,
        )

    def show(request: Request) -> Response:
        return json_answer({"asked": [_document(item) for item in client.assist.newest(_LISTED)]})

    def labels(request: Request) -> Response:
        return json_answer({"labels": list(client.assist.labels())})

    def ask(request: Request, body: Mapping[str, Any]) -> Response:
        if "recording" in body:
            found = client.assist.understand_recording(text_field(body, "recording"))
        else:
            found = client.assist.understand(text_field(body, "text"))
        choice = client.replies.to(found.asked)
        return json_answer({**_document(found), "reply": choice and choice.facts()}, 201)

    def correct(request: Request, body: Mapping[str, Any]) -> Response:
        if "label" not in body:
            raise DataError("bad-request", "label: expected the name of an intent, or null")
        client.assist.correct(_named(request), optional_text_field(body, "label"))
        return json_answer(_document(client.assist.asked(_named(request))))

    def take_back(request: Request) -> Response:
        undone = client.undo(client.assist.undo(_named(request)))
        return json_answer({"may_have_left": undone.may_have_left})

    def forget(request: Request) -> Response:
        return json_answer({"forgotten": client.forget_asked(request.path_params.get("ask_id"))})

    one = "/api/ask/{ask_id}"
    return [
        Route("/ask", page),
        Route("/api/ask", show),
        Route("/api/ask", reads_json(ask), methods=["POST"]),
        Route("/api/ask", forget, methods=["DELETE"]),
        Route("/api/ask/labels", labels),
        Route(one, forget, methods=["DELETE"]),
        Route(f"{one}/meaning", reads_json(correct), methods=["PUT"]),
        Route(f"{one}/meaning", take_back, methods=["DELETE"]),
    ]


def meaning_words(item: Understood) -> str:
    """The classifier's answer as a sentence."""
    asked = item.asked
    if asked.label is None:
        return f"It means none of what the classifier knows. Nearest, and too far: {asked.nearest}."
    return f"It is {sure_shown(asked.probability)} sure of this."


def fate_words(item: Understood) -> str:
    """What becomes of what the person said they meant."""
    return _FATES.get(item.state, "It stays on this device.")


def _document(item: Understood) -> dict[str, Any]:
    return item.facts() | {"state": item.state}


def _named(request: Request) -> str:
    return str(request.path_params["ask_id"])
