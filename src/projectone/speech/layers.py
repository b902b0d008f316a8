"""The layers that Whisper is made of, with the arithmetic of `ops`."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from projectone.speech import ops


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` with the arithmetic of `ops`."""

    def __call__(self, x: mx.array) -> mx.array:
        """Same shape as `x`."""
        return ops.layer_norm(x, self.weight, self.bias, self.eps)


class Linear(nn.Linear):
    """`nn.Linear` with the arithmetic of `ops`."""

    def __call__(self, x: mx.array) -> mx.array:
        """(..., in) to (..., out)."""
        return ops.linear(x, self.weight, self.get("bias"))


class Conv1d(nn.Conv1d):
    """`nn.Conv1d` of width 3 and padding 1 with the arithmetic of `ops`; weights (out, width, in)."""

    def __call__(self, x: mx.array) -> mx.array:
        """(batch, frames, in) to (batch, steps, out)."""
        return ops.conv1d(x, self.weight, self.bias, stride=self.stride)
