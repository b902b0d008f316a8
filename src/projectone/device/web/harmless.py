"""What the safety classifier warned of and its person says is harmless: kept here alone; shown on the page Ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.device.assistant import FROM_NOW_ON
from projectone.device.web.answers import json_answer
from projectone.device.web.bodies import reads_json, text_field
from projectone.device.web.context import WebContext


def routes(context: WebContext) -> list[Route]:
    """Under /api/harmless: what was said, POST one more text, DELETE one; both name it by its words."""
    harmless = context.client.harmless

    def show(request: Request) -> Response:
        return json_answer(_listed())

    def say(request: Request, body: Mapping[str, Any]) -> Response:
        harmless.say(text_field(body, "text"))
        return json_answer(_listed() | {"told": FROM_NOW_ON}, 201)

    def take_back(request: Request, body: Mapping[str, Any]) -> Response:
        harmless.take_back(text_field(body, "text"))
        return json_answer(_listed())

    def _listed() -> dict[str, Any]:
        return {"harmless": [item.facts() for item in harmless.listed()]}

    return [
        Route("/api/harmless", show),
        Route("/api/harmless", reads_json(say), methods=["POST"]),
        Route("/api/harmless", reads_json(take_back), methods=["DELETE"]),
    ]
