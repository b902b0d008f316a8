"""The first page: say something, or drop files, and see the last recordings."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.device.clips import MAX_RECORDING_BYTES
from projectone.device.heard import OnProgress
from projectone.device.web.answers import job_answer
from projectone.device.web.bodies import reads_bytes
from projectone.device.web.context import WebContext
from projectone.device.web.jobs import Report
from projectone.device.web.shelf import shown
from projectone.device.web.speaking import unfinished_shown

_LATEST = 5


def minutes_shown(report: Report) -> OnProgress:
    """Of a long recording: how many minutes of how many are written down."""

    def show(done_s: float, total_s: float) -> None:
        report(round(done_s), round(total_s), f"{done_s / 60:.0f} of {total_s / 60:.0f} minutes are written down")

    return show


def routes(context: WebContext) -> list[Route]:
    """The page, and where files are dropped."""

    def page(request: Request) -> Response:
        client = context.client
        return context.page(
            request,
            "record",
            title="Record",
            latest=[shown(client.library, recording) for recording in client.recordings(_LATEST)],
            unfinished=[unfinished_shown(item) for item in client.live.unfinished()],
            has_model=client.status().model_version is not None,
        )

    def take_in(request: Request, wav: bytes) -> Response:
        def transcribe(report: Report) -> dict[str, object]:
            report(0, 0, "Listening to the file")
            return context.client.transcribe(wav, on_progress=minutes_shown(report)).facts()

        return job_answer(context.jobs.start("transcribe", transcribe, is_alone=False))

    return [
        Route("/", page),
        Route("/api/recordings", reads_bytes(take_in, max_bytes=MAX_RECORDING_BYTES), methods=["POST"]),
    ]
