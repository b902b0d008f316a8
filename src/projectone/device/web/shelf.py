"""The recordings on this device, by day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.device.recordings import Recording
from projectone.device.web.answers import json_answer
from projectone.device.web.context import WebContext

_LISTED = 500


@dataclass(frozen=True)
class Shown:
    """A recording as a line of a list."""

    recording_id: str
    text: str
    time: str
    day: date
    duration_s: float
    is_corrected: bool


@dataclass(frozen=True)
class Day:
    """The recordings of one day."""

    label: str
    recordings: list[Shown]


def routes(context: WebContext) -> list[Route]:
    """The list, as a page and as facts."""

    def page(request: Request) -> Response:
        recordings = [shown(recording) for recording in context.client.recordings(_LISTED)]
        return context.page(request, "recordings", title="Recordings", days=by_day(recordings, date.today()))

    def listed(request: Request) -> Response:
        return json_answer({"recordings": [recording_facts(item) for item in context.client.recordings(_LISTED)]})

    return [Route("/recordings", page), Route("/api/recordings", listed, methods=["GET"])]


def shown(recording: Recording) -> Shown:
    """What a list says about a recording, in this machine's time."""
    moment: datetime = recording.recorded_at.astimezone()
    return Shown(
        recording_id=recording.recording_id,
        text=recording.text if recording.corrected_text is None else recording.corrected_text,
        time=f"{moment:%H:%M}",
        day=moment.date(),
        duration_s=recording.duration_s,
        is_corrected=recording.corrected_text is not None,
    )


def recording_facts(recording: Recording) -> dict[str, Any]:
    """A recording for scripts."""
    return {
        "recording_id": recording.recording_id,
        "text": recording.text,
        "corrected_text": recording.corrected_text,
        "model_version": recording.model_version,
        "duration_s": round(recording.duration_s, 3),
        "recorded_at": recording.recorded_at.isoformat(),
    }


def by_day(recordings: Iterable[Shown], today: date) -> list[Day]:
    """The same, under days that are named as people name them."""
    return [Day(_day_name(day, today), list(items)) for day, items in groupby(recordings, lambda item: item.day)]


def _day_name(day: date, today: date) -> str:
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return f"{day:%A}, {day.day} {day:%B}" + ("" if day.year == today.year else f" {day.year}")
