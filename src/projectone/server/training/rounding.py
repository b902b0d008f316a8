"""Rounds what all weights learned to whole steps, so that devices fetch a fifth of it: before anything is judged.

The last digits of a change are noise of the training. What is judged afterwards, held-back clips and golden set alike,
is the rounded model: the one that ships.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from projectone.server.training.adamw import Tensors
from projectone.speech.weight_delta import plain_share
from projectone.speech.weight_grid import on_grid, units_for

# Of words: more than this lost on held-back clips, and the model ships as it was trained, in more bytes.
LARGEST_LOSS = 0.005


@dataclass(frozen=True)
class Rounded:
    """Weights whose changes are multiples of one step.

    Attributes:
        tensors: All that was trained, float32 arrays of float16 numbers.
        units: The step, in 2**-24.
    """

    tensors: Tensors
    units: int


def round_changes(base: Mapping[str, mx.array], tuned: Mapping[str, mx.array], share: float) -> Rounded | None:
    """`tuned` with changes in steps so coarse that its difference from the base takes `share` of its bytes.

    Args:
        base: What training began with.
        tuned: The same tensors, trained.
        share: Of the bytes of these tensors in float16.

    Returns:
        None where the difference is as small without rounding, or where no step makes it so small.
    """
    if share >= 1:
        return None
    old = {name: np.array(tensor).astype(np.float16) for name, tensor in base.items()}
    new = {name: np.array(tensor) for name, tensor in tuned.items()}
    with np.errstate(over="ignore"):  # saving refuses what float16 cannot hold, by name
        if plain_share({name: (old[name], new[name].astype(np.float16)) for name in new}) <= share:
            return None
        units = units_for({name: new[name] - old[name].astype(np.float32) for name in new}, share)
        if units is None:
            return None
        made = {name: on_grid(old[name], new[name], units) for name in new}
    return Rounded({name: mx.array(half).astype(mx.float32) for name, half in made.items()}, units)
