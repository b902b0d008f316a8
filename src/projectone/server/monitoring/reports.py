"""What devices report of a release, as rows of counts. A row knows a random number, and no device and no person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Engine,
    Float,
    Index,
    Integer,
    String,
    Table,
    and_,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from projectone.contracts.health import PHASES, HealthCounts, HealthReport
from projectone.contracts.rollouts import Cohort
from projectone.server.database import METADATA, reading, writing
from projectone.server.monitoring.evidence import METRICS, NOBODY, Arms, Metric, Tally

SILENT_AFTER: Final = timedelta(hours=48)
"""A device that saw the release and has not been heard of since counts as one that failed."""

MIN_TRANSCRIPTS: Final = 3
"""A device that heard less says nothing about speed, silence and corrections."""

_FLAGS: Final[dict[Metric, str]] = {
    "load-failed": "is_load_failed",
    "crash-looped": "is_crash_looped",
    "slow": "is_slow",
    "empty": "is_empty",
    "corrected": "is_corrected",
}

HEALTH_REPORTS = Table(
    "health_reports",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),  # the order in which devices were first heard of
    Column("serial", String(64), nullable=False, unique=True),
    Column("channel", String(96), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("tier", String(96), nullable=False),
    Column("app_version", String(16), nullable=False),
    Column("cohort", String(8), nullable=False),
    Column("phase", Integer, nullable=False),
    Column("began_at_s", Float, nullable=False),  # the hour, not the second: a second would find the request beside it
    Column("is_load_failed", Boolean),
    Column("is_crash_looped", Boolean),
    Column("is_slow", Boolean),
    Column("is_empty", Boolean),
    Column("is_corrected", Boolean),
    Column("is_worse_here", Boolean),  # None: not tried on the user's own recordings, or on too few
    Index("ix_health_reports_release", "channel", "seq"),
)


@dataclass(frozen=True)
class Reported:
    """What is known of a release.

    Attributes:
        strata: For each metric, by tier and app version.
        devices: How many were heard of in each cohort.
        early_crash_loops: Crash loops among the first devices that have it.
        newest: The newest report: what a person who overrules has seen.
        worse_here: Devices that kept the model before, because their users' own recordings said that it hears them
            better, of those whose recordings said anything.
    """

    strata: Mapping[Metric, Sequence[Arms]]
    devices: Mapping[Cohort, int]
    early_crash_loops: int
    newest: int
    worse_here: Tally = NOBODY


class HealthReports:
    """The table of reports."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, report: HealthReport, now: datetime) -> bool:
        """Keep a report whose ticket was checked; a phase that was told already changes nothing. Says if it was new."""
        phase, row = PHASES.index(report.phase), HEALTH_REPORTS.c
        flags = _flags(report)
        with writing(self._engine) as connection:
            known = connection.execute(
                select(row.phase, row.cohort).where(row.serial == report.ticket.serial)
            ).one_or_none()
            if known is None:
                connection.execute(
                    insert(HEALTH_REPORTS).values(
                        serial=report.ticket.serial,
                        channel=report.channel,
                        seq=report.seq,
                        tier=report.tier,
                        app_version=report.app_version,
                        cohort=report.cohort,
                        phase=phase,
                        began_at_s=now.timestamp() // 3600 * 3600,
                        **flags,
                    )
                )
                return True
            # A ticket speaks for the cohort that it began in.
            if known.phase >= phase or known.cohort != report.cohort:
                return False
            same = row.serial == report.ticket.serial
            connection.execute(update(HEALTH_REPORTS).where(same).values(phase=phase, **flags))
            return True

    def of(self, channel: str, seq: int, *, after: int = 0, now: datetime, first: int = 50) -> Reported:
        """What is known of a release.

        Args:
            channel: Its channel.
            seq: Its number.
            after: Only of devices that were first heard of after this report.
            now: The time: who has been silent for too long has failed.
            first: How many devices count as the first ones.
        """
        row = HEALTH_REPORTS.c
        ours = and_(row.channel == channel, row.seq == seq, row.id > after)
        overdue = and_(row.phase < len(PHASES) - 1, row.began_at_s <= (now - SILENT_AFTER).timestamp())
        is_known = case((row.phase == len(PHASES) - 1, 1), (overdue, 1), else_=0)
        columns = [func.count().label("n"), func.sum(is_known).label("n_heard"), func.sum(case((overdue, 1), else_=0))]
        for name in _FLAGS.values():
            columns += [func.count(row[name]), func.sum(case((row[name].is_(True), 1), else_=0))]
        grouped = (row.tier, row.app_version, row.cohort)
        has_it = row.cohort.in_(("treated", "canary"))
        own = select(func.count(row.is_worse_here), func.sum(case((row.is_worse_here.is_(True), 1), else_=0)))
        early = select(row.is_crash_looped).where(ours, has_it).order_by(row.id).limit(first)
        with reading(self._engine) as connection:
            found = connection.execute(select(*grouped, *columns).where(ours).group_by(*grouped)).all()
            crashes = sum(bool(value) for value in connection.execute(early).scalars())
            newest = connection.execute(select(func.max(row.id)).where(row.channel == channel)).scalar()
            n_tried, n_worse = connection.execute(own.where(ours, has_it)).one()
        reported = _reported(found, crashes, int(newest or 0))
        return replace(reported, worse_here=Tally(int(n_worse or 0), int(n_tried or 0)))

    def forget(self, channel: str, below_seq: int, before: datetime) -> None:
        """Drop what was reported of releases before this one, before a moment."""
        row = HEALTH_REPORTS.c
        old = and_(row.channel == channel, row.seq < below_seq, row.began_at_s < before.timestamp())
        with writing(self._engine) as connection:
            connection.execute(delete(HEALTH_REPORTS).where(old))


def _flags(report: HealthReport) -> dict[str, bool]:
    """What one phase settles about a device. Each is settled once, and after the same time in every cohort."""
    counts, flags = report.counts, {}
    if report.phase != "began" and report.cohort != "control":
        flags["is_load_failed"] = counts.load_failures > 0
        flags["is_crash_looped"] = counts.crash_loops > 0
        if counts.verdict in ("worse", "not-worse"):
            flags["is_worse_here"] = counts.verdict == "worse"
    if report.phase == "used" and counts.transcripts >= MIN_TRANSCRIPTS:
        flags |= _use_flags(counts)
    return flags


def _use_flags(counts: HealthCounts) -> dict[str, bool]:
    half = counts.transcripts / 2
    return {
        "is_slow": counts.slow_transcripts > half,
        "is_empty": counts.empty_transcripts > half,
        "is_corrected": counts.corrections > half,
    }


def _reported(rows: Sequence[Any], early_crash_loops: int, newest: int) -> Reported:
    arms: dict[Metric, dict[tuple[str, str], dict[str, Tally]]] = defaultdict(lambda: defaultdict(dict))
    devices: dict[Cohort, int] = {}
    for tier, app_version, cohort, n, n_heard, n_silent, *flags in rows:
        devices[cohort] = devices.get(cohort, 0) + n
        tallies: dict[Metric, Tally] = {"silent": Tally(int(n_silent or 0), int(n_heard or 0))}
        for place, metric in enumerate(_FLAGS):
            tallies[metric] = Tally(int(flags[2 * place + 1] or 0), int(flags[2 * place]))
        for metric, tally in tallies.items():
            arms[metric][tier, app_version][cohort] = tally
    strata = {
        metric: tuple(
            # Who asked for it is compared with nobody, but a model that does not load there does not load.
            Arms(treated=_treated(metric, stratum), control=stratum.get("control", Tally()))
            for stratum in arms[metric].values()
        )
        for metric in METRICS
    }
    return Reported(strata, devices, early_crash_loops, newest)


def _treated(metric: Metric, stratum: Mapping[str, Tally]) -> Tally:
    treated = stratum.get("treated", Tally())
    return treated + stratum.get("canary", Tally()) if metric in ("load-failed", "crash-looped") else treated
