"""The two ways to train behind one interface: the loop, the checkpoints and the judge see tensors by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from projectone.server.training.adamw import Tensors
from projectone.server.training.batching import stream
from projectone.server.training.config import Method, TrainingConfig
from projectone.server.training.lora import (
    adapted,
    opening_adapters,
    put_adapters,
    rounded_factors,
    without_change,
)
from projectone.server.training.loss import Batch, mean_cross_entropy
from projectone.server.training.rounding import Rounded, round_changes
from projectone.speech.checkpoint import WEIGHTS, model_tensors
from projectone.speech.lora import Adapter, fused_weights, read_adapter, write_adapter
from projectone.speech.whisper import Whisper
from projectone.storage.files import building_directory, digest_of

DROP = 12  # which stream of random numbers
_Seen = TypeVar("_Seen")


class TrainingMethod(Protocol):
    """What is trained, and what a model becomes by it."""

    @property
    def name(self) -> Method:
        """As in the config."""

    @property
    def opening(self) -> Tensors:
        """What is trained, before the first step."""

    def loss_and_gradients(self, trained: Tensors, batch: Batch, step: int) -> tuple[mx.array, Tensors]:
        """The mean loss of a batch, and its gradients by name. The step decides what is random."""

    def gradients_of(
        self, loss: Callable[[Whisper, _Seen], mx.array]
    ) -> Callable[[Tensors, _Seen, int], tuple[mx.array, Tensors]]:
        """As `loss_and_gradients`, for another loss on whatever it looks at."""

    def model_weights(self, trained: Tensors) -> Tensors:
        """The weights of the model that are other than the base's, as the finished model will have them."""

    def unchanged(self, trained: Tensors) -> Tensors:
        """Tensors that give the base, and from which a straight way to `trained` leads: the alpha sweep goes it."""

    def rounded(self, trained: Tensors) -> Rounded | None:
        """The same in whole steps, for a small update; None if it stays as it is."""

    def save_beside(self, trained: Tensors, model: Path, folder: Path) -> None:
        """Write into the new folder what is worth keeping besides the finished model's folder, if anything is."""


class FullTraining:
    """Trains the model's own weights.

    Args:
        model: Trained in place.
        update_share: See `TrainingConfig`.
    """

    name: Method = "full"

    def __init__(self, model: Whisper, update_share: float) -> None:
        self._model = model
        self.opening: Tensors = dict(tree_flatten(model.trainable_parameters()))
        # What is frozen has no difference, and leaves its room to the rest.
        n_trained = sum(tensor.size for tensor in self.opening.values())
        self._share = update_share * sum(tensor.size for tensor in model_tensors(model).values()) / n_trained
        self._gradients = self.gradients_of(mean_cross_entropy)

    def loss_and_gradients(self, trained: Tensors, batch: Batch, step: int) -> tuple[mx.array, Tensors]:
        """See `TrainingMethod`."""
        return self._gradients(trained, batch, step)

    def gradients_of(
        self, loss: Callable[[Whisper, _Seen], mx.array]
    ) -> Callable[[Tensors, _Seen, int], tuple[mx.array, Tensors]]:
        """See `TrainingMethod`."""

        def of(weights: Tensors, seen: _Seen) -> mx.array:
            self._model.update(tree_unflatten(list(weights.items())))
            return loss(self._model, seen)

        gradients = mx.value_and_grad(of)
        return lambda trained, seen, step: _evaluated(gradients, trained, seen)

    def model_weights(self, trained: Tensors) -> Tensors:
        """See `TrainingMethod`."""
        return trained

    def unchanged(self, trained: Tensors) -> Tensors:
        """See `TrainingMethod`."""
        return self.opening

    def rounded(self, trained: Tensors) -> Rounded | None:
        """See `TrainingMethod`."""
        return round_changes(self.opening, trained, self._share)

    def save_beside(self, trained: Tensors, model: Path, folder: Path) -> None:
        """Nothing: the weights are the model."""


class LoraTraining:
    """Trains adapters beside a model that stays as it is.

    Args:
        model: Stays whole: the judge decodes with it, and it is saved.
        base: Its folder.
        config: Rank, scale, targets, dropout and seed.
    """

    name: Method = "lora"

    def __init__(self, model: Whisper, base: Path, config: TrainingConfig) -> None:
        self._base, self._config = base, config
        self._training, self._layers = adapted(model, config.lora, config.trainable)
        self.opening = opening_adapters(self._layers, config.seed)
        # The base's own: what is fused is put into `model`, and must not be fused again.
        tensors = model_tensors(model)
        self._frozen: Tensors = {f"{layer}.weight": tensors[f"{layer}.weight"] for layer in self._layers}
        self._gradients = self.gradients_of(mean_cross_entropy)

    def loss_and_gradients(self, trained: Tensors, batch: Batch, step: int) -> tuple[mx.array, Tensors]:
        """See `TrainingMethod`."""
        return self._gradients(trained, batch, step)

    def gradients_of(
        self, loss: Callable[[Whisper, _Seen], mx.array]
    ) -> Callable[[Tensors, _Seen, int], tuple[mx.array, Tensors]]:
        """See `TrainingMethod`."""

        def of(adapters: Tensors, seen: _Seen) -> mx.array:
            put_adapters(self._training, adapters)
            return loss(self._training, seen)

        gradients = mx.value_and_grad(of)

        def dropped(trained: Tensors, seen: _Seen, step: int) -> tuple[mx.array, Tensors]:
            self._drop(step)
            return _evaluated(gradients, trained, seen)

        return dropped

    def model_weights(self, trained: Tensors) -> Tensors:
        """See `TrainingMethod`. Rounded as on disk, so that the judge hears what will ship."""
        return fused_weights(self._frozen, rounded_factors(trained), self._config.lora.scale)

    def unchanged(self, trained: Tensors) -> Tensors:
        """See `TrainingMethod`."""
        return without_change(trained)

    def rounded(self, trained: Tensors) -> Rounded | None:
        """Nothing: the factors are the update."""
        return None

    def save_beside(self, trained: Tensors, model: Path, folder: Path) -> None:
        """Write the adapter.

        Raises:
            ArtifactError: if something lies there that is no adapter.
        """
        adapter = Adapter(
            base_sha256=digest_of(self._base / WEIGHTS),
            model_sha256=digest_of(model / WEIGHTS),
            rank=self._config.lora.rank,
            alpha=self._config.lora.alpha,
            factors=rounded_factors(trained),
        )
        if folder.exists():
            if read_adapter(folder).model_sha256 == adapter.model_sha256:
                return  # an interrupted run had come so far: the same run makes the same bytes
            shutil.rmtree(folder)  # of a model that was here before
        with building_directory(folder) as building:
            write_adapter(adapter, building)

    def _drop(self, step: int) -> None:
        if self._config.lora.dropout:
            seed = int(stream(self._config.seed, DROP, step).integers(2**63))
            keys = mx.random.split(mx.random.key(seed), len(self._layers))
            for key, layer in zip(keys, self._layers.values(), strict=True):
                layer.drop_with(key)


def open_method(model: Whisper, base: Path, config: TrainingConfig) -> TrainingMethod:
    """The method that the config asks for; freezes what is not trained."""
    if config.trainable == "decoder":
        model.encoder.freeze()
    if config.method_for(model.dims.n_audio_state) == "lora":
        return LoraTraining(model, base, config)
    return FullTraining(model, config.update_share)


def _evaluated(
    gradients: Callable[[Tensors, _Seen], tuple[mx.array, Tensors]], trained: Tensors, seen: _Seen
) -> tuple[mx.array, Tensors]:
    # Numbers that are not finite are the loop's business, after the step: no warnings on the way there.
    with np.errstate(all="ignore"):
        made = gradients(trained, seen)
        mx.eval(*made)
    return made
