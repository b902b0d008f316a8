"""Long work: followed to its end, or stopped on the way."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from tests.fakes.device_rooms import tone
from tests.unit.device.web.conftest import Window

from projectone.device.heard import Heard, OnProgress
from projectone.device.transcriber import Transcriber
from projectone.device.web.jobs import Jobs, Report


def test_a_job_that_is_told_to_stop_ends_where_it_next_reports() -> None:
    jobs, reports = Jobs(), list[int]()
    is_told = threading.Event()

    def work(report: Report) -> Mapping[str, Any]:
        for number in range(3):
            reports.append(number)
            report(number, 3, "working")
            is_told.wait(20)
        return {}

    job = jobs.start("work", work)
    assert jobs.stop(job.job_id) is job
    is_told.set()
    assert job.ended.wait(20)
    assert (job.state, job.result, len(reports)) == ("stopped", None, min(len(reports), 2))
    assert jobs.stop("unknown") is None


def test_a_long_file_shows_its_minutes_and_nothing_of_it_is_kept_when_it_is_stopped(
    window: Window, monkeypatch: Any
) -> None:
    is_half, may_go_on = threading.Event(), threading.Event()

    def transcribe(self: Transcriber, samples: Any, *, on_progress: OnProgress, **_: Any) -> Heard:
        on_progress(30.0, 3600.0)
        is_half.set()
        may_go_on.wait(20)
        on_progress(60.0, 3600.0)
        raise AssertionError("it was told to stop")

    monkeypatch.setattr(Transcriber, "transcribe", transcribe)
    job = window.unguarded.post("/api/recordings", content=tone()).json()
    assert is_half.wait(20)
    seen = window.unguarded.get(f"/api/jobs/{job['id']}").json()
    assert (seen["done"], seen["total"], seen["what"]) == (30, 3600, "0 of 60 minutes are written down")
    assert window.unguarded.delete(f"/api/jobs/{job['id']}").status_code == 200
    may_go_on.set()
    while (seen := window.unguarded.get(f"/api/jobs/{job['id']}").json())["state"] == "running":
        pass
    assert seen["state"] == "stopped"
    assert window.client.recordings() == []
    assert window.unguarded.delete("/api/jobs/unknown").status_code == 404
