from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from projectone.speech import encoding
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.encoding import embed_windows
from projectone.speech.numpy_layers import gelu, is_plain
from projectone.speech.whisper import ModelDimensions, Whisper

# float32 sums in another order, and an error function that is right to 1.5e-7; features are around one.
TOLERANCE = 2e-5


@pytest.mark.parametrize("n_frames", [200, 120, 7, 1])
@pytest.mark.parametrize("n_rows", [1, 5])
def test_windows_of_any_length_get_the_models_own_features(
    checkpoint: WhisperCheckpoint, n_frames: int, n_rows: int
) -> None:
    mels = mx.random.normal((n_rows, n_frames, 20))
    expected = np.array(checkpoint.model.embed_audio(mels))
    np.testing.assert_allclose(np.array(embed_windows(checkpoint.model, mels)), expected, atol=TOLERANCE)


def test_more_positions_than_one_block_of_queries_get_the_models_own_features() -> None:
    dims = ModelDimensions(8, 600, 12, 3, 2, 10, 8, 12, 3, 1)
    mx.random.seed(0)
    model = Whisper(dims)
    mels = mx.random.normal((1, 1200, 8))
    expected = np.array(model.embed_audio(mels))
    np.testing.assert_allclose(np.array(embed_windows(model, mels)), expected, atol=TOLERANCE)


def test_a_model_that_is_not_plain_goes_through_mlx(
    checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    mels = mx.random.normal((6, 200, 20))
    expected = np.array(embed_windows(checkpoint.model, mels))
    monkeypatch.setattr(encoding, "NumpyEncoder", None)  # calling it would fail
    checkpoint.model.set_dtype(mx.float16)
    assert not is_plain(checkpoint.model)
    np.testing.assert_allclose(np.array(embed_windows(checkpoint.model, mels)), expected, atol=0.05)


def test_more_frames_than_a_window_are_refused(checkpoint: WhisperCheckpoint) -> None:
    with pytest.raises(ValueError, match="200 frames"):
        embed_windows(checkpoint.model, mx.zeros((1, 201, 20)))


def test_gelu_is_exact_to_float32_over_the_whole_range() -> None:
    x = np.linspace(-12, 12, 100_001, dtype=np.float32)
    expected = np.array(0.5 * mx.array(x) * (1 + mx.erf(mx.array(x) / np.sqrt(2).astype(np.float32))))
    np.testing.assert_allclose(gelu(x.copy()), expected, atol=2e-6)
