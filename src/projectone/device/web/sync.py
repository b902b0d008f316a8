"""Send what waits: the job behind "Send now", and behind every "the server is told"."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.device.web.answers import job_answer
from projectone.device.web.context import WebContext
from projectone.device.web.jobs import Report


def routes(context: WebContext) -> list[Route]:
    """POST /api/sync begins it; `/api/jobs/{id}` says how far it is."""

    def work(report: Report) -> dict[str, Any]:
        done = context.client.sync(lambda n, total, what: report(n, total, f"{n} of {total}"))
        return {
            "sent": done.sent,
            "notices": done.notices,
            "refused": [{"sample_id": str(sample_id), "reason": reason} for sample_id, reason in done.refusals],
            "waiting": done.waiting,
            "problem": done.problem,
        }

    def start(request: Request) -> Response:
        return job_answer(context.jobs.start("sync", work))

    return [Route("/api/sync", start, methods=["POST"])]
