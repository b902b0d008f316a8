"""What is being said now, as the Record page sends it: pieces of sound in, the text so far out."""

from __future__ import annotations

import re
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.device.live import Unfinished
from projectone.device.web.answers import job_answer, json_answer
from projectone.device.web.bodies import reads_bytes
from projectone.device.web.context import WebContext, duration_shown
from projectone.device.web.jobs import Report
from projectone.errors import DataError

# Half a minute: a page that could not reach us for a while sends what it held in larger pieces.
_MAX_PIECE_BYTES = 30 * 32_000


def routes(context: WebContext) -> list[Route]:
    """Under /api/live: begin, append, text so far, finish, discard."""
    live = context.client.live

    def begin(request: Request) -> Response:
        return json_answer({"live_id": live.begin()}, 201)

    def append(request: Request, piece: bytes) -> Response:
        offset = request.query_params.get("offset", "")
        if re.fullmatch("[0-9]{1,15}", offset) is None:
            raise DataError("bad-request", f"offset: expected the number of bytes before this piece, got {offset!r}")
        return json_answer(asdict(live.append(request.path_params["live_id"], int(offset), piece)))

    def partial(request: Request) -> Response:
        heard = live.partial(request.path_params["live_id"])
        return json_answer({**asdict(heard), "text": heard.text})

    def finish(request: Request) -> Response:
        live_id = request.path_params["live_id"]

        def write_down(report: Report) -> dict[str, object]:
            report(0, 0, "Writing it down")
            return live.finish(live_id).facts()

        return job_answer(context.jobs.start(f"finish-{live_id}", write_down))

    def discard(request: Request) -> Response:
        live.discard(request.path_params["live_id"])
        return Response(status_code=204)

    return [
        Route("/api/live", begin, methods=["POST"]),
        Route("/api/live/{live_id}", reads_bytes(append, max_bytes=_MAX_PIECE_BYTES), methods=["PUT"]),
        Route("/api/live/{live_id}", discard, methods=["DELETE"]),
        Route("/api/live/{live_id}/partial", partial),
        Route("/api/live/{live_id}/finish", finish, methods=["POST"]),
    ]


def unfinished_shown(item: Unfinished) -> dict[str, str]:
    """What was cut off, as the page offers it."""
    moment = item.began_at.astimezone()
    return {
        "live_id": item.live_id,
        "began": f"{moment:%A} {moment.day} {moment:%B}, {moment:%H:%M}",
        "length": duration_shown(item.seconds),
    }
