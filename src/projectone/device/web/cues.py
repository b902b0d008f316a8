"""The sounds of the app, and the switch for them in the frame of every page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.device.web.answers import json_answer
from projectone.device.web.bodies import reads_json, switch_field
from projectone.device.web.context import WebContext
from projectone.device.web.sounds import sound_answer


def routes(context: WebContext) -> list[Route]:
    """GET and PUT /api/cues: the switch; GET /api/cues/NAME: the sound."""
    cues = context.client.cues

    def show(request: Request) -> Response:
        return json_answer({"is_on": cues.is_on, "cues": dict(cues.meanings())})

    def switch(request: Request, body: Mapping[str, Any]) -> Response:
        cues.switch(is_on=switch_field(body, "is_on"))
        return json_answer({"is_on": cues.is_on})

    def sound(request: Request) -> Response:
        wav = cues.wav(request.path_params["name"])
        answer = sound_answer(request, len(wav), lambda start, n_bytes: iter((wav[start : start + n_bytes],)))
        answer.headers["cache-control"] = "no-cache"  # a page of an older version must not keep an older sound
        return answer

    return [
        Route("/api/cues", show, methods=["GET"]),
        Route("/api/cues", reads_json(switch), methods=["PUT"]),
        Route("/api/cues/{name}", sound),
    ]
