"""The other side of a comparison: Whisper of transformers on torch, with the adapters of peft."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from projectone.server.training.config import LoraConfig
from projectone.server.training.loss import Target
from projectone.speech.checkpoint import hf_name_of
from projectone.speech.names import is_convolution


def their_model(folder: Path, adapters: Mapping[str, mx.array] | None = None, config: LoraConfig | None = None) -> Any:
    """The model in a folder as transformers trains it, or with peft's adapters in it, which alone are trained then."""
    import peft
    import torch
    import transformers

    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).train()
    # Fixed sinusoids in the reference and here; transformers trains them if it is let.
    model.model.encoder.embed_positions.requires_grad_(False)
    if adapters is None or config is None:
        return model
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


def their_gradients(model: Any, targets: list[Target], mel: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and gradients by name of a model of transformers, which keeps the latter too.

    With labels of -100 where nothing is to be learned, as in every recipe.
    """
    import torch

    width = max(len(target.tokens) for target in targets) - 1
    inputs = torch.zeros((len(targets), width), dtype=torch.long)
    labels = torch.full((len(targets), width), -100)
    for row, target in enumerate(targets):
        inputs[row, : len(target.tokens) - 1] = torch.tensor(target.tokens[:-1])
        labels[row, target.n_given - 1 : len(target.tokens) - 1] = torch.tensor(target.tokens[target.n_given :])
    features = torch.from_numpy(mel.transpose(0, 2, 1).copy())
    logits = model(input_features=features, decoder_input_ids=inputs).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    loss.backward()
    return loss.item(), {n: p.grad.numpy().copy() for n, p in model.named_parameters() if p.requires_grad}


def their_name(name: str) -> str:
    """What an adapter of ours is called in a model of peft."""
    layer, _, factor = name.rpartition(".")
    hf_layer = hf_name_of(f"{layer}.weight").removesuffix(".weight")
    their_factor = {"lora_a": "lora_A", "lora_b": "lora_B"}[factor]
    return f"base_model.model.{hf_layer}.{their_factor}.default.weight"


def in_their_layout(name: str, tensor: mx.array) -> np.ndarray:
    """Kernels of convolutions with the axes of torch."""
    array = np.array(tensor)
    return array.transpose(0, 2, 1) if is_convolution(name) else array
