"""What devices say of how well models do: sums alone, over devices that nobody can tell apart.

A report adds one to one cell (model version, week, size, app version, histogram, class), and its digest to those that
were counted, so that it counts once. When its week is closed, groups of fewer than twenty reports are put together, or
dropped, before anybody is shown a sum; the digests go then, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from sqlalchemy import Column, Connection, Engine, Integer, String, Table, delete, func, insert, select, update

from projectone.contracts.quality import QualityReport, week_of, weeks_before
from projectone.contracts.questions import HISTOGRAMS_OF, N_BINS, Histogram
from projectone.contracts.releases import family_of
from projectone.server.database import METADATA, reading, writing

MIN_GROUP: Final = 20
"""Sums of fewer reports are neither kept nor shown. A report is one device's, and a device has one a week."""

KEPT_FOR: Final = timedelta(days=400)
"""A year and the weeks to compare it with."""

OTHER: Final = "other"
"""Sizes and app versions of too few devices, put together."""

QUALITY_CELLS = Table(
    "quality_cells",
    METADATA,
    Column("channel", String(96), primary_key=True),
    Column("model_version", String(96), primary_key=True),
    Column("week", String(8), primary_key=True),
    Column("tier", String(96), primary_key=True),
    Column("app_version", String(16), primary_key=True),
    Column("histogram", String(24), primary_key=True),
    Column("bin", Integer, primary_key=True, autoincrement=False),
    Column("n", Integer, nullable=False),
    sqlite_with_rowid=False,
)
QUALITY_COUNTED = Table(
    "quality_counted",
    METADATA,
    Column("week", String(8), primary_key=True),
    Column("report_sha256", String(64), primary_key=True),
    sqlite_with_rowid=False,  # a row's hidden number would tell which report came first
)

Answers = dict[Histogram, tuple[int, ...]]


@dataclass(frozen=True)
class Group:
    """Devices whose reports may be shown together."""

    model_version: str
    week: str
    tier: str
    app_version: str
    n_reports: int
    answers: Answers


@dataclass(frozen=True)
class KeptSums:
    """How much is kept of what was said about one line of releases."""

    channel: str
    n_reports: int
    n_weeks: int
    oldest_week: str


class QualityCells:
    """The sums."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, report: QualityReport, report_sha256: str) -> bool:
        """Count a report whose ticket was checked; says whether it was new."""
        counted, cell = QUALITY_COUNTED.c, QUALITY_CELLS.c
        place = {
            "channel": report.channel,
            "model_version": report.model_version,
            "week": report.week,
            "tier": report.tier,
            "app_version": report.app_version,
            "histogram": report.histogram,
            "bin": report.answer,
        }
        with writing(self._engine) as connection:
            known = (counted.week == report.week) & (counted.report_sha256 == report_sha256)
            if connection.execute(select(counted.week).where(known)).first() is not None:
                return False
            connection.execute(insert(QUALITY_COUNTED).values(week=report.week, report_sha256=report_sha256))
            here = [cell[name] == value for name, value in place.items()]
            if not connection.execute(update(QUALITY_CELLS).where(*here).values(n=cell.n + 1)).rowcount:
                connection.execute(insert(QUALITY_CELLS).values(**place, n=1))
            return True

    def settle(self, now: datetime) -> None:
        """Put small groups of closed weeks together, forget which reports were counted, and what is too old."""
        closed, oldest = _last_closed(now), week_of(now - KEPT_FOR)
        with writing(self._engine) as connection:
            connection.execute(delete(QUALITY_CELLS).where(QUALITY_CELLS.c.week < oldest))
            connection.execute(delete(QUALITY_COUNTED).where(QUALITY_COUNTED.c.week <= closed))
            for key, groups in _by_release(connection, closed).items():
                wanted = put_together(groups)
                if wanted != groups:
                    _rewrite(connection, key, wanted)

    def kept(self) -> list[KeptSums]:
        """What is kept, by line of releases."""
        cell = QUALITY_CELLS.c
        columns = (cell.channel, func.sum(cell.n), func.count(cell.week.distinct()), func.min(cell.week))
        with reading(self._engine) as connection:
            found = connection.execute(select(*columns).group_by(cell.channel).order_by(cell.channel)).all()
        return [KeptSums(channel, int(n), int(weeks), oldest) for channel, n, weeks, oldest in found]

    def groups(self, channel: str, now: datetime) -> list[Group]:
        """Every group of closed weeks that is large enough to be shown, the oldest first."""
        with reading(self._engine) as connection:
            found = _by_release(connection, _last_closed(now), channel)
        return [
            Group(version, week, tier, app_version, sum(cells.values()), _answers(channel, cells))
            for (_, version, week), groups in sorted(found.items(), key=lambda item: item[0][1:][::-1])
            for (tier, app_version), cells in sorted(groups.items())
            if sum(cells.values()) >= MIN_GROUP  # a week that is closed and was not settled yet
        ]

    def by_version(self, channel: str, now: datetime) -> dict[str, dict[str, Answers]]:
        """The answers of all groups of a model version together, by week; versions in the order of their first week."""
        found: dict[str, dict[str, Answers]] = {}
        for group in self.groups(channel, now):
            weeks = found.setdefault(group.model_version, {})
            before = weeks.get(group.week)
            weeks[group.week] = group.answers if before is None else _added(before, group.answers)
        return found


_Stratum = tuple[str, str]
_Cells = Counter[tuple[Histogram, int]]
_Release = tuple[str, str, str]


def put_together(groups: Mapping[_Stratum, _Cells]) -> dict[_Stratum, _Cells]:
    """Groups of at least `MIN_GROUP`: smaller ones become `OTHER`; the smallest joins if that is too small; or nothing.

    Args:
        groups: The cells of one release and week, by size and app version.
    """
    kept = {stratum: cells for stratum, cells in groups.items() if sum(cells.values()) >= MIN_GROUP}
    rest: _Cells = Counter()
    for stratum, cells in groups.items():
        if stratum not in kept:
            rest.update(cells)
    while rest and sum(rest.values()) < MIN_GROUP and kept:
        smallest = min(kept, key=lambda stratum: (sum(kept[stratum].values()), stratum))
        rest.update(kept.pop(smallest))
    return kept | ({(OTHER, OTHER): rest} if sum(rest.values()) >= MIN_GROUP else {})


def _last_closed(now: datetime) -> str:
    return weeks_before(week_of(now), 2)


def _by_release(
    connection: Connection, closed: str, channel: str | None = None
) -> dict[_Release, dict[_Stratum, _Cells]]:
    cell = QUALITY_CELLS.c
    asked = select(QUALITY_CELLS).where(cell.week <= closed)
    if channel is not None:
        asked = asked.where(cell.channel == channel)
    found: dict[_Release, dict[_Stratum, _Cells]] = defaultdict(lambda: defaultdict(Counter))
    for row in connection.execute(asked):
        groups = found[row.channel, row.model_version, row.week]
        groups[row.tier, row.app_version][cast(Histogram, row.histogram), row.bin] = row.n
    return {key: dict(groups) for key, groups in found.items()}


def _rewrite(connection: Connection, key: _Release, groups: Mapping[_Stratum, _Cells]) -> None:
    cell, (channel, version, week) = QUALITY_CELLS.c, key
    release = (cell.channel == channel) & (cell.model_version == version) & (cell.week == week)
    connection.execute(delete(QUALITY_CELLS).where(release))
    rows = [
        {
            "channel": channel,
            "model_version": version,
            "week": week,
            "tier": tier,
            "app_version": app_version,
            "histogram": histogram,
            "bin": bin_,
            "n": n,
        }
        for (tier, app_version), cells in groups.items()
        for (histogram, bin_), n in cells.items()
    ]
    if rows:
        connection.execute(insert(QUALITY_CELLS), rows)


def _answers(channel: str, cells: _Cells) -> Answers:
    asked = HISTOGRAMS_OF[family_of(channel)]
    return {histogram: tuple(cells[histogram, bin_] for bin_ in range(N_BINS)) for histogram in asked}


def _added(one: Answers, other: Answers) -> Answers:
    return {name: tuple(a + b for a, b in zip(one[name], other[name], strict=True)) for name in one}
