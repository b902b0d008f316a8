"""Who speaks when, in five seconds of sound: PyanNet in numpy.

Bredin and Laurent, "End-to-end speaker segmentation for overlap-aware resegmentation" (Interspeech 2021): a bank of
learned band-pass filters (SincNet), four LSTM layers both ways, and for up to three people the chance that each of them
speaks, frame by frame, two at once too. It says that somebody is another one than the one before, and never who.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.server.voices.recurrent import read_layers
from projectone.server.voices.weights import TURNS, read_archive, read_content

Float32 = npt.NDArray[np.float32]

RATE_HZ: Final = 16_000
WINDOW: Final = 5 * RATE_HZ
"""Samples that the network was taught with."""

SHORTEST: Final = RATE_HZ
_STRIDE, _POOL, _KERNEL = 10, 3, 5
FRAME_S: Final = _STRIDE * _POOL**3 / RATE_HZ
"""Between two frames."""

_LOWEST_HZ, _NARROWEST_HZ, _HIGHEST_HZ = 50.0, 50.0, 8000.0
_N_LAYERS, _SIZE, _BANDS, _CHANNELS, _PEOPLE = 4, 128, 80, 60, 3
_AT_ONCE = 8

# Where each array lies in the archive; the LSTM layers share one member.
_MEMBERS: Final = {
    "scale": 0, "offset": 1, "low_hz": 2, "band_hz": 3, "window": 4, "times": 5, "kernel1": 6, "bias1": 7, "kernel2": 8,
    "bias2": 9, "norm0": 10, "shift0": 11, "norm1": 12, "shift1": 13, "norm2": 14, "shift2": 15, "recurrent": 16,
    "dense0": 17, "dense_bias0": 18, "dense1": 19, "dense_bias1": 20, "people": 21, "people_bias": 22,
}  # fmt: skip


class SpeakerActivity:
    """The network.

    Args:
        path: Of its weights, `TURNS`.

    Raises:
        DigestMismatchError: if it is another file.
    """

    def __init__(self, path: Path) -> None:
        members = {name: f"archive/data/{number}" for name, number in _MEMBERS.items()}
        self._arrays = read_archive(read_content(TURNS, path), members)
        self._filters = _sinc_filters(*(self._arrays[name] for name in ("low_hz", "band_hz", "window", "times")))
        self._layers = read_layers(self._arrays["recurrent"], _CHANNELS, _SIZE, n_layers=_N_LAYERS, n_directions=2)

    def __call__(self, windows: Float32) -> Float32:
        """The chance that each of three people speaks, shape (n_windows, n_frames, 3).

        Args:
            windows: 16 kHz mono, shape (n_windows, n), of one length, a second at least.
        """
        blocks = [windows[at : at + _AT_ONCE] for at in range(0, len(windows), _AT_ONCE)]
        return np.concatenate([self._activity(block) for block in blocks])

    def _activity(self, windows: Float32) -> Float32:
        found = np.stack([self._features(window) for window in windows])
        for layer in self._layers:
            found = layer(found)
        for number in range(2):
            weights = self._arrays[f"dense{number}"].reshape(_SIZE, -1)
            found = _leak(found @ weights.T + self._arrays[f"dense_bias{number}"])
        logits = found @ self._arrays["people"].reshape(_PEOPLE, _SIZE).T + self._arrays["people_bias"]
        chance: Float32 = 0.5 * (1.0 + np.tanh(0.5 * logits))
        return chance

    def _features(self, samples: Float32) -> Float32:
        """Shape (n_frames, 60), a frame every 16.9 ms."""
        arrays = self._arrays
        even = _normalise(samples[:, None], arrays["scale"], arrays["offset"])
        found = np.abs(_convolve(even, self._filters, _STRIDE))
        found = _leak(_normalise(_pool(found), arrays["norm0"], arrays["shift0"]))
        for number in (1, 2):
            kernel = arrays[f"kernel{number}"].reshape(_CHANNELS, -1, _KERNEL)
            found = _convolve(found, kernel.transpose(2, 1, 0).reshape(-1, _CHANNELS), 1) + arrays[f"bias{number}"]
            found = _leak(_normalise(_pool(found), arrays[f"norm{number}"], arrays[f"shift{number}"]))
        return found


def _sinc_filters(low_hz: Float32, band_hz: Float32, window: Float32, times: Float32) -> Float32:
    """Band-pass filters and their Hilbert partners, (251, 80), from their edges (Ravanelli and Bengio, 2018)."""
    low = _LOWEST_HZ + np.abs(low_hz)[:, None]
    high = np.clip(low + _NARROWEST_HZ + np.abs(band_hz)[:, None], _LOWEST_HZ, _HIGHEST_HZ)
    band = high - low
    even = (np.sin(high * times) - np.sin(low * times)) / (times / 2) * window
    odd = (np.cos(low * times) - np.cos(high * times)) / (times / 2) * window
    cosines = np.concatenate([even, 2 * band, even[:, ::-1]], axis=1)
    sines = np.concatenate([odd, np.zeros_like(band), -odd[:, ::-1]], axis=1)
    filters = np.concatenate([cosines, sines]) / np.tile(2 * band, (2, 1))
    return np.ascontiguousarray(filters.T, np.float32)


def _convolve(found: Float32, kernel: Float32, stride: int) -> Float32:
    """Of frames (n, c) with a kernel (k * c, out): every `stride`-th place, shape (n_places, out)."""
    n_channels = found.shape[1]
    width = len(kernel) // n_channels
    flat = np.ascontiguousarray(found).reshape(-1)
    places = np.lib.stride_tricks.sliding_window_view(flat, width * n_channels)[:: stride * n_channels]
    product: Float32 = places @ kernel
    return product


def _pool(found: Float32) -> Float32:
    """The largest of three frames in a row."""
    n_frames = len(found) // _POOL
    largest: Float32 = found[: n_frames * _POOL].reshape(n_frames, _POOL, -1).max(axis=1)
    return largest


def _normalise(found: Float32, scale: Float32, offset: Float32) -> Float32:
    """Each channel to a mean of 0 and a variance of 1, then scaled as it was taught."""
    even: Float32 = found - found.mean(axis=0)
    even *= scale / np.sqrt(np.mean(np.square(even), axis=0) + 1e-5)
    even += offset
    return even


def _leak(found: Float32) -> Float32:
    """A leaky rectifier."""
    leaked: Float32 = np.maximum(found, np.float32(0.01) * found)
    return leaked
