"""Low-rank adapters in a model that trains; `projectone.speech.lora` makes them part of its weights afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_unflatten

from projectone.errors import TrainingError
from projectone.server.training.adamw import Tensors
from projectone.server.training.batching import stream
from projectone.server.training.config import LoraConfig, Trainable
from projectone.speech.lora import Factors
from projectone.speech.names import mlx_shapes
from projectone.speech.whisper import ModelDimensions, MultiHeadAttention, ResidualAttentionBlock, Whisper

_BEGIN = 11  # which stream of random numbers
_PROJECTIONS = {
    "query_value": ("query", "value"),
    "attention": ("query", "key", "value", "out"),
    "attention_mlp": ("query", "key", "value", "out"),
}
_ATTENTIONS, _MLP = ("attn", "cross_attn"), ("mlp1", "mlp2")


SMALL_UPDATE = 0.005
"""Of a model in float16: what an update by adapter is meant to take."""


@dataclass(frozen=True)
class AdapterSize:
    """What an update by adapter will take.

    Attributes:
        n_bytes: Of the factors, before they are packed.
        share: Of the model in float16.
    """

    n_bytes: int
    share: float

    def __str__(self) -> str:
        problem = "" if self.share <= SMALL_UPDATE else f", more than {SMALL_UPDATE:.1%}: a lower rank or fewer layers"
        return f"updates of {self.n_bytes / 1000:.0f} kB, {self.share:.2%} of the model{problem}"


def adapter_size(dims: ModelDimensions, config: LoraConfig, trainable: Trainable) -> AdapterSize:
    """What the adapters of a run will cost every device, known before the run."""
    shapes = mlx_shapes(dims)
    n_numbers = 0
    for side in ("encoder", "decoder") if trainable == "all" else ("decoder",):
        ends = [f"{attention}.{name}" for attention in _ATTENTIONS for name in _PROJECTIONS[config.targets]]
        ends += _MLP if config.targets == "attention_mlp" else ()
        for index in range(dims.n_audio_layer if side == "encoder" else dims.n_text_layer):
            found = (shapes.get(f"{side}.blocks.{index}.{end}.weight") for end in ends)
            n_numbers += sum(config.rank * sum(shape) for shape in found if shape is not None)
    return AdapterSize(2 * n_numbers, n_numbers / sum(prod(shape) for shape in shapes.values()))


class AdaptedLinear(nn.Module):
    """A linear layer that stays as it is, and a small change beside it.

    Args:
        linear: The layer; never changed.
        config: Scale and dropout.

    Attributes:
        lora_a: (rank, in).
        lora_b: (out, rank).
        dropout_key: Of the step, or None to leave nothing out.
    """

    def __init__(self, linear: nn.Linear, config: LoraConfig) -> None:
        super().__init__()
        n_out, n_in = linear.weight.shape
        self._linear = linear  # the underscore keeps it out of the parameters
        self._scale, self._dropout = config.scale, config.dropout
        self.lora_a = mx.zeros((config.rank, n_in))
        self.lora_b = mx.zeros((n_out, config.rank))
        self._dropout_key: mx.array | None = None

    def drop_with(self, key: mx.array | None) -> None:
        """Leave out other inputs from now on; None leaves out none."""
        self._dropout_key = key

    def __call__(self, x: mx.array) -> mx.array:
        """(batch, positions, in) to (batch, positions, out)."""
        kept = x
        if self._dropout_key is not None:
            mask = mx.random.bernoulli(1 - self._dropout, x.shape, key=self._dropout_key)
            kept = x * mask * (1 / (1 - self._dropout))
        return mx.addmm(self._linear(x), kept @ self.lora_a.T, self.lora_b.T, alpha=self._scale)


def adapted(model: Whisper, config: LoraConfig, trainable: Trainable) -> tuple[Whisper, dict[str, AdaptedLinear]]:
    """A model beside `model` that shares its weights and has adapters; and these by the name of their layer.

    `model` itself stays whole: it is decoded with, and saved. Only the adapters are trainable in the new one.

    Raises:
        TrainingError: if the rank is higher than that of a layer: the adapter would be larger than what it adapts.
    """
    training = Whisper(model.dims)
    training.update(model.parameters())
    training.encoder._positional_embedding = model.encoder._positional_embedding
    training.freeze()
    layers: dict[str, AdaptedLinear] = {}
    for path, owner, name in _targets(training, config, trainable):
        linear: nn.Linear = getattr(owner, name)
        if config.rank > (highest := min(linear.weight.shape)):
            raise TrainingError(f"lora rank: expected at most {highest}, the rank of {path}.{name}, got {config.rank}")
        layer = AdaptedLinear(linear, config)
        setattr(owner, name, layer)
        layers[f"{path}.{name}"] = layer
    return training, layers


def opening_adapters(layers: Mapping[str, AdaptedLinear], seed: int) -> Tensors:
    """Adapters that change nothing yet: A drawn as `peft` draws it (Kaiming, uniform), B zero."""
    tensors: Tensors = {}
    for index, (name, layer) in enumerate(layers.items()):
        rank, n_in = layer.lora_a.shape
        bound = n_in**-0.5
        drawn = stream(seed, _BEGIN, index).uniform(-bound, bound, (rank, n_in))
        tensors[f"{name}.lora_a"] = mx.array(drawn.astype(np.float32))
        tensors[f"{name}.lora_b"] = mx.zeros_like(layer.lora_b)
    return tensors


def rounded_factors(adapters: Mapping[str, mx.array]) -> dict[str, Factors]:
    """The adapters as they are shipped, float16, by the name of their layer."""
    layers = [name.removesuffix(".lora_a") for name in adapters if name.endswith(".lora_a")]
    return {
        layer: Factors(_half(adapters[f"{layer}.lora_a"]), _half(adapters[f"{layer}.lora_b"]))
        for layer in sorted(layers)
    }


def without_change(adapters: Mapping[str, mx.array]) -> Tensors:
    """The same A with B zero: on the way from here to `adapters` the change of the model grows in proportion."""
    return {name: mx.zeros_like(t) if name.endswith(".lora_b") else t for name, t in adapters.items()}


def put_adapters(model: Whisper, adapters: Mapping[str, mx.array]) -> None:
    """Give an adapted model other adapters."""
    model.update(tree_unflatten(list(adapters.items())))


def _targets(model: Whisper, config: LoraConfig, trainable: Trainable) -> Iterator[tuple[str, nn.Module, str]]:
    """Path of the owner, the owner and the name of every layer to adapt."""
    sides = {"encoder": model.encoder.blocks, "decoder": model.decoder.blocks}
    if trainable == "decoder":
        del sides["encoder"]
    for side, blocks in sides.items():
        for index, block in enumerate(blocks):
            yield from _in_block(f"{side}.blocks.{index}", block, config)


def _in_block(path: str, block: ResidualAttentionBlock, config: LoraConfig) -> Iterator[tuple[str, nn.Module, str]]:
    for name in _ATTENTIONS:
        attention = block.get(name)
        if isinstance(attention, MultiHeadAttention):
            for projection in _PROJECTIONS[config.targets]:
                yield f"{path}.{name}", attention, projection
    if config.targets == "attention_mlp":
        for layer in _MLP:
            yield path, block, layer


def _half(tensor: mx.array) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    with np.errstate(over="ignore"):  # `Factors` refuses infinities
        half: np.ndarray[tuple[int, ...], np.dtype[np.float16]] = np.array(tensor).astype(np.float16)
    return half
