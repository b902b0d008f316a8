"""Convolution, normalisation and activations in the forms that are fast on a CPU; each equals its plain form."""

from __future__ import annotations

import math

import mlx.core as mx


def gelu(x: mx.array) -> mx.array:
    """The exact Gaussian error linear unit, as in Whisper: ``x * Phi(x)``."""
    # Not `nn.gelu`: that one is compiled, and compiling for the CPU needs a C++ compiler on the user's machine.
    return x * (1 + mx.erf(x * (1 / math.sqrt(2)))) * 0.5


def softmax(scores: mx.array) -> mx.array:
    """Softmax over the last axis, computed in float32 and given back in the type of `scores`."""
    return mx.softmax(scores, axis=-1, precise=True)


def layer_norm(x: mx.array, weight: mx.array, bias: mx.array, eps: float) -> mx.array:
    """Normalises the last axis to zero mean and unit variance, then scales and shifts it."""
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
