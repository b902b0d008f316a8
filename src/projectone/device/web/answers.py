"""What the API answers: JSON, or the address of a job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from projectone.device.web.jobs import Job


def json_answer(facts: Mapping[str, Any], status: int = 200) -> Response:
    """Facts as JSON."""
    return Response(json.dumps(facts, allow_nan=False), status, media_type="application/json")


def job_answer(job: Job) -> Response:
    """The work goes on: 202, and where to ask how far it is."""
    answer = json_answer(job.document(), 202)
    answer.headers["location"] = f"/api/jobs/{job.job_id}"
    return answer
