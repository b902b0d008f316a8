"""What the WAV parser promises about any bytes at all."""

from __future__ import annotations

import numpy as np

from projectone.errors import DataError
from projectone.waveform.wav import MAX_CHANNELS, MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, encode_wav, parse_wav


def parse_safely(content: bytes) -> str | None:
    """The reason of a refusal; None for sound that keeps every promise."""
    try:
        audio = parse_wav(content)
    except DataError as error:
        assert error.reason.startswith("wav-")
        return error.reason
    assert audio.samples.ndim == 2
    assert 1 <= audio.samples.shape[1] <= MAX_CHANNELS
    assert MIN_SAMPLE_RATE_HZ <= audio.sample_rate_hz <= MAX_SAMPLE_RATE_HZ
    assert len(audio.samples) > 0
    assert audio.samples.dtype == np.float32
    assert np.isfinite(audio.samples).all()
    assert audio.samples.nbytes <= 2 * len(content) + 64  # 16 bits become 32, and nothing else grows
    again = parse_wav(encode_wav(np.clip(audio.samples, -1, 1), audio.sample_rate_hz))
    assert again.samples.shape == audio.samples.shape
    return None
