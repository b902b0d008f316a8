"""What a recording sounds like in 1.5 kB: alike for copies that are louder, noisier, re-encoded or a little faster.

The energies of 24 mel bands from 100 to 4000 Hz are averaged over 32 equal parts of the clip, so that its speed hardly
counts; as logarithms without each band's mean, so that loudness and microphone do not count. Two clips are compared by
the cosine. One fingerprint spans the whole clip. Silence before or after the words moves its parts, so a second one
spans the core that holds 98 % of the energy; the core's ends move with noise, so neither replaces the other.

Measured on 1 000 real clips (`tests/unit/waveform/test_fingerprint.py`): the most alike of different ones, the same
digit said twice by one speaker, have 0.968; copies with 30 dB of noise 0.997 and more, 1 % faster or slower 0.992,
2 % 0.988, with 0.2 s of silence around them (by the core) 0.999.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
N_PARTS, N_BANDS = 32, 24
N_VALUES = N_PARTS * N_BANDS

_FRAME = 512  # 32 ms
# 5 ms; windows that overlap by two thirds still weigh every moment alike, so from 4 s on they come half as often: each
# part of a clip has twelve of them then.
_HOP, _LONG_HOP = 80, 160
_LONG_S = 4.0
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 4000.0
# Of the mean energy: below it differences are noise, and would count as much as those between words.
_FLOOR = 0.01
_OUTSIDE_CORE = 0.01  # of the energy, at each end
_FRAMES_AT_ONCE = 128  # their spectra stay in the processor's cache
_N_BINS = round(_HIGHEST_HZ * _FRAME / RATE_HZ) + 1
_MOST_INT8 = 127

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Fingerprint:
    """Of one clip. Two are compared by the cosine of `whole`, or of `core`, if the lengths are alike.

    Attributes:
        whole: Of the whole clip, shape (768,); all zero if nothing in it changes.
        core: Of the part with the words, shape (768,).
        whole_s: Length of the clip.
        core_s: Length of the core.
    """

    whole: Int8
    core: Int8
    whole_s: float
    core_s: float


def fingerprint_of(samples: Float32) -> Fingerprint:
    """The fingerprint of a clip.

    Args:
        samples: 16 kHz mono, shape (n,), finite.
    """
    hop = _HOP if len(samples) < _LONG_S * RATE_HZ else _LONG_HOP
    energies = _band_energies(samples, hop)
    sums = np.zeros((len(energies) + 1, N_BANDS))
    np.cumsum(energies, axis=0, out=sums[1:])
    ends = sums.sum(axis=1)
    places = np.arange(len(ends), dtype=np.float64)
    first, last = np.interp([_OUTSIDE_CORE * ends[-1], (1 - _OUTSIDE_CORE) * ends[-1]], ends, places)
    last = max(last, first + 1.0)
    return Fingerprint(
        whole=_shape(energies, sums, 0.0, float(len(energies))),
        core=_shape(energies, sums, float(first), float(last)),
        whole_s=len(samples) / RATE_HZ,
        core_s=float(last - first) * hop / RATE_HZ,
    )


def at_speed(samples: Float32, speed: float) -> Float32:
    """The clip played `speed` times as fast, pitch and all; shape (about n / speed,)."""
    places = np.arange(int(len(samples) / speed)) * speed
    played: Float32 = np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
    return played


def _mel_bank() -> Float32:
    """Weights of the bands, shape (129, 24): triangles, evenly spaced in mel; above 4 kHz all would be zero."""
    hz = np.arange(_N_BINS) * RATE_HZ / _FRAME
    edges = np.linspace(_mel(np.array(_LOWEST_HZ)), _mel(np.array(_HIGHEST_HZ)), N_BANDS + 2)
    mel = _mel(hz)[:, None]
    rising = (mel - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - mel) / (edges[2:] - edges[1:-1])
    bank: Float32 = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    return bank


def _mel(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    mel: npt.NDArray[np.float64] = 2595.0 * np.log10(1.0 + hz / 700.0)
    return mel


_BANK = _mel_bank()
# Only with a factor of 32 bits does NumPy transform in 32 bits, at half the cost; 512 is taken off again, exactly.
_WINDOW = (np.hanning(_FRAME) * _FRAME).astype(np.float32)


def _band_energies(samples: Float32, hop: int) -> Float64:
    """Energy of each band every `hop` samples, shape (n_frames, 24); in blocks, so that memory stays flat."""
    around = _FRAME // 2
    padded = np.pad(samples.astype(np.float32), (around, around + max(0, _FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::hop]
    blocks = []
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        heard = frames[start : start + _FRAMES_AT_ONCE] * _WINDOW
        spectrum = np.fft.rfft(heard, axis=1, norm="forward")[:, :_N_BINS]
        blocks.append((np.square(spectrum.real) + np.square(spectrum.imag)) @ _BANK)
    return np.concatenate(blocks).astype(np.float64)


def _shape(energies: Float64, sums: Float64, first: float, last: float) -> Int8:
    """The frames from `first` to `last`, which may lie between frames, as a fingerprint.

    Args:
        energies: Of the frames, shape (n_frames, 24).
        sums: Of all frames before each, shape (n_frames + 1, 24).
        first: Where to begin.
        last: Where to end.
    """
    edges = np.minimum(np.linspace(first, last, N_PARTS + 1), len(energies))
    below = np.minimum(edges.astype(np.intp), len(energies) - 1)
    at_edges = sums[below] + (edges - below)[:, None] * energies[below]
    parts = np.diff(at_edges, axis=0) / ((last - first) / N_PARTS)
    level = float(parts.mean())
    if level <= 0.0:
        return np.zeros(N_VALUES, np.int8)
    shape = np.log(parts + _FLOOR * level)
    shape -= shape.mean(axis=0, keepdims=True)
    largest = float(np.abs(shape).max())
    if largest <= 0.0:
        return np.zeros(N_VALUES, np.int8)
    return np.rint(shape.ravel() * (_MOST_INT8 / largest)).astype(np.int8)
