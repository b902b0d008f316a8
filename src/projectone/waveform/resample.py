"""To the 16 kHz mono that the model hears: a windowed-sinc filter, evaluated as matrix products."""

from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

MODEL_RATE_HZ = 16_000
MIN_RATE_HZ = 1_000
MAX_RATE_HZ = 192_000

# 48 zero crossings on each side and a Kaiser window of beta 9 give a transition band of about 12 % of the narrower
# Nyquist frequency and 90 dB below it; the roll-off puts the band's far edge on that Nyquist frequency.
_ZERO_CROSSINGS = 48
_KAISER_BETA = 9.0
_ROLL_OFF = 0.94
# One product yields about this many samples; wider is mostly zeros, narrower is mostly overhead.
_BLOCK = 256
# Rates with hardly a common divisor are taken at the nearest ratio that needs no more phases than this: at most 0.05 %
# off, as recorders' clocks are, and a strange rate costs a stranger no more of our time than a usual one.
_MAX_PHASES = 1024


def to_16k_mono(samples: npt.NDArray[np.floating], rate: int) -> Float32:
    """Samples as the model hears them.

    Args:
        samples: Shape (n,) or (n, n_channels), full scale is 1; channels are averaged.
        rate: Frames per second, 1 to 192 kHz.

    Returns:
        float32 of shape (ceil(n * 16000 / rate),).

    Raises:
        ValueError: for a rate or a shape outside of that.
    """
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    return resample(samples, rate, MODEL_RATE_HZ)


def resample(samples: npt.NDArray[np.floating], rate_in: int, rate_out: int) -> Float32:
    """Samples at another rate, without delay; what the narrower of the two rates cannot hold is filtered out.

    Args:
        samples: Shape (n,).
        rate_in: Frames per second now.
        rate_out: Frames per second wanted.

    Returns:
        float32 of shape (ceil(n * rate_out / rate_in),).

    Raises:
        ValueError: for a rate outside 1 to 192 kHz, or more than one axis.
    """
    if samples.ndim != 1:
        raise ValueError(f"samples: expected one axis, got shape {samples.shape}")
    for rate in (rate_in, rate_out):
        if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
            raise ValueError(f"rate: expected {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz, got {rate}")
    source = np.ascontiguousarray(samples, dtype=np.float32)
    if rate_in == rate_out or not len(source):
        return source
    ratio = Fraction(rate_in, rate_out).limit_denominator(_MAX_PHASES)
    n_out = -(-len(source) * rate_out // rate_in)
    return _by_products(source, ratio.denominator, ratio.numerator, n_out)


def _by_products(source: Float32, up: int, down: int, n_out: int) -> Float32:
    """`up` outputs for every `down` inputs: the same small matrix serves each block of the signal."""
    repeats = max(1, _BLOCK // up)
    matrix, reach = _filter_matrix(up, down, repeats)
    step = repeats * down
    n_blocks = -(-n_out // (repeats * up))
    padded = np.zeros(n_blocks * step + 2 * reach, np.float32)
    padded[reach : reach + len(source)] = source[: len(padded) - reach]
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(matrix))[::step][:n_blocks]
    return np.ascontiguousarray(windows @ matrix, dtype=np.float32).reshape(-1)[:n_out]


def _reach(up: int, down: int) -> int:
    """How many input samples on each side an output sample depends on."""
    return int(np.ceil(_ZERO_CROSSINGS / (_ROLL_OFF * min(1.0, up / down)))) + 1


def _kernel(distance: npt.NDArray[np.float64], up: int, down: int) -> npt.NDArray[np.float64]:
    """The filter's weight for an input sample `distance` samples away."""
    cutoff = _ROLL_OFF * min(1.0, up / down)
    along = np.clip(distance * cutoff / _ZERO_CROSSINGS, -1.0, 1.0)
    window = np.i0(_KAISER_BETA * np.sqrt(1.0 - along**2)) / np.i0(_KAISER_BETA)
    return np.where(np.abs(along) < 1.0, cutoff * np.sinc(distance * cutoff) * window, 0.0)


@functools.lru_cache(maxsize=4)
def _filter_matrix(up: int, down: int, repeats: int) -> tuple[Float32, int]:
    """Input window to output block, shape (repeats * down + 2 * reach, repeats * up), and the reach."""
    reach = _reach(up, down)
    inputs = np.arange(repeats * down + 2 * reach) - reach
    outputs = np.arange(repeats * up) * (down / up)
    return _kernel(inputs[:, None] - outputs[None, :], up, down).astype(np.float32), reach
