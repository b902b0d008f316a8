"""Convolution, normalisation and activations in the forms that are fast on a CPU; each equals its plain form.

mlx's own transcendental functions are scalar loops on the CPU: the exponential of an array takes some eighteen times
as long as numpy's, the error function forty. There, and only there, large arrays go through numpy and come back; the
gradients are written out beside the values. On a GPU, and for arrays too small to matter, the plain forms are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.speech import kernels

Array = npt.NDArray[np.float32]

# Below this many numbers, going through numpy costs more than it saves.
SMALLEST_SIZE = 8192
_ROOT_HALF = math.sqrt(0.5)


def goes_through_numpy(x: mx.array) -> bool:
    """Whether an array is large enough, and lies where, numpy works on it faster than mlx."""
    return bool(x.size >= SMALLEST_SIZE and x.dtype == mx.float32 and mx.default_device().type == mx.cpu)


def _gelu_values(x: mx.array) -> tuple[mx.array, mx.array]:
    flat = np.asarray(x).reshape(-1)
    values, slopes = np.empty((2, flat.size), np.float32)
    for block in kernels.blocks(flat.size):
        kernels.gelu_with_slope(flat[block], values[block], slopes[block])
    return mx.array(values).reshape(x.shape), mx.array(slopes).reshape(x.shape)


def _gelu_gradient(_x: mx.array, cotangents: tuple[mx.array, mx.array], outputs: tuple[mx.array, mx.array]) -> mx.array:
    return cotangents[0] * outputs[1]


_fast_gelu = mx.custom_function(_gelu_values)
_fast_gelu.vjp(_gelu_gradient)


def plain_gelu(x: mx.array) -> mx.array:
    """`gelu` written with mlx's own operations."""
    # Not `nn.gelu`: that one is compiled, and compiling for the CPU needs a C++ compiler on the user's machine.
    return x * (1 + mx.erf(x * _ROOT_HALF)) * 0.5


def gelu(x: mx.array) -> mx.array:
    """The exact Gaussian error linear unit, as in Whisper: ``x * Phi(x)``."""
    return _fast_gelu(x)[0] if goes_through_numpy(x) else plain_gelu(x)


def _softmax_rows(scores: Array, out: Array) -> None:
    np.subtract(scores, scores.max(axis=-1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis=-1, keepdims=True)


def _softmax_values(scores: mx.array) -> mx.array:
    width = scores.shape[-1]
    rows = np.asarray(scores).reshape(-1, width)
    out = np.empty_like(rows)
    for block in kernels.blocks(*rows.shape):
        _softmax_rows(rows[block], out[block])
    return mx.array(out).reshape(scores.shape)


def _softmax_gradient(_scores: mx.array, cotangent: mx.array, weights: mx.array) -> mx.array:
    product = weights * cotangent
    return product - weights * product.sum(axis=-1, keepdims=True)


_fast_softmax = mx.custom_function(_softmax_values)
_fast_softmax.vjp(_softmax_gradient)


def softmax(scores: mx.array) -> mx.array:
    """Softmax over the last axis, computed in float32 and given back in the type of `scores`."""
    if goes_through_numpy(scores):
        return _fast_softmax(scores)
    return mx.softmax(scores, axis=-1, precise=True)


def plain_cross_entropy(logits: mx.array, targets: mx.array) -> mx.array:
    """`cross_entropy` written with mlx's own operations."""
    return mx.logsumexp(logits, axis=-1) - mx.take_along_axis(logits, targets[:, None], axis=-1).squeeze(-1)


def cross_entropy(logits: mx.array, targets: mx.array) -> mx.array:
    """Nats of each target: (rows, classes) in float32 and (rows,) to (rows,)."""
    if not goes_through_numpy(logits):
        return plain_cross_entropy(logits, targets)
    wanted = np.asarray(targets)

    def values(logits: mx.array) -> tuple[mx.array, mx.array]:
        levels = np.empty(wanted.size, np.float32)
        for row, (scores, _) in enumerate(zip(np.asarray(logits), wanted, strict=True)):
            highest = scores.max()
            levels[row] = highest + np.log(np.exp(scores - highest).sum())
        return mx.array(levels - np.asarray(logits)[np.arange(wanted.size), wanted]), mx.array(levels)

    def gradient(logits: mx.array, cotangents: tuple[mx.array, ...], outputs: tuple[mx.array, ...]) -> mx.array:
        levels, slopes = np.asarray(outputs[1]), np.asarray(cotangents[0])
        out = np.asarray(logits) - levels[:, None]
        for row, slope in zip(out, slopes, strict=True):
            np.exp(row, out=row)
            row *= slope
        out[np.arange(wanted.size), wanted] -= slopes
        return mx.array(out)

    function = mx.custom_function(values)
    function.vjp(gradient)
    nats: mx.array = function(logits)[0]
    return nats


@lru_cache(maxsize=4)
def _fast_layer_norm(eps: float) -> Callable[[mx.array, mx.array, mx.array], mx.array]:
    def values(x: mx.array, weight: mx.array, bias: mx.array) -> mx.array:
        out, _ = kernels.standardised(np.asarray(x).reshape(-1, x.shape[-1]), eps)
        for block in kernels.blocks(*out.shape):
            out[block] *= np.asarray(weight)
            out[block] += np.asarray(bias)
        return mx.array(out).reshape(x.shape)

    def gradient(
        primals: tuple[mx.array, mx.array, mx.array], cotangent: mx.array, _output: mx.array
    ) -> tuple[mx.array, mx.array, mx.array]:
        x, weight, _ = primals
        rows, slopes = (np.asarray(array).reshape(-1, x.shape[-1]) for array in (x, cotangent))
        made = kernels.standardised_slopes(slopes, *kernels.standardised(rows, eps), np.asarray(weight))
        x_slope, weight_slope, bias_slope = map(mx.array, made)
        return x_slope.reshape(x.shape), weight_slope, bias_slope

    function = mx.custom_function(values)
    function.vjp(gradient)
    normalise: Callable[[mx.array, mx.array, mx.array], mx.array] = function
    return normalise


def layer_norm(x: mx.array, weight: mx.array, bias: mx.array, eps: float) -> mx.array:
    """Normalises the last axis to zero mean and unit variance, then scales and shifts it."""
    if goes_through_numpy(x):
        return _fast_layer_norm(eps)(x, weight, bias)
    return mx.fast.layer_norm(x, weight, bias, eps)


def _affine(x: mx.array, weight: mx.array, *bias: mx.array) -> mx.array:
    return mx.addmm(bias[0], x, weight.T) if bias else x @ weight.T


def _affine_gradient(primals: tuple[mx.array, ...], cotangent: mx.array, _output: mx.array) -> tuple[mx.array, ...]:
    x, weight, *bias = primals
    rows, slopes = x.reshape(-1, x.shape[-1]), cotangent.reshape(-1, cotangent.shape[-1])
    made = (cotangent @ weight, slopes.T @ rows)
    return (*made, slopes.sum(axis=0)) if bias else made


_laid_affine = mx.custom_function(_affine)
_laid_affine.vjp(_affine_gradient)


def linear(x: mx.array, weight: mx.array, bias: mx.array | None = None) -> mx.array:
    """``x @ weight.T + bias``, (..., in) to (..., out).

    mlx gives the gradient of ``weight`` by way of ``weight.T``, turned; to turn it back takes a CPU as long as a tenth
    of the update. Here it comes out as the weight lies.
    """
    given = (x, weight) if bias is None else (x, weight, bias)
    made: mx.array = (_laid_affine if goes_through_numpy(weight) else _affine)(*given)
    return made


def conv1d(x: mx.array, weight: mx.array, bias: mx.array, *, stride: int) -> mx.array:
    """A convolution of width 3 with one zero of padding on either side, as matrix products.

    Args:
        x: (batch, frames, channels in).
        weight: (channels out, 3, channels in), the layout of mlx.
        bias: (channels out,).
        stride: 1 or 2.

    Returns:
        (batch, ceil(frames / stride), channels out).
    """
    n_out, width, n_in = weight.shape
    if width != 3 or stride not in (1, 2):
        raise ValueError(f"expected width 3 and stride 1 or 2, got width {width} and stride {stride}")
    n_frames = x.shape[1]
    n_steps = -(-n_frames // stride)
    padded = mx.pad(x, [(0, 0), (1, stride * (n_steps - 1) + 2 - n_frames), (0, 0)])
    if stride == 1:
        taps = [padded[:, start : start + n_steps] for start in range(3)]
    else:
        # Frames in pairs: taps 0 and 1 of a step lie side by side, tap 2 opens the next pair. No strided copies.
        padded = mx.pad(padded, [(0, 0), (0, 1), (0, 0)])
        pairs = padded.reshape(padded.shape[0], n_steps + 1, 2 * n_in)
        taps = [pairs[:, :n_steps], pairs[:, 1:, :n_in]]
    windows = mx.concatenate(taps, axis=-1)
    return linear(windows, weight.reshape(n_out, 3 * n_in), bias)
