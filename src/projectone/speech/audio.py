"""Sound to log-mel spectrograms, exactly as Whisper was trained on them."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.speech.spectrum import BLOCK, HALF, HOP_LENGTH, N_FFT, SAMPLE_RATE, MelPower, mel_filters

__all__ = ["HOP_LENGTH", "N_FFT", "SAMPLE_RATE", "log_mel", "log_mel_spectrogram", "mel_filters", "pad_or_trim"]

_LONG_PADDING = N_FFT + HOP_LENGTH  # zeros from which on frames of nothing but padding are left out
_LEAST_POWER = np.float32(1e-10)
_SILENCE = np.float32(-1.5)  # what no power at all becomes: the logarithm of the least power, plus 4, over 4
_DYNAMIC_RANGE = np.float32(2)  # 80 dB on the same scale


def pad_or_trim(array: mx.array, length: int, *, axis: int = -1) -> mx.array:
    """`array` with exactly `length` entries along `axis`: cut, or padded with zeros at the end."""
    if array.shape[axis] >= length:
        return mx.take(array, mx.arange(length), axis=axis) if array.shape[axis] > length else array
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, length - array.shape[axis])
    return mx.pad(array, widths)


def log_mel(samples: npt.NDArray[np.float32], n_mels: int = 80, *, padding: int = 0) -> npt.NDArray[np.float32]:
    """`log_mel_spectrogram` in numpy: (frames, mels)."""
    if samples.ndim != 1 or samples.size + padding <= HALF:
        raise ValueError(f"expected one channel with more than {HALF} samples, got shape {samples.shape}")
    sound = samples.astype(np.float32, copy=False)
    # The reference drops the last frame of its spectrogram: one frame for every whole hop remains.
    n_frames = (sound.size + padding) // HOP_LENGTH
    # Frames of nothing but padding have no power: only those that reach into the sound are computed.
    n_zeros = min(padding, _LONG_PADDING)
    n_heard = n_frames if n_zeros == padding else -(-(sound.size + HALF) // HOP_LENGTH)
    if n_zeros:
        sound = np.pad(sound, (0, n_zeros))
    mel = np.empty((n_frames, n_mels), np.float32)
    power = MelPower(n_mels)
    # As an array: numpy takes four times as long to compare with a single number.
    least = np.full((BLOCK, n_mels), _LEAST_POWER)
    loudest = _SILENCE
    lowest: list[np.float32] = []
    for first in range(0, n_heard, BLOCK):
        out = mel[first : min(first + BLOCK, n_heard)]
        block = power.block(sound, first, len(out))
        np.maximum(block, least[: len(out)], out=block)
        np.log(block, out=block)
        block *= np.float32(0.25 / np.log(10))
        np.add(block, np.float32(1), out=out)
        loudest = max(loudest, out.max())
        lowest.append(_raise(out, loudest - _DYNAMIC_RANGE))
    mel[n_heard:] = _SILENCE
    floor = loudest - _DYNAMIC_RANGE
    # A second pass over everything would take as long as the sound takes to come from memory: only where it is needed.
    for first, left in zip(range(0, n_heard, BLOCK), lowest, strict=True):
        if left < floor:
            _raise(mel[first : min(first + BLOCK, n_heard)], floor)
    _raise(mel[n_heard:], floor)
    return mel


def _raise(frames: npt.NDArray[np.float32], floor: np.float32) -> np.float32:
    """Lift what is below the floor; gives the lowest number left."""
    lowest = frames.min(initial=np.float32(np.inf))
    if lowest < floor:
        np.maximum(frames, floor, out=frames)
    return max(lowest, floor)


def log_mel_spectrogram(samples: npt.NDArray[np.float32] | mx.array, n_mels: int = 80, *, padding: int = 0) -> mx.array:
    """Log-mel frames of a recording, (frames, mels), float32: 100 a second.

    Args:
        samples: One channel at 16 kHz, within -1 and 1; more than 200 samples with the padding.
        n_mels: Mel bands.
        padding: Zeros appended first. The loudest frame sets the floor, so padding does not change real frames.

    Raises:
        ValueError: if the sound is too short or has another shape than one channel.

    Source: `log_mel_spectrogram` in whisper/audio.py.
    """
    return mx.array(log_mel(np.asarray(samples, dtype=np.float32), n_mels, padding=padding))
