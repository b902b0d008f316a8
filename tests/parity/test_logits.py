"""The model against transformers: same folder, same input, same scores."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from tests.parity.materials import BASE, SMALL, TINY, TURBO, random_checkpoint, small_checkpoint, tokenizer_of_size

from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint, save_checkpoint
from projectone.speech.encoding import embed_windows
from projectone.speech.whisper import ModelDimensions

torch = pytest.importorskip("torch", reason="parity needs the parity extra (torch, transformers)")
transformers = pytest.importorskip("transformers", reason="parity needs the parity extra (torch, transformers)")

pytestmark = pytest.mark.parity

# The promise is 1e-3; scores are around ten, and both sides sum in float32 in different orders.
TOLERANCE = 1e-3


def theirs(folder: Path, mel: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        features = torch.from_numpy(mel.transpose(0, 2, 1).copy())
        result = model(input_features=features, decoder_input_ids=torch.from_numpy(tokens)).logits.numpy()
    del model
    gc.collect()
    return result


def ours(folder: Path, mel: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    model = load_checkpoint(folder).model
    result = np.array(model(mx.array(mel), mx.array(tokens)))
    del model
    mx.clear_cache()
    return result


def saved(checkpoint: WhisperCheckpoint, folder: Path) -> Path:
    save_checkpoint(checkpoint, folder)
    return folder


def assert_same_logits(folder: Path, dims: ModelDimensions, *, n_tokens: int = 6, n_rows: int = 1) -> None:
    random = np.random.default_rng(0)
    mel = random.normal(size=(n_rows, 2 * dims.n_audio_ctx, dims.n_mels)).astype(np.float32)
    tokens = random.integers(0, dims.n_vocab, (n_rows, n_tokens))
    expected, got = theirs(folder, mel, tokens), ours(folder, mel, tokens)
    assert np.abs(expected).max() > 5, "scores near zero would agree by being small"
    assert np.abs(expected - got).max() <= TOLERANCE


@pytest.mark.parametrize(
    "dims",
    [
        pytest.param(TINY, id="tiny"),
        pytest.param(BASE, id="base", marks=pytest.mark.slow),
        pytest.param(SMALL, id="small", marks=pytest.mark.slow),
        pytest.param(TURBO, id="large-v3-turbo", marks=pytest.mark.slow),
    ],
)
def test_published_sizes_give_the_same_scores(dims: ModelDimensions, tmp_path: Path) -> None:
    tokenizer = tokenizer_of_size(dims.n_vocab, n_languages=100 if dims == TURBO else 99)
    # One copy of the weights at a time: turbo takes 3.2 GB in float32.
    folder = saved(random_checkpoint(dims, tokenizer), tmp_path / "model")
    mx.clear_cache()
    assert_same_logits(folder, dims)


def test_a_small_vocabulary_and_a_window_of_ten_seconds_give_the_same_scores(tmp_path: Path) -> None:
    checkpoint = small_checkpoint()
    assert_same_logits(saved(checkpoint, tmp_path / "model"), checkpoint.dims, n_tokens=20, n_rows=3)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_the_encoder_used_for_transcribing_gives_the_same_features(n_mels: int, tmp_path: Path) -> None:
    dims = replace(TINY, n_mels=n_mels)
    folder = saved(random_checkpoint(dims, tokenizer_of_size(dims.n_vocab)), tmp_path / "model")
    mel = np.random.default_rng(0).normal(size=(1, 3000, n_mels)).astype(np.float32)
    encoder = transformers.WhisperModel.from_pretrained(folder, dtype=torch.float32).eval().get_encoder()
    with torch.no_grad():
        expected = encoder(torch.from_numpy(mel.transpose(0, 2, 1).copy())).last_hidden_state.numpy()
    got = np.array(embed_windows(load_checkpoint(folder).model, mx.array(mel)))
    assert np.abs(expected).max() > 1
    assert np.abs(expected - got).max() <= TOLERANCE


def test_a_folder_that_transformers_wrote_opens_here(tmp_path: Path) -> None:
    checkpoint = small_checkpoint()
    first = saved(checkpoint, tmp_path / "first")
    again = tmp_path / "again"
    transformers.WhisperForConditionalGeneration.from_pretrained(first, dtype=torch.float32).save_pretrained(again)
    transformers.WhisperProcessor.from_pretrained(first).save_pretrained(again)
    assert_same_logits(again, checkpoint.dims)
    assert load_checkpoint(again).generation.suppress_tokens == checkpoint.generation.suppress_tokens
