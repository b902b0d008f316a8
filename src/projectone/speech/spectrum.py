"""The power of a sound in mel bands, as matrix products: on a CPU with a fast BLAS cheaper than a Fourier transform."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Floats = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
N_FFT = 400
HOP_LENGTH = 160
HALF = N_FFT // 2
_QUARTER = N_FFT // 4
# Frames at a time: what a block needs, 1.4 MB, stays in a core's second-level cache.
BLOCK = 288
# Frames in one product: OpenBLAS multiplies up to 100 x 100 x 100 without packing, which is a quarter faster. Every
# product is computed whole, so that the last bits of a frame do not depend on how many follow it.
_CHUNK = 96
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
    """Sound to power, a block of frames at a time.

    A real transform of 400 points takes 400 x 402 products as a matrix. Here it takes a quarter of them:

    - The window is symmetric and zero at sample 0. So sample n and sample 400 - n are added for the cosines and
      subtracted for the sines, before the product.
    - Between bins k and 200 - k only the sign of the odd samples differs. So even and odd samples are multiplied apart
      for bins 1 to 100, then added for bin k and subtracted for bin 200 - k. No triangle holds bins 0 and 200.

    Samples of one parity lie side by side, once forwards and once backwards: then what a frame adds and subtracts are
    two stretches of memory, and all that follows runs over whole arrays.
    """

    def __init__(self, n_mels: int) -> None:
        self._waves, self._bands = _waves(), _bands(n_mels)
        n_pairs = (BLOCK + 2) * HOP_LENGTH // 2
        self._forwards = np.empty((2, n_pairs), np.float32)
        self._backwards = np.empty_like(self._forwards)
        # Cosines and sines, even and odd samples, frames, places; later the power of bins 1 to 100 and 199 to 100.
        self._folded = np.empty((2, 2, BLOCK, _QUARTER), np.float32)
        # The same with bins for places; before that, what is folded.
        self._products = np.empty_like(self._folded)
        self._power = np.empty((BLOCK, n_mels), np.float32)
        self._ahead, self._mirrored = self._views(n_pairs)

    def block(self, samples: Floats, first: int, n_frames: int = BLOCK) -> Floats:
        """Power of a block of frames, (frames, mels), to be used before the next call.

        Args:
            samples: The whole sound, more than 200 samples; its ends are mirrored.
            first: Number of the first frame.
            n_frames: How many are wanted, at most `BLOCK`; beyond the sound they mean nothing.
        """
        used = slice(0, -(-n_frames // _CHUNK) * _CHUNK)
        np.copyto(self._forwards, self._stretch(samples, first).reshape(-1, 2).T)
        np.copyto(self._backwards, self._forwards[:, ::-1])
        folded, products = self._folded[:, :, used], self._products[:, :, used]
        ahead, mirrored = products
        for is_odd in (0, 1):
            np.copyto(ahead[is_odd], self._ahead[is_odd][used])
            np.copyto(mirrored[is_odd], self._mirrored[is_odd][used])
        np.add(ahead, mirrored, out=folded[0])
        np.subtract(ahead, mirrored, out=folded[1])
        for start in range(0, used.stop, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            np.matmul(folded[:, :, chunk], self._waves, out=products[:, :, chunk])
        even, odd = products[:, 0], products[:, 1]
        np.add(even, odd, out=folded[:, 0])
        np.subtract(even, odd, out=folded[:, 1])
        np.square(folded, out=folded)
        power = np.add(folded[0], folded[1], out=products[0])
        mels_power = self._power[used]
        for half, bins, mels, weights, is_rest in self._bands:
            if is_rest:  # triangles that reach across bin 100
                mels_power[:, mels] += power[half, :, bins] @ weights
            else:
                np.matmul(power[half, :, bins], weights, out=mels_power[:, mels])
        return mels_power[:n_frames]

    def _stretch(self, samples: Floats, first: int) -> Floats:
        """The sound under a block of frames; beyond the mirrored end follows nothing."""
        start = first * HOP_LENGTH - HALF
        end = start + self._forwards.size
        covered = samples[max(0, start) : end]
        before, after = max(0, -start), max(0, end - samples.size)
        if not before and not after:
            return covered
        mirrored = np.pad(covered, (before, min(after, HALF)), mode="reflect")
        return np.pad(mirrored, (0, self._forwards.size - mirrored.size))

    def _views(self, n_pairs: int) -> tuple[list[Floats], list[Floats]]:
        """Per parity, what frames hold at places 1 to 100 (samples 2, 4, ... or 1, 3, ...), and its mirror image."""
        hop = HOP_LENGTH // 2
        windows = sliding_window_view(self._forwards, _QUARTER, axis=1)
        ahead = [windows[0, 1::hop][:BLOCK], windows[1, ::hop][:BLOCK]]
        # Place m of frame f mirrors pair 80 f + 200 - m, which stands from the end where the frames run backwards.
        images = sliding_window_view(self._backwards, _QUARTER, axis=1)[:, n_pairs - HALF :: -hop][:, :BLOCK]
        return ahead, [images[0], images[1]]


@lru_cache(maxsize=1)
def _waves() -> Floats:
    """Windowed cosines and sines of bins 1 to 100: (cosine or sine, even or odd samples, places, bins)."""
    bins = np.arange(1, _QUARTER + 1)[None, :]
    waves = np.empty((2, 2, _QUARTER, _QUARTER))
    for is_odd in (0, 1):
        sample = np.arange(2 - is_odd, HALF + 1, 2)[:, None]
        window = np.sin(np.pi * sample / N_FFT) ** 2  # Hann's
        window = np.where(sample == HALF, window / 2, window)  # added to itself: it is its own mirror image
        angle = 2 * np.pi * bins * sample / N_FFT
        waves[0, is_odd], waves[1, is_odd] = window * np.cos(angle), window * np.sin(angle)
    return waves.astype(np.float32)


_Band = tuple[int, slice, slice, Floats, bool]


@lru_cache(maxsize=4)
def _bands(n_mels: int) -> list[_Band]:
    """The filters as narrow blocks: half of the bins, which of them, mels, weights, whether the mels are begun already.

    The lower half is bins 1 to 100, the upper one bins 199 down to 101. Triangles are narrow: products of blocks are
    less than half the work of one with all bins.
    """
    filters = mel_filters(n_mels)
    lower, upper = filters[1 : _QUARTER + 1], filters[HALF - 1 : _QUARTER : -1]
    n_lower, n_upper = (int(np.count_nonzero(half.any(axis=0))) for half in (lower, upper))
    # Whole registers of 16 numbers, where the mels allow it.
    middle, border = (min(round(n / 16) * 16, n_mels) for n in (n_lower / 2, n_lower + 8))
    bands: list[_Band] = []
    for half, rows, first, end, is_rest in (
        (0, lower, 0, middle, False),
        (0, lower, middle, border, False),
        (1, upper, border, n_mels, False),
        (1, upper, n_mels - n_upper, border, True),
    ):
        used = np.flatnonzero(rows[:, first:end].any(axis=1))
        if used.size:
            bins = slice(int(used[0]), int(used[-1]) + 1)
            weights = np.ascontiguousarray(rows[bins, first:end], np.float32)
            bands.append((half, bins, slice(first, end), weights, is_rest))
    return bands
