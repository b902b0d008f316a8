"""Adapters against peft on transformers: same weights, adapters and batch; same loss, gradients and fused weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.parity.materials import (
    TINY,
    drawn_adapters,
    mels_of,
    our_batch,
    random_checkpoint,
    small_checkpoint,
    targets_of,
    tokenizer_of_size,
)
from tests.parity.theirs import their_gradients, their_model, their_name

import projectone.server.training  # noqa: F401 - the BLAS before mlx
from projectone.server.training.config import LoraConfig, TrainingConfig
from projectone.server.training.engines.methods import LoraTraining
from projectone.speech.checkpoint import load_checkpoint, save_checkpoint
from projectone.storage.files import digest_of

torch = pytest.importorskip("torch", reason="parity needs the parity extra (torch, transformers, peft)")
transformers = pytest.importorskip("transformers", reason="parity needs the parity extra (torch, transformers, peft)")
peft = pytest.importorskip("peft", reason="parity needs the parity extra (torch, transformers, peft)")

# peft asks transformers for an attribute under its old name.
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

# Width, heads and vocabulary of whisper-tiny; half its depth and a third of its window, because backward takes long.
WIDE = replace(TINY, n_audio_ctx=500, n_audio_layer=2, n_text_layer=2)
# Both sides sum thousands of float32 products in different orders, through every layer and back.
RELATIVE_ERROR = 2e-4
# peft adds the change to weights of float32, we round once to float16: half a unit in the last of eleven bits.
FUSED_ERROR = 2**-11
TEXTS = ["call the office at nine", "seven three"]


@pytest.mark.parametrize(
    ("size", "targets_of_adapters"),
    [
        ("small", "attention_mlp"),
        ("small", "query_value"),
        pytest.param("whisper-tiny", "query_value", marks=pytest.mark.slow),
    ],
)
def test_every_adapter_has_their_gradient(size: str, targets_of_adapters: Any, tmp_path: Path) -> None:
    made = small_checkpoint() if size == "small" else random_checkpoint(WIDE, tokenizer_of_size(WIDE.n_vocab))
    save_checkpoint(made, tmp_path / "model", dtype="float32")
    checkpoint = load_checkpoint(tmp_path / "model")
    lora = LoraConfig(rank=4, alpha=8.0, targets=targets_of_adapters)
    method = LoraTraining(checkpoint.model, tmp_path / "model", TrainingConfig(method="lora", lora=lora))
    adapters = drawn_adapters(method.opening)
    targets, mel = targets_of(checkpoint, TEXTS), mels_of(checkpoint, len(TEXTS))
    loss, gradients = method.loss_and_gradients(adapters, our_batch(checkpoint, targets, mel), 0)
    expected_loss, expected = their_gradients(their_model(tmp_path / "model", adapters, lora), targets, mel)
    assert loss.item() == pytest.approx(expected_loss, rel=1e-5)
    assert {their_name(name) for name in gradients} == set(expected)
    for name, gradient in gradients.items():
        theirs = expected[their_name(name)]
        assert np.abs(theirs).max() > 0, name
        assert np.abs(np.array(gradient) - theirs).max() < RELATIVE_ERROR * np.abs(theirs).max(), name


def test_peft_opens_our_adapter_and_merges_it_to_our_model(tmp_path: Path) -> None:
    save_checkpoint(small_checkpoint(), tmp_path / "base")
    checkpoint = load_checkpoint(tmp_path / "base")
    config = TrainingConfig(method="lora", lora=LoraConfig(rank=4, alpha=8.0, targets="attention_mlp"))
    method = LoraTraining(checkpoint.model, tmp_path / "base", config)
    adapters = drawn_adapters(method.opening)
    checkpoint.model.load_weights(list(method.model_weights(adapters).items()), strict=False)
    save_checkpoint(checkpoint, tmp_path / "out")
    assert digest_of(tmp_path / "out" / "model.safetensors") != digest_of(tmp_path / "base" / "model.safetensors")
    method.save_beside(adapters, tmp_path / "out", tmp_path / "adapter")
    base = transformers.WhisperForConditionalGeneration.from_pretrained(tmp_path / "base", dtype=torch.float32)
    merged = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload().state_dict()
    ours = transformers.WhisperForConditionalGeneration.from_pretrained(tmp_path / "out", dtype=torch.float32)
    n_changed = 0
    for name, weight in ours.state_dict().items():
        theirs = merged[name].numpy()
        assert np.abs(weight.numpy() - theirs).max() <= FUSED_ERROR * np.abs(theirs).max(), name
        n_changed += int(not np.array_equal(weight.numpy(), theirs))
    assert n_changed > 0  # rounded, as a model on disk is
