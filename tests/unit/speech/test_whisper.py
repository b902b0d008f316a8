"""The Whisper model, with random weights."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

from projectone.speech.whisper import ModelDimensions, Whisper, sinusoids

DIMS = ModelDimensions(
    n_mels=16, n_audio_ctx=20, n_audio_state=32, n_audio_head=2, n_audio_layer=2,
    n_vocab=50, n_text_ctx=12, n_text_state=32, n_text_head=2, n_text_layer=2,
)  # fmt: skip


@pytest.fixture(name="model")
def _model() -> Whisper:
    mx.random.seed(3)
    model = Whisper(DIMS)
    model.decoder.positional_embedding = mx.random.normal((12, 32))
    return model


def test_two_frames_become_one_feature(model: Whisper) -> None:
    assert model.embed_audio(mx.zeros((2, 40, 16))).shape == (2, 20, 32)


def test_a_shorter_window_is_encoded_at_its_own_length(model: Whisper) -> None:
    assert model.embed_audio(mx.zeros((1, 13, 16))).shape == (1, 7, 32)


@pytest.mark.parametrize("n_frames", [0, 41])
def test_an_empty_window_or_more_than_a_full_one_is_refused(model: Whisper, n_frames: int) -> None:
    with pytest.raises(ValueError, match="1 to 40 frames"):
        model.embed_audio(mx.zeros((1, n_frames, 16)))


def test_decoding_token_by_token_equals_decoding_at_once(model: Whisper) -> None:
    features = model.embed_audio(mx.random.normal((2, 40, 16)))
    tokens = mx.array([[1, 7, 3, 9, 4], [2, 2, 8, 0, 5]])
    at_once = model.logits(tokens, features)
    cache = None
    pieces = []
    for part in (tokens[:, :2], tokens[:, 2:3], tokens[:, 3:]):
        logits, cache, _ = model.decoder(part, features, cache)
        pieces.append(logits)
    # float32, another order of sums
    np.testing.assert_allclose(np.array(mx.concatenate(pieces, axis=1)), np.array(at_once), atol=1e-4)


def test_a_token_does_not_see_what_follows_it(model: Whisper) -> None:
    features = model.embed_audio(mx.random.normal((1, 40, 16)))
    first = model.logits(mx.array([[1, 2, 3, 4]]), features)
    other = model.logits(mx.array([[1, 2, 9, 9]]), features)
    np.testing.assert_allclose(np.array(first[:, :2]), np.array(other[:, :2]), atol=1e-5)
    assert mx.abs(first[:, 2:] - other[:, 2:]).max().item() > 1e-3


def test_more_tokens_than_positions_are_refused(model: Whisper) -> None:
    with pytest.raises(ValueError, match="at most 12 tokens, got 13"):
        model.logits(mx.zeros((1, 13), dtype=mx.int32), mx.zeros((1, 5, 32)))


def test_scores_over_the_audio_are_given_for_every_block(model: Whisper) -> None:
    _, _, scores = model.decoder(mx.array([[1, 2, 3]]), mx.zeros((1, 20, 32)))
    assert [block.shape for block in scores if block is not None] == [(1, 2, 3, 20)] * 2


def test_every_weight_but_the_fixed_positions_learns(model: Whisper) -> None:
    mel, tokens = mx.random.normal((2, 40, 16)), mx.array([[1, 7, 3], [2, 2, 8]])
    _, gradients = nn.value_and_grad(model, lambda model: nn.losses.cross_entropy(model(mel, tokens), tokens).sum())(
        model
    )
    flat = dict(tree_flatten(gradients))
    assert set(flat) == {name for name, _ in tree_flatten(model.trainable_parameters())}
    assert not any("_positional" in name for name in flat)
    # A bias of the keys does not exist, so nothing is left without a slope.
    assert [name for name, gradient in flat.items() if mx.abs(gradient).max().item() == 0] == []


def test_positions_are_the_sinusoids_of_the_reference() -> None:
    table = np.array(sinusoids(4, 6))
    np.testing.assert_allclose(table[0], [0, 0, 0, 1, 1, 1], atol=1e-7)
    np.testing.assert_allclose(table[3, 1], np.sin(3 / 100), atol=1e-6)  # the middle of 1 to 1/10,000


@pytest.mark.parametrize("change", [{"n_mels": 0}, {"n_text_state": 64}, {"n_audio_head": 5}])
def test_impossible_dimensions_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ModelDimensions(**{**vars(DIMS), **change})
