"""Log-mel features against transformers' extractor."""

from __future__ import annotations

import numpy as np
import pytest

from projectone.speech.audio import log_mel_spectrogram

transformers = pytest.importorskip("transformers", reason="parity needs the parity extra (torch, transformers)")

pytestmark = pytest.mark.parity


def sounds(n_samples: int) -> dict[str, np.ndarray]:
    random, time_s = np.random.default_rng(0), np.arange(n_samples) / 16_000
    sweep = 0.5 * np.sin(2 * np.pi * (100 * time_s + 300 * time_s**2))
    return {
        "noise": 0.1 * random.normal(size=n_samples),
        "sweep": sweep,
        "loud then silent": np.where(time_s < 1, random.normal(size=n_samples), 0),
        "silence": np.zeros(n_samples),
        "full scale": np.sign(sweep),
        "faint": 1e-5 * random.normal(size=n_samples),
    }


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("chunk_length_s", [10, 30])
@pytest.mark.parametrize("duration_s", [0.05, 3.21, 10.0])
def test_features_equal_the_extractors(n_mels: int, chunk_length_s: int, duration_s: float) -> None:
    extractor = transformers.WhisperFeatureExtractor(feature_size=n_mels, chunk_length=chunk_length_s)
    n_samples = round(16_000 * duration_s)
    for name, sound in sounds(n_samples).items():
        samples = sound.astype(np.float32)
        expected = extractor(samples, sampling_rate=16_000, return_tensors="np").input_features[0].T
        got = np.array(log_mel_spectrogram(samples, n_mels, padding=16_000 * chunk_length_s - n_samples))
        np.testing.assert_allclose(got, expected, atol=1e-4, err_msg=name)
