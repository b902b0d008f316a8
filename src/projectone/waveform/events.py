"""What sounds in a clip besides speech: levels, floors and lines of narrow bands, and the event alone, cut out of it.

Nothing here knows what an event is. A clip is described by 96 figures; whoever compares many clips sees in which of
them something stands out, and `cut_event` gives that part of the sound alone, so that it can be mixed into other clips.
Clips come at 16 kHz: what was above 8 kHz is gone since they were resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["peak", "floor", "line"]

KINDS: Final[tuple[Kind, ...]] = ("peak", "floor", "line")
N_SLOTS = 32
SLOT_HZ = 250.0

_N_FFT = 1024  # 64 ms: a tone of that length is a line, a clap is still short
_HOP = 256
_BINS_PER_SLOT = 16
_WINDOW: Final = np.hanning(_N_FFT + 1)[:-1].astype(np.float32)
_NEAR_BINS = 16  # a line is compared with its surroundings up to 250 Hz away
_LINE_BINS = 2
_WITHIN_DB = 10.0
_LOUD_PERCENTILE = 95
_MAX_S = 30.0

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def describe(samples: Float32) -> Float32:
    """Figures of a clip in dB, shape (96,): for each of 32 slots of 250 Hz its peak, then its floor, then its line.

    Peaks and floors are relative to the loudness of the clip, a line to its surroundings: no figure knows the gain.

    Args:
        samples: 16 kHz mono, shape (n,); of more than 30 s the beginning counts.
    """
    power = _power(_spectrum(samples))
    levels = _slot_levels(power)
    loud_db = _decibels(np.percentile(power.sum(axis=1), _LOUD_PERCENTILE))
    lines = _lines(power)[:, : N_SLOTS * _BINS_PER_SLOT].reshape(len(power), N_SLOTS, _BINS_PER_SLOT)
    parts = (levels.max(axis=0) - loud_db, np.percentile(levels, 10, axis=0) - loud_db, lines.max(axis=(0, 2)))
    figures: Float32 = np.concatenate(parts).astype(np.float32)
    return figures


def cut_event(samples: Float32, kind: Kind, slots: Sequence[int]) -> Float32:
    """What stands out in these slots, and nothing else of the clip; as loud as beside speech of loudness 1.

    A peak is cut out of the moments in which the slots are loudest, a line is followed through the slots, a floor is
    taken as long as the clip is.

    Args:
        samples: 16 kHz mono, shape (n,).
        kind: What stands out.
        slots: Where, from 0 for the lowest 250 Hz.
    """
    spectrum = _spectrum(samples)
    power = _power(spectrum)
    in_slots = np.zeros(power.shape[1], bool)
    for slot in slots:
        in_slots[slot * _BINS_PER_SLOT : (slot + 1) * _BINS_PER_SLOT + 1] = True
    keep = np.broadcast_to(in_slots, power.shape).copy()
    if kind == "line":
        lines = np.where(keep, _lines(power), -np.inf)
        strongest = lines.argmax(axis=1)
        near = np.abs(np.arange(power.shape[1]) - strongest[:, None]) <= _LINE_BINS
        is_line = lines.max(axis=1) > lines.max() - _WITHIN_DB
        keep &= near & is_line[:, None]
    elif kind == "peak":
        levels = _decibels((power * keep).sum(axis=1))
        keep &= (levels > levels.max() - _WITHIN_DB)[:, None]
    event = _sound(spectrum * keep)
    active = np.flatnonzero(keep.any(axis=1))
    first, last = active[0] * _HOP, active[-1] * _HOP + _N_FFT
    return (event[first:last] / loudness(samples)).astype(np.float32)


def mix_event(samples: Float32, event: Float32, *, at: float) -> Float32:
    """The clip with an event in it, as loud beside its speech as where it was cut out.

    Args:
        samples: 16 kHz mono, shape (n,).
        event: Of `cut_event`; repeated to the end if `at` is negative.
        at: Where it begins, as a fraction of the clip; it may outlast the clip.
    """
    begin = round(max(at, 0.0) * len(samples))
    if at < 0:
        event = np.resize(event, len(samples))
    mixed = np.zeros(max(len(samples), begin + len(event)), np.float32)
    mixed[: len(samples)] = samples
    mixed[begin : begin + len(event)] += loudness(samples) * event
    return mixed


def loudness(samples: Float32) -> float:
    """Root of the mean power of the loud moments; never 0."""
    power = _power(_spectrum(samples)).sum(axis=1)
    return float(np.sqrt(np.percentile(power, _LOUD_PERCENTILE) / (_N_FFT * float((_WINDOW**2).sum()) / 2) + 1e-12))


def _spectrum(samples: Float32) -> npt.NDArray[np.complex64]:
    """Shape (n_frames, 513); the clip's ends are whole frames."""
    clip = samples[: round(_MAX_S * 2 * N_SLOTS * SLOT_HZ)]
    padded = np.pad(clip, (0, max(0, _N_FFT - len(clip)) + (-max(len(clip) - _N_FFT, 0)) % _HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_HOP]
    spectrum: npt.NDArray[np.complex64] = np.fft.rfft(frames * _WINDOW, axis=1).astype(np.complex64)
    return spectrum


def _sound(spectrum: npt.NDArray[np.complex64]) -> Float32:
    """By overlap and add; the window twice, and what it sums up to taken out."""
    frames = np.fft.irfft(spectrum, _N_FFT, axis=1) * _WINDOW
    n_samples = (len(frames) - 1) * _HOP + _N_FFT
    sound, weight = np.zeros(n_samples), np.zeros(n_samples)
    for number, frame in enumerate(frames):
        sound[number * _HOP : number * _HOP + _N_FFT] += frame
        weight[number * _HOP : number * _HOP + _N_FFT] += _WINDOW**2
    # At the ends one window is alone, and near zero.
    return (sound / np.maximum(weight, 0.1)).astype(np.float32)


def _power(spectrum: npt.NDArray[np.complex64]) -> Float64:
    return (spectrum.real**2 + spectrum.imag**2).astype(np.float64)


def _slot_levels(power: Float64) -> Float64:
    slots = power[:, : N_SLOTS * _BINS_PER_SLOT].reshape(len(power), N_SLOTS, _BINS_PER_SLOT)
    return _decibels(slots.sum(axis=2))


def _lines(power: Float64) -> Float64:
    """How far each bin stands over the mean of its surroundings, itself left out, in dB; shape as `power`."""
    sums = np.zeros((len(power), power.shape[1] + 1))
    np.cumsum(power, axis=1, out=sums[:, 1:])
    bins = np.arange(power.shape[1])

    def around(reach: int) -> tuple[Float64, npt.NDArray[np.intp]]:
        low, high = np.maximum(bins - reach, 0), np.minimum(bins + reach + 1, power.shape[1])
        return sums[:, high] - sums[:, low], high - low

    (wide, n_wide), (own, n_own) = around(_NEAR_BINS), around(_LINE_BINS)
    ratio: Float64 = (own / n_own) / (np.maximum(wide - own, 0.0) / (n_wide - n_own) + 1e-9 * power.max() + 1e-14)
    return _decibels(ratio)


def _decibels(power: npt.ArrayLike) -> Float64:
    levels: Float64 = 10.0 * np.log10(np.asarray(power, np.float64) + 1e-10)
    return levels
