"""A second of a voice as 256 numbers: near for one person, far for two. Resemblyzer's encoder in numpy.

Wan, Wang, Papir and Moreno, "Generalized end-to-end loss for speaker verification" (ICASSP 2018): three LSTM layers
over 40 mel bands. Such numbers know a person again: they are compared in memory, and kept and logged nowhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.server.voices.recurrent import read_layers
from projectone.server.voices.weights import VOICES, read_at, read_content

Float32 = npt.NDArray[np.float32]

_RATE_HZ, _FRAME, _HOP, _BANDS = 16_000, 400, 160, 40
_SIZE, _N_LAYERS, _NUMBERS = 256, 3, 256
# Where the arrays lie in the file, in bytes.
_RECURRENT_AT, _RECURRENT, _DENSE_AT, _BIAS_AT = 269_883, 1_357_824, 7_731, 6_699
# Mean power of a frame at -30 dB of full scale, as the encoder was taught: each stretch is brought there.
_LEVEL: Final = 0.148
_QUIET_DB: Final = 30.0
_OVER_NOISE_DB, _CLEAR_DB = 5.0, 12.0
_HANGOVER: Final = 7  # frames
_AT_ONCE: Final = 32


class VoiceEncoder:
    """The network.

    Args:
        path: Of its weights, `VOICES`.

    Raises:
        DigestMismatchError: if it is another file.
    """

    def __init__(self, path: Path) -> None:
        content = read_content(VOICES, path)
        recurrent = read_at(content, _RECURRENT_AT, _RECURRENT)
        self._layers = read_layers(recurrent, _BANDS, _SIZE, n_layers=_N_LAYERS, n_directions=1)
        self._dense = read_at(content, _DENSE_AT, _SIZE * _NUMBERS).reshape(_NUMBERS, _SIZE).T
        self._bias = read_at(content, _BIAS_AT, _NUMBERS)

    def __call__(self, samples: Float32, *, window: int, hop: int) -> Float32:
        """Each stretch of the loud parts of a clip as numbers of length 1, shape (n_stretches, 256); none if too short.

        Args:
            samples: 16 kHz mono, shape (n,).
            window: Frames of 10 ms of a stretch.
            hop: From one stretch to the next.
        """
        bands = loud_frames(mel_bands(samples))
        starts = range(0, len(bands) - window + 1, hop)
        if not starts:
            return np.empty((0, _NUMBERS), np.float32)
        stretches = np.stack([bands[start : start + window] for start in starts])
        power = stretches.sum(axis=2).mean(axis=1)
        stretches *= (_LEVEL / np.maximum(power, 1e-12))[:, None, None]
        blocks = [stretches[at : at + _AT_ONCE] for at in range(0, len(stretches), _AT_ONCE)]
        return np.concatenate([self._encode(block) for block in blocks])

    def _encode(self, found: Float32) -> Float32:
        for layer in self._layers:
            found = layer(found)
        numbers = np.maximum(found[:, -1] @ self._dense + self._bias, 0.0)
        unit: Float32 = numbers / np.maximum(np.linalg.norm(numbers, axis=1, keepdims=True), 1e-9)
        return unit


def mel_bands(samples: Float32) -> Float32:
    """Power in 40 bands, shape (n_frames, 40), a frame of 25 ms every 10 ms."""
    padded = np.pad(samples, _FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP] * _WINDOW
    spectrum = np.fft.rfft(frames, axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    return power.astype(np.float32) @ _FILTERS


def loud_frames(bands: Float32) -> Float32:
    """Those within 30 dB of the loudest and, in noise, above what the quietest tenth holds, and those next to them."""
    level = 10.0 * np.log10(bands.sum(axis=1) + 1e-10)
    loudest = float(level.max())
    over_noise = min(float(np.quantile(level, 0.1)) + _OVER_NOISE_DB, loudest - _CLEAR_DB)
    is_loud = np.convolve(level > max(loudest - _QUIET_DB, over_noise), np.ones(_HANGOVER), "same") > 0
    return bands[is_loud]


def _mel_filters() -> Float32:
    """Triangles of equal area on Slaney's mel scale, as librosa makes them; shape (201, 40)."""
    edges_mel = np.linspace(0.0, 15.0 + np.log(8.0) / _LOG_STEP, _BANDS + 2)
    edges_hz = np.where(edges_mel < 15.0, edges_mel * 200.0 / 3.0, 1000.0 * np.exp(_LOG_STEP * (edges_mel - 15.0)))
    places_hz = np.arange(_FRAME // 2 + 1) * _RATE_HZ / _FRAME
    away = edges_hz[:, None] - places_hz
    widths = np.diff(edges_hz)[:, None]
    triangles = np.maximum(0.0, np.minimum(-away[:-2] / widths[:-1], away[2:] / widths[1:]))
    return np.ascontiguousarray((triangles * (2.0 / (edges_hz[2:] - edges_hz[:-2]))[:, None]).T, np.float32)


_LOG_STEP: Final = np.log(6.4) / 27.0
_WINDOW: Final = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_FRAME) / _FRAME)).astype(np.float32)
_FILTERS: Final = _mel_filters()
