"""The user's names and words: where each came from, whether it is leaned towards, and the way off the list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.device.client import DeviceClient
from projectone.device.vocabulary import Term
from projectone.device.web.answers import json_answer
from projectone.device.web.bodies import reads_json, switch_field, text_field
from projectone.device.web.context import WebContext
from projectone.device.web.moments import day_shown


def routes(context: WebContext) -> list[Route]:
    """The page; under /api/vocabulary the list, POST a term, PUT, DELETE or put back one, PUT the list on or off."""
    client = context.client

    def page(request: Request) -> Response:
        vocabulary = client.vocabulary
        return context.page(
            request,
            "vocabulary",
            title="Vocabulary",
            terms=vocabulary.list(),
            is_on=vocabulary.is_on,
            most=vocabulary.max_terms,
            longest=vocabulary.max_characters,
            day=day_shown,
            origin=origin_words,
            deeds=deed_words,
        )

    def show(request: Request) -> Response:
        return json_answer(_document(client))

    def switch_all(request: Request, body: Mapping[str, Any]) -> Response:
        client.vocabulary.switch_all(is_on=switch_field(body, "is_on"))
        return json_answer({"is_on": client.vocabulary.is_on})

    def add(request: Request, body: Mapping[str, Any]) -> Response:
        return json_answer(client.vocabulary.add(text_field(body, "text")).facts(), 201)

    def switch(request: Request, body: Mapping[str, Any]) -> Response:
        return json_answer(client.vocabulary.switch(_named(request), is_on=switch_field(body, "is_on")).facts())

    def remove(request: Request) -> Response:
        return json_answer(client.vocabulary.remove(_named(request)).facts())

    def restore(request: Request) -> Response:
        # Without a body: what comes back is what was removed here, not what a page says that it was.
        return json_answer(client.vocabulary.restore(_named(request)).facts(), 201)

    one = "/api/vocabulary/{term:path}"
    return [
        Route("/vocabulary", page),
        Route("/api/vocabulary", show),
        Route("/api/vocabulary", reads_json(switch_all), methods=["PUT"]),
        Route("/api/vocabulary", reads_json(add), methods=["POST"]),
        Route(one, reads_json(switch), methods=["PUT"]),
        Route(one, remove, methods=["DELETE"]),
        Route(one, restore, methods=["POST"]),
    ]


def origin_words(term: Term) -> str:
    """Where a term came from."""
    return "Learned from a correction" if term.origin == "learned" else "Added by you"


def deed_words(term: Term) -> str:
    """What it did since, and why it is off, if it is."""
    helped = {0: "", 1: "It helped once. ", 2: "It helped twice. "}.get(
        term.n_helped, f"It helped {term.n_helped} times. "
    )
    return helped if term.is_active else f"{helped}Off: {term.off_because}."


def _document(client: DeviceClient) -> dict[str, Any]:
    return {"is_on": client.vocabulary.is_on, "terms": [term.facts() for term in client.vocabulary.list()]}


def _named(request: Request) -> str:
    return str(request.path_params["term"])
