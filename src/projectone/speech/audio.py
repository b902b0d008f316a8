"""Sound to log-mel spectrograms, exactly as Whisper was trained on them."""

from __future__ import annotations

from functools import lru_cache

import mlx.core as mx
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
N_FFT = 400
HOP_LENGTH = 160
# Slaney's mel scale: linear below 1 kHz, logarithmic above.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0


def pad_or_trim(array: mx.array, length: int, *, axis: int = -1) -> mx.array:
    """`array` with exactly `length` entries along `axis`: cut, or padded with zeros at the end."""
    if array.shape[axis] >= length:
        return mx.take(array, mx.arange(length), axis=axis) if array.shape[axis] > length else array
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, length - array.shape[axis])
    return mx.pad(array, widths)


@lru_cache(maxsize=4)
def mel_filters(n_mels: int) -> npt.NDArray[np.float64]:
    """Triangles on Slaney's mel scale with unit area, (frequency bins, mels).

    Source: librosa.filters.mel, which made the filters of the reference.
    """
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, 1 + N_FFT // 2)
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


@lru_cache(maxsize=1)
def _window() -> npt.NDArray[np.float32]:
    return np.hanning(N_FFT + 1)[:-1].astype(np.float32)


def log_mel(samples: npt.NDArray[np.float32], n_mels: int = 80) -> npt.NDArray[np.float32]:
    """`log_mel_spectrogram` in numpy: (frames, mels)."""
    if samples.ndim != 1 or samples.size <= N_FFT // 2:
        raise ValueError(f"expected one channel with more than {N_FFT // 2} samples, got shape {samples.shape}")
    padded = np.pad(samples.astype(np.float32, copy=False), N_FFT // 2, mode="reflect")
    # The reference drops the last frame of its spectrogram: one frame for every whole hop remains.
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH][: samples.size // HOP_LENGTH]
    spectrum = np.fft.rfft(frames * _window(), axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    mel = power @ mel_filters(n_mels).astype(np.float32)
    logarithm = np.log10(np.maximum(mel, 1e-10))
    floored = np.maximum(logarithm, logarithm.max() - 8.0)
    scaled: npt.NDArray[np.float32] = ((floored + 4.0) / 4.0).astype(np.float32)
    return scaled


def log_mel_spectrogram(samples: npt.NDArray[np.float32] | mx.array, n_mels: int = 80, *, padding: int = 0) -> mx.array:
    """Log-mel frames of a recording, (frames, mels), float32: 100 a second.

    Args:
        samples: One channel at 16 kHz, within -1 and 1; more than 200 samples with the padding.
        n_mels: Mel bands.
        padding: Zeros appended first. The loudest frame sets the floor, so padding does not change real frames.

    Raises:
        ValueError: if the sound is too short or has another shape than one channel.

    Source: `log_mel_spectrogram` in whisper/audio.py. numpy, because its transforms are the faster ones on a CPU.
    """
    sound = np.asarray(samples, dtype=np.float32)
    if padding > 0:
        sound = np.pad(sound, (0, padding))
    return mx.array(log_mel(sound, n_mels))
