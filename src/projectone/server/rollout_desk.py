"""What is known of the release on its way, and what a person does about it: for worker, console and command.

A person's word is a row. The worker shows it to devices; so a page needs no key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from projectone.contracts.releases import ReleaseManifest
from projectone.contracts.rollouts import N_BUCKETS, RolloutPlan, RolloutStage, percent_of
from projectone.errors import DataError
from projectone.server.database import Engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.rollouts import Rollout, Rollouts
from projectone.server.monitoring.evidence import Finding, Judgement, Limits, judge, least_devices, least_factor
from projectone.server.monitoring.reports import HealthReports, Reported

Turning = Literal["pause", "resume", "advance", "halt"]
TURNINGS: Final[tuple[Turning, ...]] = ("pause", "resume", "advance", "halt")

EARLY_BUCKETS: Final = N_BUCKETS // 20
"""Up to this share, five percent, a release is tried; what opens beyond it may have to wait for reports."""


@dataclass(frozen=True)
class Look:
    """What was found, and how far the release has gone now."""

    manifest: ReleaseManifest
    rollout: Rollout
    reported: Reported
    judgement: Judgement
    least_reports: int = 0

    @property
    def n_in_use(self) -> int:
        """Devices with the release that have said how it does in use."""
        return next((item.treated.total for item in self.judgement.findings if item.metric == "empty"), 0)

    @property
    def lacks_reports(self) -> int:
        """How many more of those it takes until the next stage opens by itself."""
        if self.next_stage is None or not self.rollout.plan.stages[self.rollout.stage].max_buckets:
            return 0  # nobody may take it yet but those who ask: no wait would bring reports
        widens = self.rollout.plan.stages[self.rollout.stage + 1].max_buckets > EARLY_BUCKETS
        return max(0, self.least_reports - self.n_in_use) if widens else 0

    @property
    def next_shown(self) -> str | None:
        """The next stage in words: its share, when, and what it waits for."""
        if self.next_stage is None:
            return None
        percent, opens_at = self.next_stage
        waits = f" and not before {self.lacks_reports} more devices have said how it does" if self.lacks_reports else ""
        return f"{percent:g} %, {opens_at:%Y-%m-%d %H:%M} UTC at the earliest{waits}"

    @property
    def sees(self) -> dict[float, float | None]:
        """By the share of devices that fail usually: how many times as many would have stopped it by now, about."""
        return {usual: least_factor(usual, self.n_in_use) for usual in (0.01, 0.1)}

    @property
    def sees_shown(self) -> str:
        """The same for people."""
        if not self.n_in_use:
            return "nobody who has it has said yet how it does in use"
        parts = [
            f"{f'{factor:g} times as much' if factor else 'nothing'} of what fails on {usual:.0%} of devices"
            for usual, factor in self.sees.items()
        ]
        return f"{self.n_in_use} devices in use show {' and '.join(parts)}; milder harm not yet"

    @property
    def caution(self) -> str:
        """What so few devices cannot show."""
        few, many = least_devices(0.01, 5), least_devices(0.01, 2)
        n_known = max((finding.treated.total for finding in self.judgement.findings), default=0)
        if few is not None and n_known < few:
            return f"{n_known} devices show little: of what fails on 1 % of them, five times as much takes {few}"
        if many is not None and n_known < many:
            return f"of what fails on 1 % of devices, twice as much takes {many} of them; {n_known} are known"
        return "harm of twice the usual would have shown by now, if 1 % of devices fail usually"

    @property
    def next_stage(self) -> tuple[float, datetime] | None:
        """Percent of the next stage, and when it opens at the earliest; None where nothing opens by itself."""
        rollout = self.rollout
        if rollout.is_last or rollout.status not in ("running", "paused"):
            return None
        after = rollout.plan.stages[rollout.stage + 1]
        return percent_of(after.max_buckets), max(after.not_before, rollout.stage_began_at + rollout.lasts)


class RolloutDesk:
    """The newest release of a channel."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        *,
        channel: str,
        limits: Limits | None = None,
        least_reports: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Join rows and reports.

        Args:
            engine: The server's database.
            ledger: What is released.
            channel: Which channel is looked after.
            limits: When a release is stopped.
            least_reports: Devices that must have said how it does in use before more than five percent are asked.
            clock: Now, with its zone.
        """
        self.rollouts = Rollouts(engine)
        self.health = HealthReports(engine)
        self.channel = channel
        self.limits = limits or Limits()
        self.least_reports = least_reports
        self._ledger = ledger
        self._clock = clock

    def read(self) -> Look | None:
        """What is known of the newest release, whose rollout begins here if it did not yet; None before the first."""
        release = self._ledger.newest(self.channel)
        if release is None:
            return None
        manifest, now = release.manifest, self._clock()
        plan = plan_of(manifest)
        rollout = self.rollouts.find(self.channel, manifest.seq, plan)
        if rollout is None:
            rollout = self.rollouts.begin(self.channel, manifest.seq, plan, now=now)
        first = self.limits.brake[1]
        reported = self.health.of(self.channel, manifest.seq, after=rollout.judged_up_to, now=now, first=first)
        judgement = judge(reported.strata, early_crash_loops=reported.early_crash_loops, limits=self.limits)
        return Look(manifest, rollout, reported, judgement, self.least_reports)

    def turn(self, turning: Turning, *, by: str) -> Look:
        """Do what a person decided.

        Raises:
            DataError: if there is no release, or it is not one of which that can be asked.
        """
        found, now = self.read(), self._clock()
        if found is None:
            raise DataError("rollout", f"nothing has been released to {self.channel!r} yet")
        rollout, rollouts = found.rollout, self.rollouts
        turns: dict[Turning, Callable[[], Rollout]] = {
            "pause": lambda: rollouts.pause(rollout, by=by, now=now),
            "resume": lambda: rollouts.resume(rollout, by=by, reports_up_to=found.reported.newest, now=now),
            "advance": lambda: rollouts.advance(rollout, by=by, now=now),
            "halt": lambda: rollouts.halt(rollout, "person", by=by, now=now),
        }
        return replace(found, rollout=turns[turning]())


def plan_of(manifest: ReleaseManifest) -> RolloutPlan:
    """The plan that was signed; for a release without one, everybody at once."""
    everybody = RolloutStage(not_before=manifest.created_at, max_buckets=N_BUCKETS)
    return manifest.rollout or RolloutPlan(salt="0" * 32, stages=(everybody,))


def finding_shown(finding: Finding) -> str:
    """One metric in a line: both rates with what they may be, and how far the evidence has come."""

    def side(name: str, failures: int, total: int, low: float, high: float) -> str:
        return f"{failures} of {total} {name} ({low:.1%} to {high:.1%})"

    treated = side("with it", finding.treated.failures, finding.treated.total, *finding.treated.interval)
    if finding.control.total:
        treated += ", " + side("without", finding.control.failures, finding.control.total, *finding.control.interval)
    share = max(0.0, finding.log_evidence / finding.threshold)
    return f"{finding.metric}: {treated}; evidence of harm {share:.0%} of what stops it"
