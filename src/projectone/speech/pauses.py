"""Which moments of a recording are quiet, by the loudness alone: words begin, end and pause there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from projectone.speech.audio import HOP_LENGTH, SAMPLE_RATE
from projectone.speech.kernels import Floats
from projectone.speech.model_files import ENCODER_STRIDE
from projectone.speech.timing import WordTiming
from projectone.waveform.voice import quantile

_FRAME_S = HOP_LENGTH / SAMPLE_RATE
_SHORTEST_S = 0.08  # the closure before a stop consonant is mostly shorter
_BREATH_S = 0.3  # longer than the closure before any consonant
_FLOOR_DB = -60.0  # below the loudest: digital silence is no quieter than a quiet room
_LEAST_RANGE_DB = 8.0  # from the quietest tenth to speech; with less there is no telling them apart
_QUIET = 0.25  # of that range
_REACH_S = 0.1  # from a boundary between words to the pause that it is moved to


@dataclass(frozen=True, eq=False)
class Loudness:
    """How loud each moment of a recording is.

    Attributes:
        frames: Of 10 ms, from 0, as quiet as the quietest tenth, to 1, as loud as the loudest twentieth.
        pauses: Begin and end in seconds of what is quiet for long enough, in order. At the edges of the recording
            nothing is too short.
    """

    frames: Floats
    pauses: tuple[tuple[float, float], ...]

    def of_positions(self, first_frame: int, n_positions: int) -> Floats:
        """For a window that begins at a frame: the quietest moment of each position of the encoder, or right before."""
        n_wanted = ENCODER_STRIDE * n_positions + 1
        frames = self.frames[max(0, first_frame - 1) : first_frame + n_wanted - 1]
        is_first = int(first_frame == 0)
        frames = np.pad(frames, (is_first, n_wanted - is_first - len(frames)))
        quietest: Floats = np.lib.stride_tricks.sliding_window_view(frames, ENCODER_STRIDE + 1)[::ENCODER_STRIDE].min(
            -1
        )
        return quietest


def loudness_of(samples: Floats) -> Loudness | None:
    """The loudness of a recording; None where noise is so loud that it says nothing.

    Args:
        samples: One channel at 16 kHz.
    """
    n_frames = samples.size // HOP_LENGTH
    if n_frames == 0:
        return None
    sound = samples[: n_frames * HOP_LENGTH].reshape(n_frames, HOP_LENGTH)
    power = np.einsum("fs,fs->f", sound, sound, dtype=np.float64) / HOP_LENGTH
    loud_db = 10 * np.log10(np.maximum(power, np.finfo(np.float64).tiny))
    # Not `np.percentile`: it imports masked arrays, which takes 40 ms of a command's start.
    speech_db = quantile(np.sort(loud_db), 0.95)
    loud_db = np.maximum(loud_db, speech_db + _FLOOR_DB)
    quiet_db = quantile(np.sort(loud_db), 0.10)
    range_db = speech_db - quiet_db
    if range_db < _LEAST_RANGE_DB:
        return None
    frames = np.clip((loud_db - quiet_db) / range_db, 0.0, 1.0).astype(np.float32)
    return Loudness(frames, _pauses(frames < _QUIET))


def middles_of_pauses(samples: Floats) -> list[float]:
    """Where somebody pauses between sentences, or for breath: the middles in seconds, in order.

    Args:
        samples: One channel at 16 kHz.
    """
    loudness = loudness_of(samples)
    pauses = () if loudness is None else loudness.pauses
    return [(begin_s + end_s) / 2 for begin_s, end_s in pauses if end_s - begin_s >= _BREATH_S]


def keep_out(words: Sequence[WordTiming], pauses: Sequence[tuple[float, float]]) -> list[WordTiming]:
    """The words, none of which reaches into a pause at its edge: one ends where it begins, the next begins at its end.

    Args:
        words: In order, on the same clock as `pauses`.
        pauses: In order.
    """
    if not words:
        return []
    starts, ends = [word.start_s for word in words], [word.end_s for word in words]
    boundaries = np.array([*starts, ends[-1]])
    is_moved = set()
    for begin_s, end_s in pauses:
        distances = np.maximum(np.maximum(begin_s - boundaries, boundaries - end_s), 0.0)
        # Several, where short words were put into the pause whole.
        nearest = np.flatnonzero(distances == distances.min()).tolist()
        if distances[nearest[0]] > _REACH_S:
            continue
        if nearest[0] > 0 and nearest[0] not in is_moved:
            ends[nearest[0] - 1] = begin_s
        if nearest[-1] < len(words):
            starts[nearest[-1]] = end_s
        is_moved.update(nearest)
    # A pause may be longer than the word that was put into it.
    return [
        replace(word, start_s=round(min(start, word.end_s), 3), end_s=round(max(end, min(start, word.end_s)), 3))
        for word, start, end in zip(words, starts, ends, strict=True)
    ]


def _pauses(is_quiet: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[tuple[float, float], ...]:
    edges = np.flatnonzero(np.diff(is_quiet.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    found = []
    for first, end in edges.tolist():
        if (end - first) * _FRAME_S >= _SHORTEST_S or first == 0 or end == len(is_quiet):
            found.append((first * _FRAME_S, end * _FRAME_S))
    return tuple(found)
