"""The power of a sound in mel bands, as matrix products: on a CPU with a fast BLAS cheaper than a Fourier transform.

A real transform of 400 points takes 400 x 402 products as a matrix. Three mirrors leave an eighth of them:

1. Samples n and 400 - n have the same cosines and opposite sines: they are added for the former and subtracted for the
   latter, and half of the samples are left.
2. Samples n and 200 - n have the same cosines in even bins and opposite ones in odd bins; with sines it is the other
   way round. So again they are added and subtracted, and half of the samples are left for each kind of bins.
3. Bins k and 200 - k differ only in the sign of odd samples. So even and odd samples are multiplied apart, for bins 1
   to 100, then added for bin k and subtracted for bin 200 - k. No triangle holds bins 0 and 200.

Hann's window is the same for n and 400 - n, so it can wait for the second mirror. There it is not: w(200 - n) is
1 - w(n). So one side of that mirror is multiplied by w(n) / w(200 - n), and w(200 - n) is a factor of the matrices.

Frames lie innermost: a row holds one sample of each frame. The row of sample n + 160 is that of sample n one frame
later; so 160 rows hold everything, and a shift in memory stands for copying frames together. What comes in at the end
of a row is of the next row: the last frames of a row mean nothing. Rows lie in memory once forwards and once backwards,
so that each step is a pass over a few long stretches.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
N_FFT = 400
HOP_LENGTH = 160
HALF = N_FFT // 2
_QUARTER = N_FFT // 4
# Numbers in a row. What a block needs, 1.4 MB, mostly stays in a core's second-level cache (240 to 340 take the same
# time), and OpenBLAS multiplies up to 100 x 100 x 100 without packing, a quarter faster. Every block is computed whole,
# so that the last bits of a frame do not depend on how many follow it.
_WIDTH = 288
# Frames at a time. A frame reaches two and a half hops far: the last two numbers of a row mean nothing.
BLOCK = _WIDTH - 2
_ROWS = (
    _QUARTER + 2
)  # samples up to the middle of the second mirror, sample 100, and one more: as many odd as even ones
_BINS = _QUARTER // 2  # of a parity, up to bin 100
# Mel bands in one product: a register of numbers.
_GROUP = 16
# Slaney's mel scale: linear below 1 kHz, logarithmic above.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0


@lru_cache(maxsize=4)
def mel_filters(n_mels: int) -> npt.NDArray[np.float64]:
    """Triangles on Slaney's mel scale with unit area, (frequency bins, mels).

    Source: librosa.filters.mel, which made the filters of the reference.
    """
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, 1 + HALF)
    break_mel = _BREAK_HZ / _HZ_PER_MEL
    top_mel = break_mel + np.log(SAMPLE_RATE / 2 / _BREAK_HZ) / _LOG_STEP
    mels = np.linspace(0.0, top_mel, n_mels + 2)
    linear_hz = mels * _HZ_PER_MEL
    edges_hz = np.where(mels < break_mel, linear_hz, _BREAK_HZ * np.exp(_LOG_STEP * (mels - break_mel)))
    widths_hz = np.diff(edges_hz)
    slopes = edges_hz[None, :] - bins_hz[:, None]
    rising = -slopes[:, :-2] / widths_hz[:-1]
    falling = slopes[:, 2:] / widths_hz[1:]
    triangles: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return triangles * (2.0 / (edges_hz[2:] - edges_hz[:-2]))


class MelPower:
    """Sound to power, a block of frames at a time."""

    def __init__(self, n_mels: int) -> None:
        self._bands = _bands(n_mels)
        self._waves, self._rise = _waves(), _rise()
        # Samples 0 to 159 and back from 160 to 1, one row after the other.
        self._forwards = np.zeros(HOP_LENGTH * _WIDTH + 2, np.float32)
        self._backwards = np.zeros_like(self._forwards)
        # After the first mirror: samples 0 to 101, and 200 down to 99.
        self._once = np.zeros((2, _ROWS, _WIDTH), np.float32)
        # After the second: for odd and even bins.
        self._twice = np.zeros_like(self._once)
        # Even and odd samples apart.
        self._factors = self._twice.reshape(2, -1, 2, _WIDTH).transpose(0, 2, 1, 3)
        # What has been used makes room for what comes. Products: of even and odd samples, with bins 1 to 100.
        self._products = self._once.reshape(-1)[: 4 * _BINS * _WIDTH].reshape(2, _BINS, 2, _WIDTH)
        # Bins 1 to 100, and 199 down to 100.
        self._spectrum = self._twice.reshape(-1)[: 2 * _QUARTER * _WIDTH].reshape(2, _QUARTER, _WIDTH)
        self._power = np.zeros_like(self._spectrum)
        self._mels = np.zeros((_WIDTH, n_mels), np.float32)
        self._first_mirror = self._meetings()

    def block(self, samples: Floats, first: int, n_frames: int = BLOCK) -> Floats:
        """Power of a block of frames, (frames, mels), to be used before the next call.

        Args:
            samples: The whole sound, more than 200 samples; its ends are mirrored.
            first: Number of the first frame.
            n_frames: How many are wanted, at most `BLOCK`; beyond the sound they mean nothing.
        """
        self._lay_out(_stretch(samples, first))
        self._transform(is_sine=False)
        np.square(self._spectrum, out=self._power)
        self._transform(is_sine=True)
        np.square(self._spectrum, out=self._spectrum)
        self._power += self._spectrum
        for half, bins, mels, weights, is_rest in self._bands:
            power = self._power[half, bins].T
            if is_rest:  # triangles that reach across bin 100
                self._mels[:, mels] += power @ weights
            else:
                np.matmul(power, weights, out=self._mels[:, mels])
        return self._mels[:n_frames]

    def _lay_out(self, stretch: Floats) -> None:
        """Rows of the sound under a block, forwards and backwards."""
        ahead, back = (rows[:-2].reshape(HOP_LENGTH, _WIDTH) for rows in (self._forwards, self._backwards))
        np.copyto(ahead, stretch.reshape(_WIDTH, HOP_LENGTH).T)
        back[0, :-1] = ahead[0, 1:]  # sample 160 is sample 0 of the next hop
        back[1:] = ahead[:0:-1]

    def _transform(self, *, is_sine: bool) -> None:
        """Cosine or sine part of each bin, as `_spectrum`; signs are not kept."""
        fold = np.subtract if is_sine else np.add
        for sample, image, out in self._first_mirror:
            fold(sample, image, out=out)
        near, far = self._once
        near *= self._rise
        of_odd_bins, of_even_bins = self._twice
        np.add(near, far, out=of_odd_bins if is_sine else of_even_bins)
        np.subtract(near, far, out=of_even_bins if is_sine else of_odd_bins)
        np.matmul(self._waves[int(is_sine)], self._factors, out=self._products.transpose(2, 0, 1, 3))
        even, odd = self._products.reshape(2, -1)
        lower, upper = self._spectrum.reshape(2, -1)
        np.add(even, odd, out=lower)
        np.subtract(even, odd, out=upper)

    def _meetings(self) -> list[tuple[Floats, Floats, Floats]]:
        """Stretches of rows that the first mirror brings together, and where they go."""
        ahead, back = self._forwards, self._backwards
        near, far = self._once.reshape(2, -1)
        # Row n is about samples n and 400 - n, or 200 - n and 200 + n. Where they lie changes where a hop ends.
        return [
            (_rows(ahead, 0, 80), _rows(back, 80, 160, later=2), _rows(near, 0, 80)),
            (_rows(ahead, 80, 102), _rows(back, 0, 22, later=1), _rows(near, 80, 102)),
            (_rows(back, 120, 160, later=1), _rows(ahead, 40, 80, later=1), _rows(far, 0, 40)),
            (_rows(back, 0, 62), _rows(ahead, 80, 142, later=1), _rows(far, 40, 102)),
        ]


def _rows(rows: Floats, start: int, end: int, *, later: int = 0) -> Floats:
    """Some rows, as they are so many frames later."""
    return rows[start * _WIDTH + later : end * _WIDTH + later]


def _stretch(samples: Floats, first: int) -> Floats:
    """The sound under a block of frames; beyond the mirrored end follows nothing."""
    size = _WIDTH * HOP_LENGTH
    start = first * HOP_LENGTH - HALF
    end = start + size
    covered = samples[max(0, start) : end]
    before, after = max(0, -start), max(0, end - samples.size)
    if not before and not after:
        return covered
    mirrored = np.pad(covered, (before, min(after, HALF)), mode="reflect")
    return np.pad(mirrored, (0, size - mirrored.size))


@lru_cache(maxsize=1)
def _rise() -> Floats:
    """w(n) / w(200 - n) of samples 0 to 101, as rows."""
    ratio = np.tan(np.pi * np.arange(_ROWS) / N_FFT) ** 2
    rows: Floats = np.repeat(ratio.astype(np.float32)[:, None], _WIDTH, axis=1)
    return rows


@lru_cache(maxsize=1)
def _waves() -> Floats:
    """w(200 - n) times cosines and sines: (cosine or sine, odd or even bins, even or odd samples, bins, places)."""
    sample = np.arange(_ROWS).reshape(-1, 2).T  # even and odd ones
    window = np.cos(np.pi * sample / N_FFT) ** 2
    window[0, 0] /= 2  # sample 200 is its own image in the first mirror,
    window[0, -1] /= 2  # and sample 100 in the second
    window[1, -1] = 0  # sample 101 is one too many
    bins = np.arange(1, _QUARTER + 1).reshape(_BINS, 2).T
    angle = 2 * np.pi / N_FFT * bins[:, None, :, None] * sample[None, :, None, :]
    waves: Floats = (window[:, None, :] * np.stack([np.cos(angle), np.sin(angle)])).astype(np.float32)
    return waves


_Band = tuple[int, slice, slice, Floats, bool]


@lru_cache(maxsize=4)
def _bands(n_mels: int) -> list[_Band]:
    """The filters as narrow blocks: half of the bins, which of them, mels, weights, whether the mels are begun already.

    The lower half is bins 1 to 100, the upper one bins 199 down to 101. Triangles are narrow: products of blocks are a
    fifth of the work of one with all bins.
    """
    filters = mel_filters(n_mels)
    bands: list[_Band] = []
    for first in range(0, n_mels, _GROUP):
        is_begun = False
        for half, rows in enumerate((filters[1 : _QUARTER + 1], filters[HALF - 1 : _QUARTER : -1])):
            group = rows[:, first : first + _GROUP]
            used, filled = (np.flatnonzero(group.any(axis=axis)) for axis in (1, 0))
            if not used.size:
                continue
            bins = slice(int(used[0]), int(used[-1]) + 1)
            begin, end = (int(filled[0]), int(filled[-1]) + 1) if is_begun else (0, group.shape[1])
            weights = np.ascontiguousarray(group[bins, begin:end], np.float32)
            bands.append((half, bins, slice(first + begin, first + end), weights, is_begun))
            is_begun = True
    return bands
