"""Whisper's layers in numpy, on views of a model's float32 weights: for inference on a CPU.

mlx pays more there to dispatch small operations, to repack weights for products with few rows, and for its scalar
exponentials than the arithmetic costs. Each layer gives what its mlx twin gives, up to the rounding of float32.
"""

from __future__ import annotations

from functools import partial

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from projectone.speech import kernels, layers
from projectone.speech.kernels import Floats
from projectone.speech.thin_products import PackedWeight, thin_product


class Linear:
    """A product with a weight matrix, and a bias if there is one: (..., in) to (..., out).

    Args:
        linear: The layer.
        n_rows: Lay a copy of the matrix out for so many rows at a time, because there will be many products of them.
    """

    def __init__(self, linear: layers.Linear, *, n_rows: int | None = None) -> None:
        weight = view(linear.weight)
        self._product = partial(thin_product, weight=weight) if n_rows is None else PackedWeight(weight, n_rows).product
        self._bias = view(linear.bias) if "bias" in linear else None

    def __call__(self, x: Floats) -> Floats:
        """Same leading axes as `x`."""
        product = self._product(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)
        if self._bias is not None:
            product += self._bias
        return product


class Norm:
    """Layer normalisation of (rows, state)."""

    def __init__(self, norm: layers.LayerNorm) -> None:
        self._weight, self._bias, self._eps = view(norm.weight), view(norm.bias), norm.eps

    def __call__(self, x: Floats) -> Floats:
        """Same shape as `x`."""
        scaled, _ = kernels.standardised(x, self._eps)
        scaled *= self._weight
        scaled += self._bias
        return scaled


class Convolution:
    """A convolution of width 3 with a zero on either side, as one product: (frames, in) to (steps, out)."""

    def __init__(self, convolution: layers.Conv1d, *, stride: int) -> None:
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
    """The exact GELU, in place."""
    flat = x.reshape(-1)
    for block in kernels.blocks(flat.size):
        kernels.gelu(flat[block], flat[block])
    return x


def view(array: mx.array) -> Floats:
    """The numbers of an mlx array without a copy."""
    return np.array(array, copy=False)


def is_plain(module: nn.Module) -> bool:
    """Whether numpy can stand in for this part of a model: a CPU, float32, no adapter, nothing quantised."""
    return bool(mx.default_device() == mx.cpu) and has_plain_layers(module)


def has_plain_layers(module: nn.Module) -> bool:
    """Whether all layers are Whisper's own, in float32: no adapter, nothing quantised by mlx."""
    found = [layer for _, layer in module.named_modules() if not layer.children()]
    plain = (nn.Embedding, layers.LayerNorm, layers.Linear, layers.Conv1d)
    return all(type(layer) in plain and layer.weight.dtype == mx.float32 for layer in found)
