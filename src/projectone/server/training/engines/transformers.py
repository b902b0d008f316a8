"""The engine for teams that train on torch machines: the same run, with steps in transformers and peft.

On a CUDA device if there is one. Weights, moments and gradients stay on the device; what goes up in a step is its
batch. They come down to be written to disk and to be judged: the judge decodes in MLX, as for every engine, so that
the same words decide. On the CPU the same call gives the same bytes; on CUDA some of torch's kernels add in an order
that changes from run to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import peft
import torch
import transformers

from projectone.server.training.adamw import AdamW, Tensors
from projectone.server.training.batching import stream
from projectone.server.training.config import LoraConfig, TrainingConfig
from projectone.server.training.engines.methods import DROP, TrainingMethod
from projectone.server.training.loss import Batch
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.names import hf_name_of, is_convolution

# By the names of `TrainingMethod`, as in `adamw.Tensors`: the loop passes them on without looking.
TorchTensors = dict[str, torch.Tensor]

_FACTORS = {"lora_a": "lora_A.default.weight", "lora_b": "lora_B.default.weight"}


class TorchSteps:
    """Steps of a Whisper of transformers, with peft's adapters where adapters are trained; see `Steps`.

    Args:
        method: What is trained; says what it begins with and what becomes of it.
        checkpoint: The base as it was read: its files are known to be sound.
        base: Its folder.
        config: Precision, dropout, clipping and weight decay.
    """

    def __init__(
        self, method: TrainingMethod, checkpoint: WhisperCheckpoint, base: Path, config: TrainingConfig
    ) -> None:
        self._config = config
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = _open_model(base)
        if method.name == "lora":
            _add_adapters(self._model, config.lora, method.opening)
        self._model.to(self._device)
        by_their_name = dict(self._model.named_parameters())
        self._model.requires_grad_(False)
        self._trained = {name: by_their_name[torch_name_of(name)] for name in method.opening}
        for parameter in self._trained.values():
            parameter.requires_grad_(True)
        self._optimiser = AdamW(weight_decay=config.weight_decay, square_root=torch.sqrt)

    def taken_up(self, tensors: Tensors) -> TorchTensors:
        """On the device, with the axes of torch's convolutions."""
        return {name: self._taken_up(_with_their_axes(name, np.array(tensor))) for name, tensor in tensors.items()}

    def put_down(self, tensors: TorchTensors) -> Tensors:
        """Arrays of MLX, with the axes of its convolutions."""
        return {name: mx.array(_with_their_axes(name, tensor.cpu().numpy())) for name, tensor in tensors.items()}

    def loss_and_gradients(self, trained: TorchTensors, batch: Batch, step: int) -> tuple[torch.Tensor, TorchTensors]:
        """As `loss.mean_cross_entropy`."""
        for name, tensor in trained.items():
            self._trained[name].data = tensor
        with self._chance_of(step), torch.autocast(self._device.type, torch.bfloat16, enabled=self._is_half):
            loss = self._loss(batch)
        gradients = torch.autograd.grad(loss, list(self._trained.values()))
        return loss.detach(), dict(zip(self._trained, gradients, strict=True))

    def update(
        self,
        weights: TorchTensors,
        gradients: TorchTensors,
        moments: tuple[TorchTensors, TorchTensors],
        learning_rate: float,
        n_done: int,
    ) -> tuple[TorchTensors, tuple[TorchTensors, TorchTensors], torch.Tensor]:
        """As `adamw.clip_by_global_norm`, then the same `AdamW`."""
        norm = torch.stack([(gradients[name] * gradients[name]).sum() for name in sorted(gradients)]).sum().sqrt()
        scale = torch.clamp(self._config.clip_norm / (norm + 1e-6), max=1.0)
        clipped = {name: gradient * scale for name, gradient in gradients.items()}
        after, moments = self._optimiser.step(weights, clipped, moments, learning_rate=learning_rate, n_done=n_done)
        return after, moments, norm

    @torch.no_grad()
    def embed_audio(self, mel: mx.array) -> mx.array:
        """(clips, frames, mels) to (clips, positions, state), in float32 whatever the precision of the steps."""
        return mx.array(self._heard(self._taken_up(np.array(mel))).cpu().numpy())

    @property
    def _is_half(self) -> bool:
        return self._config.precision == "bfloat16"

    def _taken_up(self, array: np.ndarray[Any, Any]) -> torch.Tensor:
        # A copy, in torch's own memory: how arrays lie there (aligned) may decide which kernel runs, and a resumed run
        # must end in the same bits as one whose weights never left torch.
        return torch.tensor(array, device=self._device)

    def _loss(self, batch: Batch) -> torch.Tensor:
        positions = (batch.rows, batch.columns, batch.targets)
        rows, columns, targets = (self._taken_up(np.array(position)).long() for position in positions)
        if batch.features is None:
            features = self._heard(self._taken_up(np.array(batch.mel)))
        else:
            features = self._taken_up(np.array(batch.features))
        tokens = self._taken_up(np.array(batch.tokens)).long()
        decoder = self._model.model.decoder
        hidden = decoder(input_ids=tokens, encoder_hidden_states=features, use_cache=False).last_hidden_state
        logits = self._model.proj_out(hidden[rows, columns]).float()
        nats = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        if batch.weights is None:
            return nats.mean()
        weights = self._taken_up(np.array(batch.weights))
        return (nats * weights).sum() / weights.sum()

    def _heard(self, mel: torch.Tensor) -> torch.Tensor:
        """The encoder, from its parts: as a whole it takes 30 s windows alone, and we pad to the clips."""
        encoder = self._model.model.encoder
        x = torch.nn.functional.gelu(encoder.conv1(mel.transpose(1, 2)))
        x = torch.nn.functional.gelu(encoder.conv2(x)).transpose(1, 2)
        x = x + encoder.embed_positions.weight[: x.shape[1]]
        for layer in encoder.layers:
            x = layer(x, None)
        heard: torch.Tensor = encoder.layer_norm(x)
        return heard

    @contextmanager
    def _chance_of(self, step: int) -> Iterator[None]:
        """Random numbers that depend on nothing but the seed and the step; those of others are left alone."""
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(int(stream(self._config.seed, DROP, step).integers(2**63)))
            yield


def torch_name_of(name: str) -> str:
    """The name of one of our trained tensors in a model of transformers, with the adapters that peft puts into it."""
    layer, _, leaf = name.rpartition(".")
    if leaf in _FACTORS:
        return f"{hf_name_of(f'{layer}.weight').removesuffix('weight')}{_FACTORS[leaf]}"
    return hf_name_of(name)


def _open_model(base: Path) -> transformers.WhisperForConditionalGeneration:
    # A bar for reading one file would tear the line of progress.
    transformers.utils.logging.disable_progress_bar()
    model = transformers.WhisperForConditionalGeneration.from_pretrained(
        base, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    # torch keeps gradients from the token that pads; ours has one as a word among others.
    model.model.decoder.embed_tokens.padding_idx = None
    # Whatever dropout the base's config asks for: ours is that of the adapters alone.
    return model.eval()


def _add_adapters(model: torch.nn.Module, config: LoraConfig, opening: Tensors) -> None:
    layers = {name.rpartition(".")[0] for name in opening}
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=sorted(hf_name_of(f"{layer}.weight").removesuffix(".weight") for layer in layers),
    )
    peft.inject_adapter_in_model(settings, model)
    for name, module in model.named_modules():
        if name.endswith(".lora_dropout"):
            module.train()


def _with_their_axes(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Kernels of convolutions with their last two axes exchanged, from our layout to torch's or back."""
    return np.ascontiguousarray(array.transpose(0, 2, 1)) if is_convolution(name) else array
