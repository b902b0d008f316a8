"""The part of a run that a library does: the steps. All else (order, judge, disk, choice) is the same for every one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import mlx.core as mx

from projectone.server.training.adamw import AdamW, Tensors
from projectone.server.training.clipped_step import ClippedAdamW, put_down
from projectone.server.training.config import TrainingConfig
from projectone.server.training.engines.methods import TrainingMethod
from projectone.server.training.loss import Batch
from projectone.server.training.state import TrainingState
from projectone.server.training.trainer import Update
from projectone.speech.checkpoint import WhisperCheckpoint


class Steps(Protocol):
    """Takes steps with tensors of its own kind, from where others put them down and to where others take them up.

    Between `taken_up` and `put_down` the tensors may be arrays of any library, on any device: nothing but this looks
    into them. They are never changed in place: a state that was kept stays what it was.
    """

    def taken_up(self, tensors: Tensors) -> Tensors:
        """Tensors as they lie on disk, in the form in which the steps take them."""

    def put_down(self, tensors: Tensors) -> Tensors:
        """The inverse of `taken_up`, without any loss."""

    def loss_and_gradients(self, trained: Tensors, batch: Batch, step: int) -> tuple[mx.array, Tensors]:
        """The mean loss of a batch, and its gradients by name. The step decides what is random."""

    @property
    def update(self) -> Update:
        """New weights and moments after gradients that are clipped first, and the length of these before."""

    def embed_audio(self, mel: mx.array) -> mx.array:
        """What the base's encoder makes of (clips, frames, mels), for a run that does not train it."""


StepsOpener = Callable[[TrainingMethod, WhisperCheckpoint, Path, TrainingConfig], Steps]


class MlxSteps:
    """Steps in MLX, whose arrays are also what lies on disk; but see `clipped_step` for moments on a CPU.

    Args:
        method: What is trained.
        checkpoint: The base.
        base: Its folder.
        config: Clipping and weight decay.
    """

    def __init__(
        self, method: TrainingMethod, checkpoint: WhisperCheckpoint, base: Path, config: TrainingConfig
    ) -> None:
        self._method, self._model = method, checkpoint.model
        self.update: Update = ClippedAdamW(AdamW(weight_decay=config.weight_decay), config.clip_norm)

    def taken_up(self, tensors: Tensors) -> Tensors:
        """See `Steps`."""
        return tensors

    def put_down(self, tensors: Tensors) -> Tensors:
        """See `Steps`."""
        return put_down(tensors)

    def loss_and_gradients(self, trained: Tensors, batch: Batch, step: int) -> tuple[mx.array, Tensors]:
        """See `Steps`."""
        return self._method.loss_and_gradients(trained, batch, step)

    def embed_audio(self, mel: mx.array) -> mx.array:
        """See `Steps`."""
        return self._model.embed_audio(mel)


def with_tensors(state: TrainingState, changed: Callable[[Tensors], Tensors]) -> TrainingState:
    """The same state with all its tensors taken up, or put down."""
    best = state.best and replace(state.best, weights=changed(state.best.weights))
    first, second = state.moments
    return replace(state, weights=changed(state.weights), moments=(changed(first), changed(second)), best=best)
