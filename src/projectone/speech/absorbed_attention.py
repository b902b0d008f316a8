"""A few tokens attending to much sound as one operation with its gradient: for training a decoder on a CPU.

Written plainly, every position of the sound is turned into a key and a value, two products as large as the state. But
``query @ (audio @ key.T).T`` is ``(query @ key) @ audio.T``: the few queries can take the weights upon them instead of
the many positions, and what they gather is turned into values after it was gathered. For a correction of 16 tokens
that is a third of the arithmetic, and no keys or values of all positions are written, read or turned.
Source of the idea: DeepSeek-AI, 2024 (the absorbed form of multi-head latent attention).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from projectone.speech import half_blocks
from projectone.speech.half_blocks import Gradient, as_one, normed_product, weights_of
from projectone.speech.kernels import Floats
from projectone.speech.layers import Linear


def suits(x: mx.array, audio: mx.array, norm: nn.LayerNorm, linears: Sequence[nn.Module], n_head: int) -> bool:
    """Whether this is possible (see `half_blocks.suits`) and cheaper: tokens at most half as many as a head is wide."""
    is_short = 0 < 2 * x.shape[1] * n_head <= x.shape[2] and x.shape[1] < audio.shape[1]
    return is_short and x.shape[0] == audio.shape[0] and half_blocks.suits(audio, norm, linears)


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
    batch, n_tokens, n_state = x.shape
    n_rows, width = batch * n_tokens, n_state // n_head
    scale = np.float32(1 / math.sqrt(width))

    def forward(x: Floats, audio: Floats, *weights: Floats) -> tuple[Floats, Gradient]:
        norm_weight, norm_bias, query_weight, query_bias, key_weight, value_weight, value_bias, w_out, b_out = weights
        rows, turned = x.reshape(n_rows, n_state), audio.swapaxes(1, 2)
        of_keys, of_values = (weight.reshape(n_head, width, n_state) for weight in (key_weight, value_weight))
        asked, offset, asked_gradient = normed_product(
            rows, norm.eps, norm_weight, norm_bias, query_weight * scale, query_bias * scale
        )
        asked += offset
        asking = np.empty((batch, n_tokens * n_head, n_state), np.float32)
        np.matmul(_narrow(asked, n_head), of_keys, out=_wide(asking, n_head))
        weighed: Floats = asking @ turned
        weighed -= weighed.max(axis=-1, keepdims=True)
        np.exp(weighed, out=weighed)
        weighed /= weighed.sum(axis=-1, keepdims=True)
        gathered: Floats = weighed @ audio
        told = np.empty_like(rows)
        np.matmul(_wide(gathered, n_head), of_values.swapaxes(1, 2), out=_narrow(told, n_head))
        told += value_bias
        made = told @ w_out.T
        made += b_out
        made += rows

        def gradient(slope: Floats) -> list[Floats]:
            slope = slope.reshape(n_rows, n_state)
            told_slope, asked_slope, gathered_slope = slope @ w_out, np.empty_like(asked), np.empty_like(gathered)
            told_heads = _narrow(told_slope, n_head)
            np.matmul(told_heads, of_values, out=_wide(gathered_slope, n_head))
            weighed_slope: Floats = gathered_slope @ turned
            weighed_slope -= np.einsum("bij,bij->bi", gathered_slope, gathered)[..., None]
            weighed_slope *= weighed
            asking_slope: Floats = weighed_slope @ audio
            np.matmul(_wide(asking_slope, n_head), of_keys.swapaxes(1, 2), out=_narrow(asked_slope, n_head))
            audio_slope: Floats = weighed.swapaxes(1, 2) @ gathered_slope
            audio_slope += weighed_slope.swapaxes(1, 2) @ asking
            key_slope = _narrow(asked, n_head).swapaxes(1, 2) @ _wide(asking_slope, n_head)
            value_slope = told_heads.swapaxes(1, 2) @ _wide(gathered, n_head)
            into, norm_slope, norm_bias_slope, query_slope, bias_slope = asked_gradient(asked_slope)
            into += slope
            return [
                *(into, audio_slope, norm_slope, norm_bias_slope, query_slope * scale, bias_slope * scale),
                *(key_slope, value_slope, told_slope.sum(axis=0), slope.T @ told, slope.sum(axis=0)),
            ]

        return made, gradient

    return as_one(forward)(x, audio, *weights_of(norm, linears))


def _narrow(rows: Floats, n_head: int) -> Floats:
    """(rows, state) as (heads, rows, width), without a copy."""
    return rows.reshape(len(rows), n_head, -1).swapaxes(0, 1)


def _wide(x: Floats, n_head: int) -> Floats:
    """(batch, tokens * heads, state) as (heads, batch * tokens, state), without a copy."""
    batch, n_rows, n_state = x.shape
    return x.reshape(batch * n_rows // n_head, n_head, n_state).swapaxes(0, 1)
