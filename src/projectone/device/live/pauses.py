"""Where nobody speaks: so that a window of sound ends between two words, and silence is not sent to a model."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from projectone.device.live.spool import RATE_HZ
from projectone.waveform.voice import quantile

SILENCE_DB = -96.0
"""What sixteen bits can say at least; digital silence counts as this."""

_FRAME = RATE_HZ // 50
_PAUSE_FRAMES = 15  # 0.3 s: longer than the closure of a consonant
# Quieter than any speech into a microphone that is switched on.
_NOBODY_DB = -55.0
_BELOW_SPEECH_DB = 25.0
_ABOVE_NOISE_DB = 6.0

Samples = npt.NDArray[np.float32]


def to_samples(pcm: bytes) -> Samples:
    """PCM16 as numbers in [-1, 1]."""
    scaled: Samples = np.multiply(np.frombuffer(pcm, "<i2"), np.float32(2**-15), dtype=np.float32)
    return scaled


def level_db(pcm: bytes) -> float:
    """How loud a piece is: its power in dB, 0 for a square wave at full scale, at least `SILENCE_DB`."""
    samples = to_samples(pcm)
    power = float(np.mean(np.square(samples))) if samples.size else 0.0
    return max(SILENCE_DB, 10 * math.log10(power)) if power > 0 else SILENCE_DB


class Loudness:
    """A stretch of sound in frames of 20 ms, and which of them hold speech, as far as loudness can tell."""

    def __init__(self, samples: Samples) -> None:
        n_frames = samples.size // _FRAME
        power = np.square(samples[: n_frames * _FRAME].reshape(n_frames, _FRAME)).mean(axis=1)
        self._db = np.maximum(10 * np.log10(np.maximum(power, 1e-12)), SILENCE_DB)
        if n_frames:
            ordered = np.sort(self._db)
            quiet, loud = quantile(ordered, 0.10), quantile(ordered, 0.95)
            threshold = max(_NOBODY_DB, min(loud - _ABOVE_NOISE_DB, max(loud - _BELOW_SPEECH_DB, quiet + 6.0)))
            self._is_quiet = self._db < threshold
        else:
            self._is_quiet = np.zeros(0, dtype=bool)

    @property
    def is_silent(self) -> bool:
        """Whether nobody speaks in all of it."""
        return bool(self._is_quiet.all())

    @property
    def ends_in_pause(self) -> bool:
        """Whether the last word is over."""
        return bool(self._is_quiet[-_PAUSE_FRAMES:].all())

    def last_pause(self, first_s: float, end_s: float) -> float | None:
        """The middle, in seconds, of the last pause that has its middle in this stretch; None if there is none."""
        found, began = None, None
        for index, is_quiet in enumerate([*self._is_quiet.tolist(), False]):
            if is_quiet:
                began = index if began is None else began
            elif began is not None:
                middle_s = (began + index) / 2 * _FRAME / RATE_HZ
                if index - began >= _PAUSE_FRAMES and first_s <= middle_s <= end_s:
                    found = middle_s
                began = None
        return found

    def quietest_s(self, first_s: float, end_s: float) -> float:
        """The middle, in seconds, of the quietest fifth of a second of a stretch."""
        first, end = round(first_s * RATE_HZ / _FRAME), round(end_s * RATE_HZ / _FRAME)
        smooth = np.convolve(self._db[first:end], np.full(10, 0.1), mode="valid")
        return (first + int(smooth.argmin()) + 5) * _FRAME / RATE_HZ
