"""The power of a sound in mel bands, as matrix products: on a CPU with a fast BLAS cheaper than a Fourier transform."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
N_FFT = 400
HOP_LENGTH = 160
HALF = N_FFT // 2
_QUARTER = N_FFT // 4
# Frames at a time: what a block needs, 1 MB, stays in a core's second-level cache. Every block is computed whole, so
# that the last bits of a frame do not depend on how many follow it.
BLOCK = 256
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

    Samples of one place in their frame lie side by side (hops are the columns of `_hops`), so that all of this runs
    along memory whatever the place.
    """

    def __init__(self, n_mels: int) -> None:
        self._waves, self._bands = _waves(), _bands(n_mels)
        self._hops = np.empty((HOP_LENGTH, BLOCK + 2), np.float32)
        # Cosines and sines, even and odd samples, places, frames.
        self._folded = np.empty((2, 2, _QUARTER, BLOCK), np.float32)
        self._products = np.empty_like(self._folded)
        self._spectrum = np.empty_like(self._folded)
        self._power = np.empty((BLOCK, n_mels), np.float32)
        self._folds = self._views()

    def block(self, samples: Floats, first: int) -> Floats:
        """Power of a block of frames, (256, mels), to be used before the next call; beyond the sound it means nothing.

        Args:
            samples: The whole sound, more than 200 samples; its ends are mirrored.
            first: Number of the first frame.
        """
        np.copyto(self._hops, self._stretch(samples, first).reshape(-1, HOP_LENGTH).T)
        for ahead, mirrored, added, subtracted in self._folds:
            np.add(ahead, mirrored, out=added)
            np.subtract(ahead, mirrored, out=subtracted)
        np.matmul(self._waves, self._folded, out=self._products)
        even, odd = self._products[:, 0], self._products[:, 1]
        np.add(even, odd, out=self._spectrum[:, 0])
        np.subtract(even, odd, out=self._spectrum[:, 1, ::-1])
        self._spectrum *= self._spectrum
        self._spectrum[0] += self._spectrum[1]
        spectrum = self._spectrum[0].reshape(HALF, BLOCK).T
        for bins, mels, weights in self._bands:
            np.matmul(spectrum[:, bins], weights, out=self._power[:, mels])
        return self._power

    def _stretch(self, samples: Floats, first: int) -> Floats:
        """The sound under a block of frames; beyond the mirrored end follows nothing."""
        start = first * HOP_LENGTH - HALF
        end = start + self._hops.size
        covered = samples[max(0, start) : end]
        before, after = max(0, -start), max(0, end - samples.size)
        if not before and not after:
            return covered
        mirrored = np.pad(covered, (before, min(after, HALF)), mode="reflect")
        return np.pad(mirrored, (0, self._hops.size - mirrored.size))

    def _views(self) -> list[tuple[Floats, Floats, Floats, Floats]]:
        """Rows of samples, of their mirror images, and where their sums and differences go."""
        views = []
        # Places 1 to 200 in runs whose own hop and whose mirror image's hop do not change.
        for low, high, hop, mirrored_hop in ((1, 81, 0, 2), (81, 160, 0, 1), (160, 201, 1, 1)):
            for is_odd in (0, 1):
                places = np.arange(low + (low + is_odd) % 2, high, 2)
                rows = slice(places[0] - hop * HOP_LENGTH, places[-1] - hop * HOP_LENGTH + 1, 2)
                last = N_FFT - places[-1] - mirrored_hop * HOP_LENGTH
                images = self._hops[last : last + 2 * len(places) : 2, mirrored_hop : mirrored_hop + BLOCK][::-1]
                place = (places[0] - 1) // 2
                added, subtracted = self._folded[:, is_odd, place : place + len(places)]
                views.append((self._hops[rows, hop : hop + BLOCK], images, added, subtracted))
        return views


@lru_cache(maxsize=1)
def _waves() -> Floats:
    """Windowed cosines and sines of bins 1 to 100: (cosine or sine, even or odd samples, bins, places)."""
    bins = np.arange(1, _QUARTER + 1)[:, None]
    waves = np.empty((2, 2, _QUARTER, _QUARTER))
    for is_odd in (0, 1):
        sample = np.arange(2 - is_odd, HALF + 1, 2)
        window = np.sin(np.pi * sample / N_FFT) ** 2  # Hann's
        window = np.where(sample == HALF, window / 2, window)  # added to itself: it is its own mirror image
        angle = 2 * np.pi * bins * sample / N_FFT
        waves[0, is_odd], waves[1, is_odd] = window * np.cos(angle), window * np.sin(angle)
    return waves.astype(np.float32)


@lru_cache(maxsize=4)
def _bands(n_mels: int) -> list[tuple[slice, slice, Floats]]:
    """The filters as narrow blocks: bins 1 to 100, then 100 to 199, of some mels.

    Triangles are narrow: three products of blocks are less than half the work of one with all bins.
    """
    filters = mel_filters(n_mels)
    rows = np.concatenate([filters[1 : _QUARTER + 1], np.zeros((1, n_mels)), filters[_QUARTER + 1 : HALF]])
    bands = []
    for first, end in itertools.pairwise((0, 2 * n_mels // 5, 4 * n_mels // 5, n_mels)):
        used = np.flatnonzero(rows[:, first:end].any(axis=1))
        bins = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
        bands.append((bins, slice(first, end), np.ascontiguousarray(rows[bins, first:end], np.float32)))
    return bands
