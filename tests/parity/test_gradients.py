"""One training step against transformers on torch: same weights and batch, same loss, gradients and new weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_unflatten
from tests.parity.materials import (
    TINY,
    mels_of,
    our_batch,
    random_checkpoint,
    small_checkpoint,
    targets_of,
    tokenizer_of_size,
)
from tests.parity.theirs import in_their_layout, their_gradients, their_model

import projectone.server.training  # noqa: F401 - the BLAS before mlx
from projectone.server.training.adamw import AdamW, Tensors, clip_by_global_norm
from projectone.server.training.loss import Target, mean_cross_entropy
from projectone.speech.checkpoint import WhisperCheckpoint, hf_name_of, load_checkpoint, save_checkpoint

torch = pytest.importorskip("torch", reason="parity needs the parity extra (torch, transformers)")
transformers = pytest.importorskip("transformers", reason="parity needs the parity extra (torch, transformers)")

pytestmark = pytest.mark.parity

# Width, heads and vocabulary of whisper-tiny; half its depth and a third of its window, because backward takes long.
WIDE = replace(TINY, n_audio_ctx=500, n_audio_layer=2, n_text_layer=2)
RATE, CLIP_NORM, WEIGHT_DECAY = 1e-3, 1.0, 0.05
# Both sides sum thousands of float32 products in different orders, through every layer and back.
RELATIVE_ERROR = 2e-4


def our_step(checkpoint: WhisperCheckpoint, targets: list[Target], mel: np.ndarray) -> tuple[float, Tensors, Tensors]:
    batch, model = our_batch(checkpoint, targets, mel), checkpoint.model

    def loss_of(weights: Tensors) -> mx.array:
        model.update(tree_unflatten(list(weights.items())))
        return mean_cross_entropy(model, batch)

    weights = dict(tree_flatten(model.trainable_parameters()))
    loss, gradients = mx.value_and_grad(loss_of)(weights)
    clipped, _ = clip_by_global_norm(gradients, CLIP_NORM)
    optimiser = AdamW(weight_decay=WEIGHT_DECAY)
    after, _ = optimiser.step(weights, clipped, optimiser.zeros(weights), learning_rate=RATE, n_done=0)
    return loss.item(), gradients, after


def their_step(folder: Path, targets: list[Target], mel: np.ndarray) -> tuple[float, dict[str, Any], dict[str, Any]]:
    model = their_model(folder)
    loss, gradients = their_gradients(model, targets, mel)
    named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    torch.nn.utils.clip_grad_norm_(named.values(), CLIP_NORM)
    groups = [
        {"params": [w for w in named.values() if w.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [w for w in named.values() if w.ndim == 1], "weight_decay": 0.0},
    ]
    torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), eps=1e-6).step()
    return loss, gradients, {name: weight.detach().numpy() for name, weight in named.items()}


@pytest.mark.parametrize(
    "size", [pytest.param("small", id="small"), pytest.param("wide", id="whisper-tiny", marks=pytest.mark.slow)]
)
def test_a_training_step_is_theirs(size: str, tmp_path: Path) -> None:
    made = small_checkpoint() if size == "small" else random_checkpoint(WIDE, tokenizer_of_size(WIDE.n_vocab))
    save_checkpoint(made, tmp_path / "model", dtype="float32")
    checkpoint = load_checkpoint(tmp_path / "model")
    targets = targets_of(checkpoint, ["call the office at nine", "seven three"])
    mel = mels_of(checkpoint, len(targets))
    expected_loss, expected_gradients, expected_weights = their_step(tmp_path / "model", targets, mel)
    loss, gradients, weights = our_step(checkpoint, targets, mel)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert {hf_name_of(name) for name in gradients} == set(expected_gradients)
    for name, gradient in gradients.items():
        expected = expected_gradients[hf_name_of(name)]
        error = np.abs(in_their_layout(name, gradient) - expected).max() / np.abs(expected).max()
        assert error < RELATIVE_ERROR, name
    for name, weight in weights.items():
        # The first step of Adam is the sign of the gradient times the rate, except where that is lost in rounding.
        difference = np.abs(in_their_layout(name, weight) - expected_weights[hf_name_of(name)])
        assert np.mean(difference > 0.01 * RATE) < 0.005, name
