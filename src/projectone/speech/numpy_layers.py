"""Whisper's layers in numpy, on views of a model's float32 weights: for inference on a CPU.

mlx pays more there to dispatch small operations, to repack weights for products with few rows, and for its scalar
exponentials than the arithmetic costs. Each layer gives what its mlx twin gives, up to the rounding of float32.
"""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from projectone.speech.whisper import Conv1d, LayerNorm

Floats = np.ndarray[Any, np.dtype[np.float32]]

_BLOCK = 32_768  # numbers at a time: a few blocks of this size stay in a core's second-level cache


class Linear:
    """A product with a weight matrix, and a bias if there is one: (..., in) to (..., out)."""

    def __init__(self, linear: nn.Linear) -> None:
        self._weight = view(linear.weight).T
        self._bias = view(linear.bias) if "bias" in linear else None

    def __call__(self, x: Floats) -> Floats:
        """Same leading axes as `x`."""
        product: Floats = x @ self._weight
        if self._bias is not None:
            product += self._bias
        return product


class Norm:
    """Layer normalisation of (rows, state)."""

    def __init__(self, norm: LayerNorm) -> None:
        self._weight, self._bias, self._eps = view(norm.weight), view(norm.bias), np.float32(norm.eps)

    def __call__(self, x: Floats) -> Floats:
        """Same shape as `x`."""
        scaled: Floats = x - x.mean(axis=-1, keepdims=True)
        variance = np.einsum("rs,rs->r", scaled, scaled)[:, None] / np.float32(x.shape[-1])
        scaled /= np.sqrt(variance + self._eps)
        scaled *= self._weight
        scaled += self._bias
        return scaled


class Convolution:
    """A convolution of width 3 with a zero on either side, as one product: (frames, in) to (steps, out)."""

    def __init__(self, convolution: Conv1d, *, stride: int) -> None:
        weight = view(convolution.weight)
        self._weight = np.ascontiguousarray(weight.reshape(weight.shape[0], -1).T)
        self._bias, self._stride = view(convolution.bias), stride

    def __call__(self, x: Floats) -> Floats:
        """(frames, in) to (ceil(frames / stride), out)."""
        n_frames, n_in = x.shape
        padded = np.zeros((n_frames + 2, n_in), np.float32)
        padded[1:-1] = x
        # Three neighbouring frames lie side by side in memory: a window over the flat array is one row of the product.
        windows = np.lib.stride_tricks.sliding_window_view(padded.reshape(-1), 3 * n_in)[:: n_in * self._stride]
        product: Floats = np.ascontiguousarray(windows) @ self._weight
        product += self._bias
        return product


def gelu(x: Floats) -> Floats:
    """The exact GELU, in place, with an error function that is right to 1.5e-7.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
    """
    flat = x.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        z = np.abs(block)
        z *= np.float32(math.sqrt(0.5))
        t = 1 / (1 + np.float32(0.3275911) * z)
        below = t * np.float32(1.061405429)
        for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
            below += np.float32(coefficient)
            below *= t
        z *= -z
        below *= np.exp(z, out=z)
        below *= np.float32(0.5)  # the normal distribution below -|x|
        block *= np.where(block < 0, below, 1 - below)
    return x


def view(array: mx.array) -> Floats:
    """The numbers of an mlx array without a copy."""
    return np.array(array, copy=False)


def is_plain(module: nn.Module) -> bool:
    """Whether numpy can stand in for this part of a model: a CPU, float32, no adapter, nothing quantised."""
    if mx.default_device() != mx.cpu:
        return False
    layers = [layer for _, layer in module.named_modules() if not layer.children()]
    plain = (nn.Linear, nn.Embedding, LayerNorm, Conv1d)
    return all(type(layer) in plain and layer.weight.dtype == mx.float32 for layer in layers)
