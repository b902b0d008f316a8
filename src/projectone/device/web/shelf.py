"""The recordings on this device, by day."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.device.library import Library, State
from projectone.device.recordings import Recording
from projectone.device.web.answers import json_answer
from projectone.device.web.context import WebContext

_ON_A_PAGE = 30
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


@dataclass(frozen=True)
class Stretch:
    """One page of the list, the newest first; and what is before and after it.

    Attributes:
        recordings: Of this page.
        first: The number of the first of them, from 1 on.
        n: How many there are on all pages; None where that was not counted.
        has_earlier: Whether there is a page of what was said before.
        find: What they were found by, as an address has it.
    """

    recordings: list[Recording]
    first: int
    n: int | None
    has_earlier: bool
    find: dict[str, str]

    @property
    def last(self) -> int:
        """The number of the last recording of this page."""
        return self.first + len(self.recordings) - 1

    @property
    def earlier(self) -> str | None:
        """Where the page of what was said before goes on."""
        return self._address(self.last) if self.has_earlier else None

    @property
    def later(self) -> str | None:
        """Where the page of what was said after begins."""
        return self._address(max(0, self.first - 1 - _ON_A_PAGE)) if self.first > 1 else None

    def _address(self, skip: int) -> str:
        query = urlencode(
            {name: value for name, value in self.find.items() if value} | ({"skip": skip} if skip else {})
        )
        return f"/recordings?{query}" if query else "/recordings"


def routes(context: WebContext) -> list[Route]:
    """The list, as a page and as facts."""
    library = context.client.library

    def page(request: Request) -> Response:
        words = request.query_params.get("words", "")[:_MOST_LETTERS]
        kind = request.query_params.get("show", "")
        kind = kind if kind in _SHOWN_AS else ""
        stretch = _stretch(library, words, kind, _number(request.query_params.get("skip", "")))
        return context.page(
            request,
            "recordings",
            title=f"Recordings from number {stretch.first} on" if stretch.first > 1 else "Recordings",
            days=by_day((shown(library, recording) for recording in stretch.recordings), date.today()),
            stretch=stretch,
            words=words,
            kind=kind,
            is_empty=library.n_recordings() == 0,
        )

    def facts(request: Request) -> Response:
        found = library.search(request.query_params.get("words", "")[:_MOST_LETTERS], _LISTED)
        return json_answer({"recordings": [item.facts() for item in found]})

    return [Route("/recordings", page), Route("/api/recordings", facts, methods=["GET"])]


def _stretch(library: Library, words: str, kind: str, skip: int) -> Stretch:
    """The page that leaves out so many of the newest; the first one if there are not so many."""
    is_shown = _SHOWN_AS.get(kind)
    wanted = None if is_shown is None else partial(is_shown, library)
    # One more than is shown tells whether there are more.
    found = library.search(words, _ON_A_PAGE + 1, wanted, skip=skip)
    if skip and not found:
        return _stretch(library, words, kind, 0)
    n = None if words.strip() or kind else library.n_recordings()
    return Stretch(found[:_ON_A_PAGE], skip + 1, n, len(found) > _ON_A_PAGE, {"words": words, "show": kind})


def _number(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


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
