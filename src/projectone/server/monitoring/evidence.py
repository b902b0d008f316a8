"""How strongly counts speak against a release: tests that may be looked at as often as one likes.

A z-test that is looked at again and again finds harm where there is none: in nine runs of a hundred at a level of one
(`tests/unit/server/monitoring/test_evidence.py` shows it). What is here multiplies evidence up instead, and stops when
there is a hundred times more for harm than against it, whenever that is.

Against devices of the same window, tier and app: a Bayes factor of two rates against one, each with the prior
Beta(1, 50). It is not proven to hold its level at every base rate, so the simulation in the tests is what shows that it
does. Against a fixed limit: a likelihood ratio, which is proven (Wald).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

PRIOR: Final = (1.0, 50.0)
"""Failures and successes of the Beta prior: about one device in fifty fails."""

Metric = Literal["load-failed", "crash-looped", "silent", "slow", "empty", "corrected"]
COMPARED: Final[tuple[Metric, ...]] = ("silent", "slow", "empty", "corrected")
"""What happens to everybody now and then: compared with devices that do not have the release."""

LIMITED: Final[tuple[Metric, ...]] = ("load-failed", "crash-looped")
"""What only happens where something new was installed: compared with what is bearable."""

METRICS: Final[tuple[Metric, ...]] = (*LIMITED, *COMPARED)

_Z95 = 1.959964


@dataclass(frozen=True)
class Tally:
    """How many devices failed, of how many that are known."""

    failures: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.failures <= self.total:
            raise ValueError(f"tally: expected 0 <= failures <= total, got {self.failures} of {self.total}")

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.failures + other.failures, self.total + other.total)

    @property
    def rate(self) -> float:
        """The share that failed; 0 of nobody."""
        return self.failures / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Where the rate lies, at 95 % (Wilson); all of it where nobody is known."""
        n, z = self.total, _Z95
        if n == 0:
            return 0.0, 1.0
        middle = (self.rate + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(self.rate * (1 - self.rate) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


NOBODY: Final = Tally()


@dataclass(frozen=True)
class Arms:
    """What is known of one metric in one stratum: devices of the same tier and app version."""

    treated: Tally = NOBODY
    control: Tally = NOBODY


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a release is stopped.

    Attributes:
        alpha: How likely it may be that a release without harm is stopped, over all metrics together.
        bearable: For what has no control, the rate that is borne; evidence is for twice as much.
        brake: So many crash loops among so many first devices stop at once.
    """

    alpha: float = 0.01
    bearable: Mapping[Metric, float] = field(default_factory=lambda: {"load-failed": 0.01, "crash-looped": 0.005})
    brake: tuple[int, int] = (3, 50)

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha: expected 0 < alpha < 1, got {self.alpha!r}")

    @property
    def threshold(self) -> float:
        """The logarithm of the evidence that stops: alpha is shared out among the metrics."""
        return math.log(len(METRICS) / self.alpha)


@dataclass(frozen=True)
class Finding:
    """One metric: what both arms show, and how far the evidence has come (it stops at `threshold`)."""

    metric: Metric
    treated: Tally
    control: Tally
    log_evidence: float
    threshold: float

    @property
    def is_harm(self) -> bool:
        """Whether it stops the release."""
        return self.log_evidence >= self.threshold


@dataclass(frozen=True)
class Judgement:
    """All metrics of a release, and the first reason to stop it, if there is one."""

    findings: tuple[Finding, ...]
    stop: Literal["crash-loops"] | Metric | None


def judge(
    strata: Mapping[Metric, Iterable[Arms]], *, early_crash_loops: int = 0, limits: Limits | None = None
) -> Judgement:
    """Whether what devices report speaks against a release.

    Args:
        strata: For each metric what is known, by tier and app version.
        early_crash_loops: Crash loops among the first `limits.brake[1]` devices that have it.
        limits: When to stop.
    """
    limits = limits or Limits()
    findings = tuple(_finding(metric, tuple(strata.get(metric, ())), limits) for metric in METRICS)
    if early_crash_loops >= limits.brake[0]:
        return Judgement(findings, "crash-loops")
    return Judgement(findings, next((finding.metric for finding in findings if finding.is_harm), None))


def log_evidence(treated: Tally, control: Tally) -> float:
    """How much likelier two rates are than one: the logarithm of the Bayes factor."""
    return _log_marginal(control) + _log_marginal(treated) - _log_marginal(control + treated)


def log_harm(treated: Tally, control: Tally) -> float:
    """As `log_evidence`, where the treated rate is the higher one; a better rate is no evidence of harm."""
    evidence = log_evidence(treated, control)
    return evidence if treated.rate > control.rate else min(evidence, 0.0)


def log_likelihood_ratio(tally: Tally, bearable: float) -> float:
    """How much likelier twice the bearable rate is than the bearable one, as a logarithm."""
    harmful = 2 * bearable
    successes = tally.total - tally.failures
    return tally.failures * math.log(harmful / bearable) + successes * math.log((1 - harmful) / (1 - bearable))


def least_devices(base_rate: float, factor: float, limits: Limits | None = None) -> int | None:
    """Devices with the release, about, until harm of this size is found beside ten times as many others.

    Found in half of all cases; None if a million are not enough.
    """
    threshold = (limits or Limits()).threshold
    harmful = min(1.0, base_rate * factor)
    n = 20
    while n < 1_000_000:
        treated, control = Tally(round(n * harmful), n), Tally(round(10 * n * base_rate), 10 * n)
        if log_harm(treated, control) >= threshold:
            return n
        n += max(1, n // 20)
    return None


def least_factor(base_rate: float, n_devices: int, limits: Limits | None = None) -> float | None:
    """How many times as many failures this many devices with the release show, about, beside ten times as many others.

    Shown in half of all cases, to the nearest half above; None if not even a failure of every device were shown.
    """
    threshold = (limits or Limits()).threshold
    control = Tally(round(10 * n_devices * base_rate), 10 * n_devices)
    halves = 3
    while (harmful := base_rate * halves / 2) <= 1:
        if log_harm(Tally(round(n_devices * harmful), n_devices), control) >= threshold:
            return halves / 2
        halves += 1
    return None


def _finding(metric: Metric, arms: tuple[Arms, ...], limits: Limits) -> Finding:
    treated = sum((arm.treated for arm in arms), NOBODY)
    control = sum((arm.control for arm in arms), NOBODY)
    if metric in limits.bearable:
        evidence = log_likelihood_ratio(treated, limits.bearable[metric])
    else:
        # Factors multiply: each stratum is compared within itself alone.
        evidence = sum(log_harm(arm.treated, arm.control) for arm in arms)
    return Finding(metric, treated, control, evidence, limits.threshold)


def _log_marginal(tally: Tally) -> float:
    failures, successes = PRIOR
    return _log_beta(failures + tally.failures, successes + tally.total - tally.failures) - _log_beta(*PRIOR)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
