"""Whether one voice gives way to another within a clip: by pitch and colour, without a model that knows people.

For every place where a clip could be cut in two, the means of the voiced frames on both sides are compared: is their
difference that of one voice that says different things, or that of two people? The answer is a log likelihood ratio in
nats; the largest of all places counts. Nothing that would know a person again is kept of it.

*Limits:* people who take turns are told apart more often than not, two who speak at once hardly, nor is somebody who
says only a word or two. `benchmarks/speakers.py` made the table below and shows the curve, on other speakers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

N_FIGURES = 13
"""Of a frame: its pitch in semitones, and twelve coefficients of its colour."""

NOTHING_TO_COMPARE = -99.0

MANY_SPEAKERS_NATS = 13.0
"""So much likelier two people must be than one: 1.3 % of clips of one person are above it."""

_N_BANDS = 16
_FARTHEST_SEMITONES = 7.0
_MIN_FRAMES = 10  # on each side; below that a mean says nothing
_COSINES: Final[Float32] = (
    np.cos(np.pi * np.arange(1, N_FIGURES)[None, :] * (np.arange(_N_BANDS)[:, None] + 0.5) / _N_BANDS) / (N_FIGURES - 1)
).astype(np.float32)
# The eight directions in which people differ most beside what they say, and how far they do, from 91 speakers.
DIRECTIONS: Final[Float32] = np.array(
    [
        (0.0400, 0.0089, -0.0532, -0.0447, 0.0446, 0.1856, 0.0970, 0.2520),
        (-0.0129, 0.0313, 0.0125, 0.0294, -0.0716, 0.0460, 0.1631, 0.0252),
        (-0.0512, 0.0194, -0.0399, 0.0457, 0.1431, 0.0832, 0.0378, -0.0577),
        (-0.0478, -0.0531, -0.0614, -0.0732, 0.0775, 0.1053, 0.1395, -0.0174),
        (0.1218, 0.0335, -0.0683, 0.0459, 0.1578, 0.1408, 0.0590, -0.0476),
        (0.0716, -0.1327, 0.0646, -0.1462, 0.0416, 0.0970, 0.1072, -0.0355),
        (0.0570, 0.0992, -0.0628, -0.0887, 0.0868, 0.0713, -0.1148, -0.1363),
        (0.0601, 0.0322, -0.0728, -0.0969, -0.1225, -0.0326, 0.1025, -0.0911),
        (-0.0939, -0.0172, -0.0137, 0.1702, -0.0621, 0.2191, -0.0535, -0.1409),
        (-0.0315, 0.0150, -0.1835, -0.2075, -0.0103, 0.0398, 0.1275, -0.0456),
        (0.1887, -0.1251, 0.0086, 0.1279, 0.0747, 0.1546, 0.0096, -0.1715),
        (-0.1015, 0.0567, -0.1522, -0.1469, -0.0908, 0.0013, 0.0599, 0.0212),
        (0.1089, -0.0507, -0.2424, 0.1355, 0.0409, 0.0746, 0.1271, -0.1649),
    ],
    np.float32,
)
SPREADS: Final[Float32] = np.array([0.0211, 0.0343, 0.0579, 0.1074, 0.1450, 0.1827, 0.2960, 2.4014], np.float32)


def voice_figures(colour: Float32, lags: npt.NDArray[np.intp]) -> Float32:
    """What is compared, shape (n_frames, 13).

    Args:
        colour: Of voiced frames, in dB in 16 bands, the loudness taken out; shape (n_frames, 16).
        lags: Periods of their pitch, in samples at 16 kHz.
    """
    semitones = -12.0 * np.log2(np.maximum(lags, 1)).astype(np.float32)
    if len(semitones):  # an octave too high or too low is a mistake of the measurement more often than a voice
        middle = float(np.median(semitones))
        semitones = np.clip(semitones, middle - _FARTHEST_SEMITONES, middle + _FARTHEST_SEMITONES)
    return np.concatenate([semitones[:, None], colour @ _COSINES], axis=1)


def change_of_speaker(figures: Float32) -> float:
    """Nats by which two people explain a clip better than one; `NOTHING_TO_COMPARE` for too little voice.

    Args:
        figures: Of `voice_figures`, in the order of the frames.
    """
    return compare_halves(figures @ DIRECTIONS, SPREADS)


def compare_halves(directions: Float32, spreads: Float32) -> float:
    """The log likelihood ratio of two people against one, at the cut where it is largest.

    Args:
        directions: Of each frame, scaled so that one voice has a variance of 1 in each; shape (n_frames, n).
        spreads: Variance of people in each of the directions, in the same unit; shape (n,).
    """
    n_frames = len(directions)
    if n_frames < 2 * _MIN_FRAMES:
        return NOTHING_TO_COMPARE
    sums = np.cumsum(directions, axis=0, dtype=np.float64)
    before = np.arange(_MIN_FRAMES, n_frames - _MIN_FRAMES + 1)[:, None]
    apart = sums[before[:, 0] - 1] / before - (sums[-1] - sums[before[:, 0] - 1]) / (n_frames - before)
    one = n_frames / (before * (n_frames - before))
    two = one + 2.0 * spreads
    nats = 0.5 * (apart**2 * (1.0 / one - 1.0 / two) - np.log(two / one))
    return float(nats.sum(axis=1).max())
