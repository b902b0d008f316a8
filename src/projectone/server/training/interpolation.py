"""Weights between a base and what fine-tuning made of it: the cheapest guard against forgetting."""

from __future__ import annotations

from collections.abc import Mapping

import mlx.core as mx


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
