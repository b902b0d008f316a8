"""What a suite found: a share with its interval, what was asked of it, and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from projectone.assist.calibration import interval

Outcome = Literal["met", "failed", "not-judged"]
FEWEST = 20
"""Of fewer texts no share is judged: even all of them right would leave a sixth of doubt."""


@dataclass(frozen=True)
class Finding:
    """One question and its answer.

    Attributes:
        suite: The question, in a word; what fails first is the reason.
        outcome: `failed` only where chance is no excuse: the whole interval lies beyond the bound.
        value: The share that was seen; None where it is no share.
        low: Of its 95 % interval.
        high: Likewise.
        n: Texts or answers that were asked about.
        bound: What was asked for; None where it is no share.
        reason: One sentence, with the figures.
    """

    suite: str
    outcome: Outcome
    value: float | None
    low: float | None
    high: float | None
    n: int
    bound: float | None
    reason: str


def at_least(suite: str, hits: Sequence[bool], bound: float, what: str) -> Finding:
    """A share that must not lie below a bound.

    Args:
        suite: The question.
        hits: For each text whether it was as it should be.
        bound: The smallest share.
        what: Says of the hits what they are, such as "texts understood".
    """
    n, n_hits = len(hits), sum(hits)
    if n < FEWEST:
        return not_judged(suite, n, _too_few(n))
    low, high = interval(n_hits, n)
    told = f"{n_hits} of {n} {what}: {_percent(n_hits / n)} ({_percent(low)} to {_percent(high)})"
    if high < bound:
        return Finding(suite, "failed", n_hits / n, low, high, n, bound, f"{told}, at least {_percent(bound)} asked")
    return Finding(suite, "met", n_hits / n, low, high, n, bound, told)


def at_most(suite: str, hits: Sequence[bool], bound: float, what: str) -> Finding:
    """A share that must not lie above a bound; as `at_least`."""
    n, n_hits = len(hits), sum(hits)
    if n < FEWEST:
        return not_judged(suite, n, _too_few(n))
    low, high = interval(n_hits, n)
    told = f"{n_hits} of {n} {what}: {_percent(n_hits / n)} ({_percent(low)} to {_percent(high)})"
    if low > bound:
        return Finding(suite, "failed", n_hits / n, low, high, n, bound, f"{told}, at most {_percent(bound)} allowed")
    return Finding(suite, "met", n_hits / n, low, high, n, bound, told)


def repeats(n: int, n_changed: int, what: str) -> Finding:
    """Whether the same came out when it was asked again; of fewer texts than `FEWEST` that says nothing good.

    Args:
        n: Texts or requests that were asked twice.
        n_changed: Those where something else came out.
        what: Says of the changed ones what happened, such as "texts got another label".
    """
    told = f"{n_changed} of {n} {what} when asked again"
    if n_changed:
        return failed("repeatability", n, told)
    return met("repeatability", n, told) if n >= FEWEST else not_judged("repeatability", n, _too_few(n))


def failed(suite: str, n: int, reason: str) -> Finding:
    """Something that is no share and is not as it must be."""
    return Finding(suite, "failed", None, None, None, n, None, reason)


def met(suite: str, n: int, reason: str) -> Finding:
    """Something that is no share and is as it must be."""
    return Finding(suite, "met", None, None, None, n, None, reason)


def not_judged(suite: str, n: int, reason: str) -> Finding:
    """A question that could not be asked."""
    return Finding(suite, "not-judged", None, None, None, n, None, reason)


def _too_few(n: int) -> str:
    return f"{n} texts: it takes {FEWEST}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
