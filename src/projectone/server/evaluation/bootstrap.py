"""Error rates and their differences with 95 % intervals, resampled by speaker and then by utterance.

Clips of one speaker fail together, so resampling clips alone makes intervals far too narrow (Liu and Peng, 2019,
"Statistical testing on ASR performance via blockwise bootstrap"). So whole speakers are drawn, with all their clips.
With few speakers that alone pretends too much certainty (with one, all of it): then the clips of each drawn speaker
are drawn again, too, which errs on the wide side. A handful of speakers cannot stand for others however they are drawn
(of three, every 27th draw is one of them three times over): `are_speakers_fixed` keeps each as often as they are and
draws their clips alone. The interval then speaks of these speakers and of no others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

N_RESAMPLES = 10_000
CONFIDENCE = 0.95
# From here on whole speakers are enough; drawing clips as well would widen the interval by up to two fifths.
MANY_SPEAKERS = 20

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def ratio_interval(
    numerators: Sequence[float],
    denominators: Sequence[float],
    speakers: Sequence[str],
    *,
    n_resamples: int = N_RESAMPLES,
    confidence: float = CONFIDENCE,
    are_speakers_fixed: bool = False,
    seed: int = 0,
) -> Interval:
    """Sum of numerators over sum of denominators, and how sure of it one can be.

    With word errors over words this is a word error rate; with differences of word errors (first model's minus
    second's, clip by clip) over words it is the paired gain.

    Args:
        numerators: One per clip.
        denominators: One per clip, none negative.
        speakers: Who speaks, one per clip.
        n_resamples: Draws; 10,000 make the bounds steady to about a hundredth of the interval.
        confidence: Share of the draws between the bounds.
        are_speakers_fixed: Speak of these speakers, not of all there may be.
        seed: Of the draws.

    Raises:
        ValueError: if the lists differ in length.
    """
    if not len(numerators) == len(denominators) == len(speakers):
        raise ValueError(f"expected lists of one length, got {len(numerators)}, {len(denominators)}, {len(speakers)}")
    top, bottom = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    total = float(bottom.sum())
    if total == 0:
        return Interval(0.0, 0.0, 0.0)
    value = float(top.sum()) / total
    tops, bottoms = resampled_sums(
        top, bottom, speakers, n_resamples=n_resamples, are_speakers_fixed=are_speakers_fixed, seed=seed
    )
    # Draws without a single word say nothing; they occur only in tiny sets.
    ratios = tops[bottoms > 0] / bottoms[bottoms > 0]
    tail = (1 - confidence) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    wider = 1.0
    if not are_speakers_fixed and (n_speakers := len(set(speakers))) >= MANY_SPEAKERS:
        wider = _small_sample_factor(n_speakers, confidence)
    return Interval(value, value + wider * (float(low) - value), value + wider * (float(high) - value))


def _small_sample_factor(n: int, confidence: float) -> float:
    """By how much an interval of `n` drawn people is wider than their draws spread: 1.10 for 20, 1.02 for 100.

    Draws of n from n spread by sqrt((n - 1) / n) too little, and Student's quantile stands where the normal one did
    (its expansion in 1 / n: Abramowitz and Stegun 26.7.5).
    """
    z, degrees = NormalDist().inv_cdf((1 + confidence) / 2), n - 1
    student = z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    return student / z * math.sqrt(n / degrees)


def resampled_sums(
    numerators: Counts,
    denominators: Counts,
    speakers: Sequence[str],
    *,
    n_resamples: int,
    are_speakers_fixed: bool = False,
    seed: int,
) -> tuple[Counts, Counts]:
    """Sums of both over `n_resamples` draws: speakers with replacement and, if they are few, each one's clips, too."""
    random = np.random.Generator(np.random.PCG64(seed))
    names, owner = np.unique(np.asarray(speakers), return_inverse=True)
    n_names = len(names)
    # How often each speaker is drawn: (draws, speakers).
    times = np.ones((n_resamples, n_names), np.int64)
    if not are_speakers_fixed:
        times = random.multinomial(n_names, np.full(n_names, 1 / n_names), size=n_resamples)
        if n_names >= MANY_SPEAKERS:
            own_tops, own_bottoms = (np.bincount(owner, counts, n_names) for counts in (numerators, denominators))
            weights = times.astype(np.float64)
            return weights @ own_tops, weights @ own_bottoms
    tops, bottoms = np.zeros(n_resamples), np.zeros(n_resamples)
    for index in range(n_names):
        own = np.flatnonzero(owner == index)
        # A speaker drawn twice draws twice as many clips: (draws, clips) says how often each one counts.
        counts = random.multinomial(times[:, index] * len(own), np.full(len(own), 1 / len(own)))
        tops += counts @ numerators[own]
        bottoms += counts @ denominators[own]
    return tops, bottoms
