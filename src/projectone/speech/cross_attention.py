"""Many tokens attending to sound as one operation with its gradient: for training a decoder on a CPU.

As `half_blocks` does it for the halves of a block. Keys and values of the sound come out of one product, for both read
the same rows; a few tokens do without them (`absorbed_attention`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from projectone.speech import half_blocks
from projectone.speech.blocked_attention import attended_heads, attended_slopes, heads
from projectone.speech.half_blocks import Gradient, as_one, normed_product, weights_of
from projectone.speech.kernels import Floats
from projectone.speech.layers import Linear


def suits(x: mx.array, audio: mx.array, norm: nn.LayerNorm, linears: Sequence[nn.Module]) -> bool:
    """Whether this is possible (see `half_blocks.suits`): some tokens, and one sound to each text."""
    is_one_each = x.shape[0] == audio.shape[0] and x.shape[1] > 0
    return is_one_each and half_blocks.suits(audio, norm, linears)


def add_cross_attention(
    x: mx.array, audio: mx.array, norm: nn.LayerNorm, linears: Sequence[Linear], n_head: int
) -> mx.array:
    """``x + out(attention(norm(x), audio))``, every token to every position of the sound.

    Args:
        x: (batch, tokens, state).
        audio: (batch, positions, state).
        norm: Before the attention.
        linears: Query, key (which has no bias), value and out.
        n_head: Heads that share the state.
    """
    n_state = x.shape[-1]
    scale = np.float32(math.sqrt(n_head / n_state))

    def forward(x: Floats, audio: Floats, *weights: Floats) -> tuple[Floats, Gradient]:
        norm_weight, norm_bias, query_weight, query_bias, key_weight, value_weight, value_bias, w_out, b_out = weights
        rows, sound = x.reshape(-1, n_state), audio.reshape(-1, n_state)
        asked, offset, asked_gradient = normed_product(
            rows, norm.eps, norm_weight, norm_bias, query_weight * scale, query_bias * scale
        )
        asked += offset
        joint = np.concatenate([key_weight, value_weight])
        sides = sound @ joint.T
        sides[:, n_state:] += value_bias
        gathered = np.empty_like(rows)
        q, found = (heads(part.reshape(x.shape), n_head) for part in (asked, gathered))
        k, v = _sides(sides, audio.shape, n_head)
        kept = attended_heads(q, k, v, found)
        made = gathered @ w_out.T
        made += b_out
        made += rows

        def gradient(slope: Floats) -> list[Floats]:
            slope = slope.reshape(-1, n_state)
            cotangent = heads((slope @ w_out).reshape(x.shape), n_head)
            asked_slope, side_slopes = np.empty_like(asked), np.empty_like(sides)
            each = [heads(asked_slope.reshape(x.shape), n_head), *_sides(side_slopes, audio.shape, n_head)]
            attended_slopes(q, k, v, found, cotangent, kept=kept, slopes=each)
            into, norm_slope, norm_bias_slope, query_slope, bias_slope = asked_gradient(asked_slope)
            into += slope
            key_slope, value_slope = np.split(side_slopes.T @ sound, 2)
            value_bias_slope = np.ones(len(sound), np.float32) @ side_slopes[:, n_state:]
            return [
                *(into, side_slopes @ joint, norm_slope, norm_bias_slope, query_slope * scale, bias_slope * scale),
                *(key_slope, value_slope, value_bias_slope, slope.T @ gathered, slope.sum(axis=0)),
            ]

        return made, gradient

    return as_one(forward)(x, audio, *weights_of(norm, linears))


def _sides(x: Floats, shape: tuple[int, ...], n_head: int) -> list[Floats]:
    """(rows, 2 * state) as keys and values, (batch, heads, positions, width) each, without a copy."""
    both = x.reshape(*shape[:2], 2, shape[2])
    return [heads(both[:, :, side], n_head) for side in range(2)]
