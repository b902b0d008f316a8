"""Whether a model does differently than it did: two-sample tests with a stated rate of false alarms, and how far.

A histogram's answers of a week, of four and of thirteen weeks together, are held against those of a reference period:
the model's own first weeks; in those, the last weeks of the model before. What is compared are the answers as they
came, the drawn ones among them: both periods were drawn alike, so equal recordings give equal answers, and the test
needs no model of the coin. An alarm takes two things: chance alone makes such a difference more seldom than stated, and
the difference is large enough to matter (population stability index of the estimated shares). Whoever reports in both
periods makes the test more careful, not less.

The stated rate is that of any alarm at all, in any histogram, within a year in which nothing changes. It is spent in
equal parts over its 52 weeks, the histograms and the windows (a bound by the sum: tests may depend on one another).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from projectone.contracts.quality import estimated_shares
from projectone.contracts.questions import HISTOGRAMS_OF, N_BINS, OF_ONE_MODEL, WORSE, Histogram, family_asked
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.server.monitoring.two_samples import middle_class, stability_index, two_sample_p, unlikeness

Answers = tuple[int, ...]
WeekAnswers = Mapping[Histogram, Answers]

WEEKS_A_YEAR: Final = 52
_MOVED_BY: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class DriftLimits:
    """When to speak up.

    Attributes:
        alpha: How likely a model that does not change raises any alarm within a year.
        reference_weeks: The first weeks of a model, against which later ones are held.
        windows: How many weeks are put together: one for what comes at once, more for what is small.
        min_index: Population stability index from which a difference matters; 0.1 and 0.25 are its usual marks.
        min_answers: Fewer in a window, or in the reference, are not judged.
    """

    alpha: float = 0.05
    reference_weeks: int = 4
    windows: tuple[int, ...] = (1, 4, 13)
    min_index: float = 0.1
    min_answers: int = 40

    def alpha_each(self, family: Family) -> float:
        """What one test of one of a family's questions may spend."""
        return self.alpha / (WEEKS_A_YEAR * len(HISTOGRAMS_OF[family]) * len(self.windows))


@dataclass(frozen=True)
class Comparison:
    """One histogram, a window held against the reference.

    Attributes:
        histogram: Which.
        week: The last one of the window.
        n_weeks: How many are in it.
        before: Answers of the reference, by class.
        after: Answers of the window.
        p_value: How likely chance alone makes such a difference.
        index: Population stability index of the estimated shares.
        is_release: Whether the reference is the model before.
        is_drift: Whether both are beyond the limits; against the model before, only to the worse.
    """

    histogram: Histogram
    week: str
    n_weeks: int
    before: Answers
    after: Answers
    p_value: float
    index: float
    is_release: bool
    is_drift: bool


@dataclass(frozen=True)
class Drift:
    """What moved.

    Attributes:
        comparison: The window that showed it first.
        since: The week from which on the answers are least like the reference.
        moved: Each class that moved, with its estimated shares before and after, what moved most first.
    """

    comparison: Comparison
    since: str
    moved: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True)
class Watched:
    """All there is to say of one model.

    Attributes:
        reference: Its weeks of reference.
        judged: The weeks that were held against them.
        comparisons: The newest ones, by histogram; none where there are too few answers.
        drifts: Histograms that moved, each at the first week that showed it.
    """

    reference: tuple[str, ...]
    judged: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    drifts: tuple[Drift, ...]


@dataclass(frozen=True)
class _Run:
    """Weeks that are held against one reference."""

    before: Sequence[WeekAnswers]
    judged: Sequence[str]
    is_release: bool


def watch(
    weeks: Mapping[str, WeekAnswers],
    limits: DriftLimits | None = None,
    *,
    earlier: Mapping[str, WeekAnswers] | None = None,
    family: Family = DEFAULT_FAMILY,
) -> Watched:
    """Hold every week of a model against its first ones, and those against the model before.

    Args:
        weeks: The answers of each week, by name.
        limits: When to speak up.
        earlier: The weeks of the model before; None if there was none.
        family: Which questions were asked.
    """
    limits = limits or DriftLimits()
    names, n_first = sorted(weeks), limits.reference_weeks
    reference, judged = names[:n_first], names[n_first:]
    runs = [_Run([weeks[name] for name in reference], judged, False)]
    if earlier:
        last = sorted(earlier)[-n_first:]
        runs.insert(0, _Run([earlier[name] for name in last], reference, True))
    newest: list[Comparison] = []
    drifts: list[Drift] = []
    for histogram in HISTOGRAMS_OF[family]:
        asked = [run for run in runs if not (run.is_release and histogram in OF_ONE_MODEL)]
        compared = [(run, found) for run in asked for found in _compared_all(histogram, run, weeks, limits)]
        newest += [found for _, found in compared[-1:]]
        first = next(((run, found) for run, found in compared if found.is_drift), None)
        drifts += [] if first is None else [_drift(first[1], first[0].judged, weeks)]
    return Watched(tuple(reference), tuple(judged), tuple(newest), tuple(drifts))


def _compared_all(
    histogram: Histogram, run: _Run, weeks: Mapping[str, WeekAnswers], limits: DriftLimits
) -> Iterator[Comparison]:
    """Every window of every week, in the order of time."""
    before = _sum([week[histogram] for week in run.before])
    for place in range(len(run.judged)):
        for n_weeks in limits.windows:
            window = run.judged[max(0, place + 1 - n_weeks) : place + 1]
            after = _sum([weeks[name][histogram] for name in window])
            if len(window) == n_weeks and min(sum(before), sum(after)) >= limits.min_answers:
                yield _compared(histogram, window, before, after, run.is_release, limits)


def _compared(
    histogram: Histogram,
    window: Sequence[str],
    before: Answers,
    after: Answers,
    is_release: bool,
    limits: DriftLimits,
) -> Comparison:
    p_value, index = two_sample_p(before, after), stability_index(before, after)
    is_drift = p_value < limits.alpha_each(family_asked(histogram)) and index >= limits.min_index
    if is_release and WORSE[histogram]:  # a better model is no alarm
        is_drift = is_drift and WORSE[histogram] * (middle_class(after) - middle_class(before)) > 0
    return Comparison(histogram, window[-1], len(window), before, after, p_value, index, is_release, is_drift)


def _drift(found: Comparison, judged: Sequence[str], weeks: Mapping[str, WeekAnswers]) -> Drift:
    histogram, known = found.histogram, [name for name in judged if name <= found.week]
    rests = [_sum([weeks[name][histogram] for name in known[place:]]) for place in range(len(known))]
    first = max(range(len(known)), key=lambda place: unlikeness(found.before, rests[place]))
    before, after = estimated_shares(found.before), estimated_shares(found.after)
    moved = [(place, old, new) for place, (old, new) in enumerate(zip(before, after, strict=True))]
    moved = [item for item in moved if abs(item[2] - item[1]) >= _MOVED_BY]
    return Drift(found, known[first], tuple(sorted(moved, key=lambda item: -abs(item[2] - item[1]))))


def _sum(rows: Sequence[Answers]) -> Answers:
    return tuple(sum(column) for column in zip(*rows, strict=True)) if rows else (0,) * N_BINS
