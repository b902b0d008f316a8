"""How much speaks for a second voice in a clip: one figure, from 0; 1 and more is worth a person's look.

Two ways to be found, because each sees what the other one misses. Who speaks when (`activity`): the seconds of whoever
speaks second most; it finds two at once, and a short word in between. What the voice is like (`embedding`): how far the
stretches before a cut lie from those after it, at the cut where that is largest; it finds two who take turns.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.server.voices.activity import FRAME_S, RATE_HZ, SHORTEST, WINDOW, SpeakerActivity
from projectone.server.voices.embedding import VoiceEncoder

Float32 = npt.NDArray[np.float32]

SECOND_S: Final = 0.25
"""Seconds of a second person from which on they count."""

FAR_APART: Final = 0.55
"""Distance of two voices from which on they are two; see `distance_at_cut`."""

# Power in a bin above 4.2 kHz over that in one below 4 kHz. Clips of 8 kHz have at most -55; one of 60 others has -50.
_NARROW_DB: Final = -45.0
_LOW_HZ, _HIGH_HZ = 4000, 4200
_HOP: Final = WINDOW // 2
_STRETCH, _STEP = 100, 40  # frames of 10 ms


def measure_second_voice(samples: Float32, activity: SpeakerActivity, encoder: VoiceEncoder) -> float:
    """The figure of a clip: 0 for one voice, 1 where a person should listen.

    A clip through a telephone is judged by what the voice is like alone: who speaks when was taught on whole bands, and
    in a half one it hears people who are not there (3 of 10 clips).

    Args:
        samples: 16 kHz mono, shape (n,).
        activity: Who speaks when.
        encoder: What a voice is like.
    """
    seconds = 0.0 if is_narrow(samples) else second_speaker_s(activity(windows_of(samples)))
    apart = distance_at_cut(encoder(samples, window=_STRETCH, hop=_STEP))
    return max(seconds / SECOND_S, apart / FAR_APART)


def is_narrow(samples: Float32) -> bool:
    """Whether the clip holds next to nothing above 4 kHz, as through a telephone."""
    power = np.square(np.abs(np.fft.rfft(samples)))
    hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    high, low = float(power[hz > _HIGH_HZ].mean()), float(power[hz <= _LOW_HZ].mean())
    return high < low * 10 ** (_NARROW_DB / 10)


def windows_of(samples: Float32) -> Float32:
    """Windows of five seconds that overlap by half, the last one up to the end; of less, the clip as it is."""
    if len(samples) < SHORTEST:
        samples = np.pad(samples, (0, SHORTEST - len(samples)))
    if len(samples) <= WINDOW:
        return samples[None]
    starts = [*range(0, len(samples) - WINDOW, _HOP), len(samples) - WINDOW]
    return np.stack([samples[start : start + WINDOW] for start in starts])


def second_speaker_s(chances: Float32) -> float:
    """Seconds of the second most talkative person, in the window where they are most; of shape (n, n_frames, 3)."""
    return float(np.sort(chances.sum(axis=1), axis=1)[:, -2].max()) * FRAME_S


def distance_at_cut(voices: Float32) -> float:
    """How far the voice before a cut is from the one after it, at the cut where that is largest; 0 for too few.

    The square of the distance of the two means, times the root of how many stretches the smaller side has, about: two
    short sides differ by chance.

    Args:
        voices: Of stretches in their order, shape (n, 256).
    """
    n = len(voices)
    reach = -(-_STRETCH // _STEP)  # a stretch that holds the cut is on no side
    if n < reach + 1:
        return 0.0
    sums = np.concatenate([np.zeros((1, voices.shape[1])), np.cumsum(voices, axis=0, dtype=np.float64)])
    before = np.arange(1, n - reach + 1)
    after = n - before - reach + 1
    apart = sums[before] / before[:, None] - (sums[n] - sums[n - after]) / after[:, None]
    return float((np.square(apart).sum(axis=1) * np.sqrt(before * after / (before + after))).max())
