"""How well the models do for this person: what is counted here, and to the byte what would leave of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone import __version__
from projectone.contracts.consent import CONSENT_TEXTS
from projectone.contracts.quality import QualityReport, monday_of, week_of, weeks_before
from projectone.contracts.questions import TITLES, UNITS, Histogram, class_names
from projectone.contracts.releases import DEFAULT_TIER
from projectone.device.client import DeviceClient
from projectone.device.quality import Payload, WeekCounts
from projectone.device.web.answers import json_answer
from projectone.device.web.bodies import reads_json, switch_field
from projectone.device.web.consents import purpose_of
from projectone.device.web.context import WebContext
from projectone.device.web.moments import day_shown, when_shown
from projectone.errors import DataError

_SHOWN_WEEKS: Final = 4
_EXAMPLE: Final[tuple[Histogram, int]] = ("duration", 4)


@dataclass(frozen=True)
class Letter:
    """A report as a person reads it.

    Attributes:
        raw: The bytes.
        report: What they say.
        due_at: When they may leave; None for an example.
        told_at: When they did.
    """

    raw: bytes
    report: QualityReport
    due_at: datetime | None = None
    told_at: datetime | None = None

    @property
    def pretty(self) -> str:
        """The same with a line for each field."""
        return json.dumps(json.loads(self.raw), indent=2)

    @property
    def question(self) -> str:
        """What is answered."""
        return TITLES[self.report.histogram]

    @property
    def answer(self) -> str:
        """The class that is said."""
        return f"{class_names(self.report.histogram)[self.report.answer]} {UNITS[self.report.histogram]}".rstrip()

    @property
    def monday(self) -> datetime:
        """When the week began that it tells of."""
        return monday_of(self.report.week)

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """What is said, each with its name in plain words."""
        report = self.report
        return (
            ("Week", f"{report.week}, from {self.monday.day} {self.monday:%B %Y}"),
            ("Model", f"{report.model_version}, as {report.tier}, of channel {report.channel}"),
            ("This app", report.app_version),
            ("Question", f"{self.question} (drawn)"),
            ("Answer", f"{self.answer} (true, or drawn: a coin decides)"),
            ("Random number", f"{report.nonce[:12]}…, so that no two letters are the same"),
        )

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "raw": self.raw.decode(),
            "week": self.report.week,
            "question": self.question,
            "answer": self.answer,
            "due_at": self.due_at and self.due_at.isoformat(),
            "told_at": self.told_at and self.told_at.isoformat(),
        }


@dataclass(frozen=True)
class Chart:
    """One histogram of one week.

    Attributes:
        title: What is counted.
        unit: Of the classes; empty where they have names.
        rows: Each class in words, with how much fell into it.
        n: How many there are together.
    """

    title: str
    unit: str
    rows: tuple[tuple[str, int], ...]
    n: int

    @property
    def most(self) -> int:
        """The highest column."""
        return max(count for _, count in self.rows)

    @property
    def words(self) -> str:
        """The same for who does not see it."""
        return "; ".join(f"{name}: {count}" for name, count in self.rows if count)


def routes(context: WebContext) -> list[Route]:
    """The page; GET /api/quality for its facts, PUT to switch it."""
    client = context.client

    def page(request: Request) -> Response:
        return context.page(
            request, "quality", title="Quality", when=when_shown, day=day_shown, **quality_facts(client)
        )

    def show(request: Request) -> Response:
        return json_answer(_document(client))

    def switch(request: Request, body: Mapping[str, Any]) -> Response:
        is_on, words = switch_field(body, "is_on"), CONSENT_TEXTS["quality"]
        if is_on and body.get("version") != words.version:  # they agree to what they read, and to nothing else
            raise DataError("words-changed", f"the words are now those of version {words.version}: read them first")
        client.quality.switch(is_on=is_on, method="web")
        return json_answer(_document(client))

    return [
        Route("/quality", page),
        Route("/api/quality", show),
        Route("/api/quality", reads_json(switch), methods=["PUT"]),
    ]


def quality_facts(client: DeviceClient) -> dict[str, Any]:
    """What the page shows."""
    next_one = client.quality.payload()
    return {
        "purpose": purpose_of(client, "quality"),
        "is_on": client.quality.is_on,
        "letter": _letter(next_one) if next_one else _example(client),
        "is_example": next_one is None,
        "weeks": [(item, monday_of(item.week), _charts(item)) for item in client.quality.histograms()[:_SHOWN_WEEKS]],
        "told": [_letter(item) for item in client.quality.told()],
    }


def _document(client: DeviceClient) -> dict[str, Any]:
    next_one = client.quality.payload()
    return {
        "is_on": client.quality.is_on,
        "text": CONSENT_TEXTS["quality"].text,
        "version": CONSENT_TEXTS["quality"].version,
        "payload": _letter(next_one).document() if next_one else None,
        "example": _example(client).document(),
        "told": [_letter(item).document() for item in client.quality.told()],
        "weeks": [
            {"week": item.week, "family": item.family, "model_version": item.model_version, "counts": dict(item.counts)}
            for item in client.quality.histograms()
        ],
    }


def _letter(payload: Payload) -> Letter:
    return Letter(payload.body, payload.report, payload.due_at, payload.told_at)


def _example(client: DeviceClient) -> Letter:
    """What a report of this device looks like before there is one; its answer is nobody's."""
    device = client.status()
    histogram, answer = _EXAMPLE
    report = QualityReport(
        week=weeks_before(week_of(datetime.now(UTC)), 1),
        channel=device.channel,
        model_version=device.model_version or "1.0.0",
        tier=DEFAULT_TIER,
        app_version=__version__,
        histogram=histogram,
        answer=answer,
        nonce=hashlib.sha256(b"an example").hexdigest(),
    )
    return Letter(report.to_bytes(), report)


def _charts(counted: WeekCounts) -> list[Chart]:
    return [_chart(name, counted.counts[name]) for name in counted.counts if any(counted.counts[name])]


def _chart(name: Histogram, counts: tuple[int, ...]) -> Chart:
    title = TITLES[name]
    rows = tuple(zip(class_names(name), counts, strict=True))
    return Chart(f"{title[:1].upper()}{title[1:]}", UNITS[name], rows, sum(counts))
