"""Weights between a base and what fine-tuning made of it: the cheapest guard against forgetting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mlx.core as mx


@dataclass(frozen=True)
class AlphaPoint:
    """What one share of the fine-tuned weights comes to; alpha 0 is the base, 1 the fine-tuned model.

    Attributes:
        dev_wer: Word error rate on the held-back clips of the people to learn from.
        general_wer: The same on general speech; None if there is none to watch.
    """

    alpha: float
    dev_wer: float
    general_wer: float | None


def interpolate(base: Mapping[str, mx.array], tuned: Mapping[str, mx.array], alpha: float) -> dict[str, mx.array]:
    """``(1 - alpha) * base + alpha * tuned``, tensor by tensor; 1 gives exactly the tuned weights.

    Source: WiSE-FT, Wortsman et al., 2022.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha: expected 0 to 1, got {alpha!r}")
    if base.keys() != tuned.keys():
        raise ValueError(f"expected the same tensors, got {sorted(base.keys() ^ tuned.keys())[:3]} on one side only")
    if alpha == 1:
        return dict(tuned)
    return {name: (1 - alpha) * weight + alpha * tuned[name] for name, weight in base.items()}
