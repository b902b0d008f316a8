"""Whether two samples of answers are of one distribution, and how far apart they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from projectone.contracts.quality import TRUTH_SHARE, estimated_shares

_LEAST_EXPECTED: Final = 12.0  # with 5, the rule of thumb, the far tail is a third too heavy at 40 answers
_LEAST_SHARE: Final = 0.01


def two_sample_p(before: Sequence[int], after: Sequence[int]) -> float:
    """How likely two samples of one distribution differ as much: the smaller of two chances, doubled.

    The one asks whether the classes differ anyhow, the other whether answers lie higher or lower: most harm moves all
    classes one way, and a test that asks for that alone sees it with half as many answers.
    """
    return min(1.0, 2 * min(_homogeneity_p(before, after), _shift_p(before, after)))


def unlikeness(before: Sequence[int], after: Sequence[int]) -> tuple[float, float]:
    """Orders samples by how unlike `before` they are.

    By their chance; where that is too small to be written, by Pearson's statistic, which goes on growing.
    """
    return -two_sample_p(before, after), _chi_square(before, after)[0]


def _homogeneity_p(before: Sequence[int], after: Sequence[int]) -> float:
    """Pearson's chi-square test; neighbours are put together until each is expected twelve times on either side."""
    statistic, n_cells = _chi_square(before, after)
    return chi_square_tail(statistic, n_cells - 1) if n_cells > 1 else 1.0


def _chi_square(before: Sequence[int], after: Sequence[int]) -> tuple[float, int]:
    """Pearson's statistic, and of how many classes."""
    n_before, n_after = sum(before), sum(after)
    share = min(n_before, n_after) / (n_before + n_after)
    cells = _merged(list(zip(before, after, strict=True)), share)
    statistic = 0.0
    for old, new in cells:
        expected = (old + new) * n_before / (n_before + n_after), (old + new) * n_after / (n_before + n_after)
        statistic += (old - expected[0]) ** 2 / expected[0] + (new - expected[1]) ** 2 / expected[1]
    return statistic, len(cells)


def _shift_p(before: Sequence[int], after: Sequence[int]) -> float:
    """A test of the mean class, from both sides, with the variance of both samples together."""
    both = [old + new for old, new in zip(before, after, strict=True)]
    variance = _mean([place**2 for place in range(len(both))], both) - middle_class(both) ** 2
    if variance <= 0:
        return 1.0
    z = (middle_class(after) - middle_class(before)) / math.sqrt(variance * (1 / sum(before) + 1 / sum(after)))
    return math.erfc(abs(z) / math.sqrt(2))


def stability_index(before: Sequence[int], after: Sequence[int]) -> float:
    """Population stability index of the shares that the answers speak for, less what chance alone adds to it.

    No share counts as less than 1 %. Chance adds about half of the noise that the coin and few answers bring, the other
    half is cut off with the shares below nought: within 0.05 for 40 to 400 answers held against 400.
    """
    n_before, n_after = sum(before), sum(after)
    if not n_before or not n_after:
        return 0.0
    both = [old + new for old, new in zip(before, after, strict=True)]
    old, new, middle = (_floored(estimated_shares(answers)) for answers in (before, after, both))
    index = sum((b - a) * math.log(b / a) for a, b in zip(old, new, strict=True))
    said = [n / (n_before + n_after) for n in both]
    noise = sum(share * (1 - share) / true for share, true in zip(said, middle, strict=True))
    return max(0.0, index - noise * (1 / n_before + 1 / n_after) / TRUTH_SHARE**2 / 2)


def _floored(shares: Sequence[float]) -> list[float]:
    least = [max(share, _LEAST_SHARE) for share in shares]
    return [share / sum(least) for share in least]


def chi_square_tail(statistic: float, n_free: int) -> float:
    """P(chi-square with `n_free` degrees of freedom >= statistic), by the incomplete gamma function's recurrence."""
    half = statistic / 2
    at, tail = (0.5, math.erfc(math.sqrt(half))) if n_free % 2 else (1.0, math.exp(-half))
    while at < n_free / 2:
        tail += math.exp(at * math.log(half) - half - math.lgamma(at + 1)) if half > 0 else 0.0
        at += 1
    return min(1.0, tail)


def _merged(cells: Sequence[tuple[int, int]], share: float) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for cell in cells:
        if merged and sum(merged[-1]) * share < _LEAST_EXPECTED:
            merged[-1] = (merged[-1][0] + cell[0], merged[-1][1] + cell[1])
        else:
            merged.append(cell)
    if len(merged) > 1 and sum(merged[-1]) * share < _LEAST_EXPECTED:
        last = merged.pop()
        merged[-1] = (merged[-1][0] + last[0], merged[-1][1] + last[1])
    return merged


def middle_class(answers: Sequence[int]) -> float:
    """The mean class."""
    return _mean(range(len(answers)), answers)


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    return sum(value * n for value, n in zip(values, weights, strict=True)) / max(1, sum(weights))
