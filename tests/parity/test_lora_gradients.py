"""Adapters against peft on transformers: same weights, adapters and batch; same loss, gradients and fused weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from tests.parity.materials import TINY, mels_of, random_checkpoint, small_checkpoint, targets_of, tokenizer_of_size

import projectone.server.training  # noqa: F401 - the BLAS before mlx
from projectone.server.training.adamw import Tensors
from projectone.server.training.config import LoraConfig, TrainingConfig
from projectone.server.training.engines.methods import LoraTraining
from projectone.server.training.loss import Batch, Target, collate_targets
from projectone.speech.checkpoint import WhisperCheckpoint, hf_name_of, load_checkpoint, save_checkpoint
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
THEIR_PREFIX = "base_model.model."


def drawn_adapters(opening: Tensors) -> Tensors:
    """B too: with B zero, as it begins, A would have no gradient to compare."""
    random = np.random.default_rng(3)
    sizes = {"lora_a": 0.05, "lora_b": 0.02}
    return {
        name: mx.array(random.normal(size=t.shape, scale=sizes[name[-6:]]).astype(np.float16).astype(np.float32))
        for name, t in opening.items()
    }


def their_name(name: str) -> str:
    layer, _, factor = name.rpartition(".")
    hf_layer = hf_name_of(f"{layer}.weight").removesuffix(".weight")
    return f"{THEIR_PREFIX}{hf_layer}.{factor.replace('lora_a', 'lora_A').replace('lora_b', 'lora_B')}.default.weight"


def their_model(folder: Path, config: LoraConfig, adapters: Tensors) -> Any:
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    targets = sorted({hf_name_of(f"{n.rpartition('.')[0]}.weight").removesuffix(".weight") for n in adapters})
    settings = peft.LoraConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=0.0, target_modules=targets)
    adapted = peft.get_peft_model(model, settings).train()
    theirs = dict(adapted.named_parameters())
    trained = {name for name, parameter in theirs.items() if parameter.requires_grad}
    assert trained == {their_name(name) for name in adapters}
    with torch.no_grad():
        for name, tensor in adapters.items():
            theirs[their_name(name)].copy_(torch.from_numpy(np.array(tensor)))
    return adapted


def their_gradients(adapted: Any, targets: list[Target], mel: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
    width = max(len(target.tokens) for target in targets) - 1
    inputs = torch.zeros((len(targets), width), dtype=torch.long)
    labels = torch.full((len(targets), width), -100)
    for row, target in enumerate(targets):
        inputs[row, : len(target.tokens) - 1] = torch.tensor(target.tokens[:-1])
        labels[row, target.n_given - 1 : len(target.tokens) - 1] = torch.tensor(target.tokens[target.n_given :])
    features = torch.from_numpy(mel.transpose(0, 2, 1).copy())
    logits = adapted(input_features=features, decoder_input_ids=inputs).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    loss.backward()
    return loss.item(), {n: p.grad.numpy().copy() for n, p in adapted.named_parameters() if p.requires_grad}


def our_batch(checkpoint: WhisperCheckpoint, targets: list[Target], mel: np.ndarray) -> Batch:
    tokens, rows, columns, wanted = collate_targets(targets, pad=checkpoint.tokenizer.eot)
    return Batch(mx.array(mel), mx.array(tokens), mx.array(rows), mx.array(columns), mx.array(wanted), 1.0)


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
    expected_loss, expected = their_gradients(their_model(tmp_path / "model", lora, adapters), targets, mel)
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
