"""The recordings on this device, by day."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.device.library import Library, State
from projectone.device.recordings import Recording
from projectone.device.web.answers import json_answer
from projectone.device.web.context import WebContext
from projectone.device.web.stretches import Stretch, skip_of, stretch_of

_LISTED = 300  # for programs
_MOST_LETTERS = 200
_SHOWN_AS: dict[str, Callable[[Library, Recording], bool]] = {
    "unsure": lambda library, recording: _n_doubtful(recording) > 0,
    "corrected": lambda library, recording: recording.corrected_text is not None,
    "sent": lambda library, recording: library.state(recording) == "sent",
}


@dataclass(frozen=True)
class Shown:
    """A recording as a line of a list.

    Attributes:
        n_doubtful: Words that the model was not sure of and nobody has looked at.
        state: What becomes of it.
    """

    recording_id: str
    text: str
    time: str
    day: date
    duration_s: float
    is_corrected: bool
    n_doubtful: int
    state: State


@dataclass(frozen=True)
class Day:
    """The recordings of one day."""

    label: str
    recordings: list[Shown]


def routes(context: WebContext) -> list[Route]:
    """The list, as a page and as facts."""
    library = context.client.library

    def page(request: Request) -> Response:
        words = request.query_params.get("words", "")[:_MOST_LETTERS]
        kind = request.query_params.get("show", "")
        kind = kind if kind in _SHOWN_AS else ""
        stretch = _stretch(library, words, kind, skip_of(request))
        return context.page(
            request,
            "recordings",
            title=f"Recordings from number {stretch.first} on" if stretch.first > 1 else "Recordings",
            days=by_day((shown(library, recording) for recording in stretch.items), date.today()),
            stretch=stretch,
            words=words,
            kind=kind,
            is_empty=library.n_recordings() == 0,
        )

    def facts(request: Request) -> Response:
        found = library.search(request.query_params.get("words", "")[:_MOST_LETTERS], _LISTED)
        return json_answer({"recordings": [item.facts() for item in found]})

    return [Route("/recordings", page), Route("/api/recordings", facts, methods=["GET"])]


def _stretch(library: Library, words: str, kind: str, skip: int) -> Stretch[Recording]:
    is_shown = _SHOWN_AS.get(kind)
    wanted = None if is_shown is None else partial(is_shown, library)
    return stretch_of(
        lambda limit, skipped: library.search(words, limit, wanted, skip=skipped),
        skip,
        path="/recordings",
        n=None if words.strip() or kind else library.n_recordings(),
        by={"words": words, "show": kind},
    )


def shown(library: Library, recording: Recording) -> Shown:
    """What a list says about a recording, in this machine's time."""
    moment: datetime = recording.recorded_at.astimezone()
    return Shown(
        recording_id=recording.recording_id,
        text=recording.text if recording.corrected_text is None else recording.corrected_text,
        time=f"{moment:%H:%M}",
        day=moment.date(),
        duration_s=recording.duration_s,
        is_corrected=recording.corrected_text is not None,
        n_doubtful=_n_doubtful(recording),
        state=library.state(recording),
    )


def by_day(recordings: Iterable[Shown], today: date) -> list[Day]:
    """The same, under days that are named as people name them."""
    return [Day(_day_name(day, today), list(items)) for day, items in groupby(recordings, lambda item: item.day)]


def _n_doubtful(recording: Recording) -> int:
    return 0 if recording.corrected_text is not None else sum(word.is_doubtful for word in recording.words)


def _day_name(day: date, today: date) -> str:
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return f"{day:%A}, {day.day} {day:%B}" + ("" if day.year == today.year else f" {day.year}")
