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

Array = npt.NDArray[np.float32]

# Below this many numbers, going through numpy costs more than it saves.
SMALLEST_SIZE = 8192
# Numbers worked on at a time: four such blocks stay in a core's second-level cache.
_BLOCK = 65_536
_ROOT_HALF = math.sqrt(0.5)
_NEAR_ZERO = 1e-20  # where a quotient might not be a normal number
_INVERSE_ROOT_2_PI = 1 / math.sqrt(2 * math.pi)
# The upper tail of the normal distribution over its density, as a rational function; error below 2e-7.
# Source: W. J. Cody, "Rational Chebyshev approximation for the error function", as used for float32 in Eigen and XLA.
_ERF_TOP = (
    -2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
    -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02,
)  # fmt: skip
_ERF_BOTTOM = (
    -1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
    -1.42647390514189e-02,
)  # fmt: skip


def goes_through_numpy(x: mx.array) -> bool:
    """Whether an array is large enough, and lies where, numpy works on it faster than mlx."""
    return bool(x.size >= SMALLEST_SIZE and x.dtype == mx.float32 and mx.default_device().type == mx.cpu)


def _blocks(size: int, step: int) -> list[slice]:
    return [slice(start, start + max(1, step)) for start in range(0, size, max(1, step))]


def _normal_cdf(x: Array) -> Array:
    """The share of the standard normal distribution below `x`, from a rational form of the error function."""
    scaled = np.clip(x * np.float32(_ROOT_HALF), -4, 4)
    square = scaled * scaled
    top = square * np.float32(_ERF_TOP[0])
    for coefficient in _ERF_TOP[1:-1]:
        top += np.float32(coefficient)
        top *= square
    top += np.float32(_ERF_TOP[-1])
    bottom = square * np.float32(_ERF_BOTTOM[0])
    for coefficient in _ERF_BOTTOM[1:-1]:
        bottom += np.float32(coefficient)
        bottom *= square
    bottom += np.float32(_ERF_BOTTOM[-1])
    top *= scaled
    top /= bottom
    top += 1
    share: Array = top * np.float32(0.5)
    return share


def _by_block(function: Callable[..., Array], *inputs: mx.array) -> mx.array:
    """Apply `function` to flat blocks of equally shaped arrays; the result has their shape."""
    flat = [np.asarray(x).reshape(-1) for x in inputs]
    out = np.empty(flat[0].size, dtype=np.float32)
    for block in _blocks(out.size, _BLOCK):
        out[block] = function(*(x[block] for x in flat))
    return mx.array(out).reshape(inputs[0].shape)


def _gelu_block(x: Array) -> Array:
    return x * _normal_cdf(x)


def _gelu_slope_block(x: Array, value: Array, cotangent: Array) -> Array:
    slope = x * x
    slope *= np.float32(-0.5)
    np.exp(slope, out=slope)
    slope *= x
    slope *= np.float32(_INVERSE_ROOT_2_PI)
    # The share below `x` is in the value already; around zero it is a half.
    share = np.full_like(x, 0.5)
    np.divide(value, x, out=share, where=np.abs(x) > _NEAR_ZERO)
    slope += share
    slope *= cotangent
    return slope


def _gelu_values(x: mx.array) -> mx.array:
    return _by_block(_gelu_block, x)


def _gelu_gradient(x: mx.array, cotangent: mx.array, output: mx.array) -> mx.array:
    return _by_block(_gelu_slope_block, x, output, cotangent)


_fast_gelu = mx.custom_function(_gelu_values)
_fast_gelu.vjp(_gelu_gradient)


def plain_gelu(x: mx.array) -> mx.array:
    """`gelu` written with mlx's own operations."""
    # Not `nn.gelu`: that one is compiled, and compiling for the CPU needs a C++ compiler on the user's machine.
    return x * (1 + mx.erf(x * _ROOT_HALF)) * 0.5


def gelu(x: mx.array) -> mx.array:
    """The exact Gaussian error linear unit, as in Whisper: ``x * Phi(x)``."""
    return _fast_gelu(x) if goes_through_numpy(x) else plain_gelu(x)


def _softmax_rows(scores: Array, out: Array) -> None:
    np.subtract(scores, scores.max(axis=-1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis=-1, keepdims=True)


def _softmax_values(scores: mx.array) -> mx.array:
    width = scores.shape[-1]
    rows = np.asarray(scores).reshape(-1, width)
    out = np.empty_like(rows)
    for block in _blocks(rows.shape[0], _BLOCK // width):
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


def _standardised(rows: Array, eps: float) -> tuple[Array, Array]:
    """Rows with zero mean and unit variance, and the inverse deviation of each."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    variance = np.einsum("ij,ij->i", centred, centred)[:, None] / np.float32(rows.shape[-1])
    inverse = (1 / np.sqrt(variance + np.float32(eps))).astype(np.float32)
    centred *= inverse
    return centred, inverse


@lru_cache(maxsize=4)
def _fast_layer_norm(eps: float) -> Callable[[mx.array, mx.array, mx.array], mx.array]:
    def values(x: mx.array, weight: mx.array, bias: mx.array) -> mx.array:
        width = x.shape[-1]
        rows, scale, shift = np.asarray(x).reshape(-1, width), np.asarray(weight), np.asarray(bias)
        out = np.empty_like(rows)
        for block in _blocks(rows.shape[0], _BLOCK // width):
            out[block] = _standardised(rows[block], eps)[0] * scale + shift
        return mx.array(out).reshape(x.shape)

    def gradient(
        primals: tuple[mx.array, mx.array, mx.array], cotangent: mx.array, _output: mx.array
    ) -> tuple[mx.array, mx.array, mx.array]:
        x, weight, _ = primals
        width = x.shape[-1]
        rows, slopes, scale = (
            np.asarray(x).reshape(-1, width),
            np.asarray(cotangent).reshape(-1, width),
            np.asarray(weight),
        )
        out = np.empty_like(rows)
        weight_slope = np.zeros(width, dtype=np.float32)
        for block in _blocks(rows.shape[0], _BLOCK // width):
            standard, inverse = _standardised(rows[block], eps)
            weight_slope += np.einsum("ij,ij->j", slopes[block], standard)
            scaled = slopes[block] * scale
            along = np.einsum("ij,ij->i", scaled, standard)[:, None] / np.float32(width)
            scaled -= scaled.mean(axis=-1, keepdims=True)
            scaled -= standard * along
            out[block] = scaled * inverse
        return mx.array(out).reshape(x.shape), mx.array(weight_slope), mx.array(slopes.sum(axis=0))

    function = mx.custom_function(values)
    function.vjp(gradient)
    normalise: Callable[[mx.array, mx.array, mx.array], mx.array] = function
    return normalise


def layer_norm(x: mx.array, weight: mx.array, bias: mx.array, eps: float) -> mx.array:
    """Normalises the last axis to zero mean and unit variance, then scales and shifts it."""
    if goes_through_numpy(x):
        return _fast_layer_norm(eps)(x, weight, bias)
    return mx.fast.layer_norm(x, weight, bias, eps)


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
    return mx.addmm(bias, windows, weight.reshape(n_out, 3 * n_in).T)
