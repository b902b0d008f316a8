"""The steps of a classifier's course: what is tuned, how fast, and what they must remember."""

from __future__ import annotations

from typing import Final, Protocol

import mlx.core as mx
import numpy as np

from projectone.errors import TrainingError
from projectone.server.training.adamw import AdamW, Tensors, learning_rate_at
from projectone.server.training.clipped_step import ClippedAdamW, put_down

DIRECTIONS: Final = "directions"
"""The name of the head among the weights."""


class StepConfig(Protocol):
    """What of a `ClassifierConfig` decides a step."""

    @property
    def learning_rate(self) -> float:
        """The highest, of the encoder."""
        ...

    @property
    def direction_rate(self) -> float:
        """The highest, of the directions."""
        ...

    @property
    def warmup_share(self) -> float:
        """Share of the steps in which the rates rise."""
        ...


class Steps:
    """Updates of the encoder and, by a rate of their own, of the directions."""

    def __init__(self, config: StepConfig, n_all: int) -> None:
        self._config, self.n_all, self.n_done = config, n_all, 0
        self._update = ClippedAdamW(AdamW(), limit=1.0)
        self._moments: dict[bool, tuple[Tensors, Tensors]] = {}

    def moments(self) -> tuple[Tensors, Tensors]:
        """First and second, of all that is tuned."""
        first, second = (
            {name: x for own in self._moments.values() for name, x in own[part].items()} for part in (0, 1)
        )
        return put_down(first), put_down(second)

    def go_on(self, n_done: int, moments: tuple[Tensors, Tensors]) -> None:
        """As if `n_done` steps had been taken that left `moments`."""
        self.n_done = n_done
        for is_head in (False, True):
            first, second = ({name: x for name, x in own.items() if (name == DIRECTIONS) == is_head} for own in moments)
            self._moments[is_head] = first, second

    def take(self, made: tuple[mx.array, Tensors], weights: Tensors) -> tuple[float, Tensors]:
        """The loss, and new weights.

        Raises:
            TrainingError: if the loss or the gradients are not finite.
        """
        loss, gradients = made
        mx.eval(loss, gradients)
        after = dict(weights)
        for is_head, highest in ((False, self._config.learning_rate), (True, self._config.direction_rate)):
            names = [name for name in gradients if (name == DIRECTIONS) == is_head]
            before = {name: weights[name] for name in names}
            rate = learning_rate_at(
                self.n_done, n_steps=self.n_all, highest=highest, warmup_share=self._config.warmup_share
            )
            if is_head not in self._moments:
                self._moments[is_head] = self._update.optimiser.zeros(before)
            moved = {name: gradients[name] for name in names}
            new, self._moments[is_head], norm = self._update(before, moved, self._moments[is_head], rate, self.n_done)
            if not np.isfinite([float(loss), float(norm)]).all():
                raise TrainingError(f"step {self.n_done + 1}: the loss is not finite; try a smaller learning rate")
            after |= new
        self.n_done += 1
        return float(loss), after
