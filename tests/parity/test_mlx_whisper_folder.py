"""The folder written for mlx-whisper, opened by mlx-whisper."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from tests.parity.materials import TINY, random_checkpoint, small_checkpoint, tokenizer_of_size

from projectone.speech.checkpoint import load_checkpoint, save_packed
from projectone.speech.decoding import DecodingOptions, decode
from projectone.speech.mlx_whisper import save_mlx_whisper
from projectone.speech.quantize import Bits, Packing

pytest.importorskip("mlx_whisper", reason="parity needs the parity extra (mlx-whisper)")

pytestmark = pytest.mark.parity

# Our sinusoids are rounded once from float64, theirs are computed in float32.
TOLERANCE = 1e-3


def test_a_model_with_a_small_vocabulary_gives_the_same_scores(tmp_path: Path) -> None:
    from mlx_whisper.load_models import load_model

    checkpoint = small_checkpoint()
    save_mlx_whisper(checkpoint, tmp_path, dtype="float32")
    random = np.random.default_rng(0)
    mel = mx.array(random.normal(size=(1, 1000, 80)).astype(np.float32))
    tokens = mx.array(random.integers(0, checkpoint.dims.n_vocab, (1, 12)))
    theirs = np.array(load_model(str(tmp_path), dtype=mx.float32)(mel, tokens))
    assert np.abs(theirs).max() > 5
    np.testing.assert_allclose(np.array(checkpoint.model(mel, tokens)), theirs, atol=TOLERANCE)


@pytest.mark.slow
def test_a_model_of_published_size_writes_the_same_tokens(tmp_path: Path) -> None:
    from mlx_whisper import decoding
    from mlx_whisper.load_models import load_model

    checkpoint = random_checkpoint(TINY, tokenizer_of_size(TINY.n_vocab))
    save_mlx_whisper(checkpoint, tmp_path, dtype="float32")
    mel = mx.array(np.random.default_rng(0).normal(size=(1, 3000, 80)).astype(np.float32))
    # Ids instead of settings, so that nothing depends on the text of a vocabulary that we made up.
    options = decoding.DecodingOptions(
        language="en", without_timestamps=True, suppress_tokens="0", suppress_blank=False, sample_len=8, fp16=False
    )
    theirs = load_model(str(tmp_path), dtype=mx.float32).decode(mel, options)[0].tokens
    tokenizer = checkpoint.tokenizer
    ours = decode(checkpoint, mel, DecodingOptions(max_new_tokens=8, suppress_tokens=(0,), suppress_blank=False))[
        0
    ].tokens
    assert tokenizer.n_vocab == 51865
    assert list(ours) == list(theirs)[:8]


@pytest.mark.parametrize("bits", [8, 4])
def test_packed_weights_are_computed_with_as_they_are(bits: Bits, tmp_path: Path) -> None:
    from mlx_whisper.load_models import load_model

    checkpoint, packing = small_checkpoint(), Packing(bits)
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
    save_mlx_whisper(checkpoint, tmp_path / "theirs", packing=packing)
    save_packed(checkpoint, tmp_path / "ours", packing)
    model = load_model(str(tmp_path / "theirs"), dtype=mx.float16)
    assert isinstance(model.decoder.token_embedding, nn.QuantizedEmbedding)
    random = np.random.default_rng(0)
    mel = mx.array(random.normal(size=(1, 1000, 80)).astype(np.float32))
    tokens = mx.array(random.integers(0, checkpoint.dims.n_vocab, (1, 12)))
    theirs = np.array(model(mel.astype(mx.float16), tokens).astype(mx.float32))
    ours = np.array(load_checkpoint(tmp_path / "ours").model(mel, tokens))
    exact = np.array(checkpoint.model(mel, tokens))
    # They compute in float16, we in float32: 1 % of the spread; what packing costs is five times that and more.
    assert np.sqrt(((ours - theirs) ** 2).mean()) < 0.01 * ours.std()
    assert np.sqrt(((ours - exact) ** 2).mean()) > 0.01 * ours.std()
