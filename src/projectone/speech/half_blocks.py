"""The two halves of a transformer block as one operation each, with their gradients written out: for training on a CPU.

mlx takes some fifteen operations to a half, and copies what numpy made in between. Here numpy does all of a half, on
views of mlx's arrays; what the gradient needs stays where it was made. Each half equals its plain form in `whisper`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from projectone.speech import kernels
from projectone.speech.blocked_attention import attended_heads, attended_slopes, heads
from projectone.speech.kernels import Floats
from projectone.speech.layers import Linear

# Below this many numbers, going through numpy costs more than it saves.
_SMALLEST_SIZE = 65_536

Half = Callable[..., mx.array]
Gradient = Callable[[Floats], list[Floats]]


def suits(x: mx.array, norm: nn.LayerNorm, linears: Sequence[nn.Module]) -> bool:
    """Whether these can be one operation: on a CPU, in float32, large enough, without adapters, all of it trained."""
    is_large = x.size >= _SMALLEST_SIZE and mx.default_device().type == mx.cpu
    if not is_large or not all(type(linear) is Linear and linear.trainable_parameters() for linear in linears):
        return False
    return all(weight.dtype == mx.float32 for weight in (x, norm.weight, *(linear.weight for linear in linears)))


def add_attention(x: mx.array, norm: nn.LayerNorm, linears: Sequence[Linear], n_head: int) -> mx.array:
    """``x + out(attention(norm(x)))``, every position to every one.

    Args:
        x: (batch, positions, state).
        norm: Before the attention.
        linears: Query, key (which has no bias), value and out.
        n_head: Heads that share the state.
    """
    scale = np.float32(math.sqrt(n_head / x.shape[-1]))

    def forward(x: Floats, *weights: Floats) -> tuple[Floats, Gradient]:
        norm_weight, norm_bias, query_weight, query_bias, key_weight, value_weight, value_bias, w_out, b_out = weights
        n_state = x.shape[-1]
        rows = x.reshape(-1, n_state)
        # One product for the three: they read the same rows. The query is scaled by its weights.
        joint = np.concatenate([query_weight * scale, key_weight, value_weight])
        joint_bias = np.concatenate([query_bias * scale, np.zeros_like(query_bias), value_bias])
        sides, offset, side_gradient = normed_product(rows, norm.eps, norm_weight, norm_bias, joint, joint_bias)
        sides += offset
        sides = sides.reshape(*x.shape[:-1], 3, n_state)
        q, k, v = (heads(sides[..., side, :], n_head) for side in range(3))
        gathered = np.empty_like(rows)
        found = heads(gathered.reshape(x.shape), n_head)
        kept = attended_heads(q, k, v, found)
        made = gathered @ w_out.T
        made += b_out
        made += rows

        def gradient(slope: Floats) -> list[Floats]:
            slope = slope.reshape(-1, n_state)
            cotangent = heads((slope @ w_out).reshape(x.shape), n_head)
            side_slopes = np.empty_like(sides)
            each = [heads(side_slopes[..., side, :], n_head) for side in range(3)]
            attended_slopes(q, k, v, found, cotangent, kept=kept, slopes=each)
            into, norm_slope, norm_bias_slope, joint_slope, bias_slope = side_gradient(
                side_slopes.reshape(-1, 3 * n_state)
            )
            into += slope
            query_slope, key_slope, value_slope = np.split(joint_slope, 3)
            query_slope *= scale
            return [
                *(into, norm_slope, norm_bias_slope, query_slope, bias_slope[:n_state] * scale, key_slope),
                *(value_slope, bias_slope[2 * n_state :], slope.T @ gathered, slope.sum(axis=0)),
            ]

        return made, gradient

    return as_one(forward)(x, *weights_of(norm, linears))


def add_mlp(x: mx.array, norm: nn.LayerNorm, linears: Sequence[Linear]) -> mx.array:
    """``x + second(gelu(first(norm(x))))``.

    Args:
        x: (..., state).
        norm: Before the first.
        linears: The two.
    """
    first, second = linears

    def forward(x: Floats, *weights: Floats) -> tuple[Floats, Gradient]:
        norm_weight, norm_bias, first_weight, first_bias, second_weight, second_bias = weights
        rows = x.reshape(-1, x.shape[-1])
        hidden, offset, hidden_gradient = normed_product(
            rows, norm.eps, norm_weight, norm_bias, first_weight, first_bias
        )
        slopes = np.empty_like(hidden)
        for block in kernels.blocks(*hidden.shape):
            hidden[block] += offset
            kernels.gelu_with_slope(hidden[block], hidden[block], slopes[block])
        made: Floats = hidden @ second_weight.T
        made += second_bias
        made += rows

        def gradient(slope: Floats) -> list[Floats]:
            slope = slope.reshape(rows.shape)
            hidden_slope: Floats = slope @ second_weight
            hidden_slope *= slopes
            into, *others = hidden_gradient(hidden_slope)
            into += slope
            return [into, *others, slope.T @ hidden, slope.sum(axis=0)]

        return made, gradient

    return as_one(forward)(x, norm.weight, norm.bias, first.weight, first.bias, second.weight, second.bias)


def weights_of(norm: nn.LayerNorm, linears: Sequence[Linear]) -> list[mx.array]:
    """What an attention is trained by, in the order in which its gradients are given.

    Args:
        norm: Before the attention.
        linears: Query, key (which has no bias), value and out.
    """
    query, key, value, out = linears
    into = [norm.weight, norm.bias, query.weight, query.bias, key.weight, value.weight, value.bias]
    return [*into, out.weight, out.bias]


def normed_product(
    rows: Floats, eps: float, norm_weight: Floats, norm_bias: Floats, weight: Floats, bias: Floats
) -> tuple[Floats, Floats, Gradient]:
    """``norm(rows) @ weight.T + bias`` in two parts, what depends on the rows and what does not; and its gradients.

    What the norm multiplies and adds is folded into weight and bias, so that it costs no pass over the rows.

    Args:
        rows: (rows, in).
        eps: Of the norm.
        norm_weight: (in,).
        norm_bias: (in,).
        weight: (out, in).
        bias: (out,).

    Returns:
        The two parts, and what makes gradients of all but `eps`, in their order, from that of the sum.
    """
    standard, inverse = kernels.standardised(rows, eps)
    folded = weight * norm_weight

    def gradient(slope: Floats) -> list[Floats]:
        bias_slope = np.ones(len(slope), np.float32) @ slope  # twice as fast as a sum
        into, raw = slope @ folded, slope.T @ standard
        kernels.unstandardise_slopes(into, standard, inverse)
        norm_slope, norm_bias_slope = np.einsum("ij,ij->j", weight, raw), bias_slope @ weight
        raw *= norm_weight
        raw += np.outer(bias_slope, norm_bias)
        return [into, norm_slope, norm_bias_slope, raw, bias_slope]

    return standard @ folded.T, weight @ norm_bias + bias, gradient


def as_one(forward: Callable[..., tuple[Floats, Gradient]]) -> Half:
    """A function of mlx, from one of numpy that gives its value and what makes gradients of all that it was given.

    Args:
        forward: Takes what the function takes; its value has the shape of the first.
    """
    gradients: list[Gradient] = []

    def values(*given: mx.array) -> mx.array:
        made, gradient = forward(*map(np.asarray, given))
        gradients.append(gradient)
        return mx.array(made).reshape(given[0].shape)

    def slopes(primals: tuple[mx.array, ...], cotangent: mx.array, _output: mx.array) -> tuple[mx.array, ...]:
        made = gradients[-1](np.asarray(cotangent))
        return tuple(mx.array(slope).reshape(primal.shape) for slope, primal in zip(made, primals, strict=True))

    function = mx.custom_function(values)
    function.vjp(slopes)
    half: Half = function
    return half
