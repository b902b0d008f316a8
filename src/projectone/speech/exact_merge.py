"""A low-rank change added to a weight with one rounding: the same bits on every machine that has IEEE 754.

``W + scale * B @ A`` is exact until its one rounding to float16. Every float16 is a multiple of 2**-24, so every
product of two is one of 2**-48, and with a scale of 2**k all terms are multiples of 2**q, q = min(-24, k - 48). float64
adds multiples of 2**q without rounding, in any order, up to 2**(q + 53); beyond that bound an adapter is refused. (A
base that is stored in float32 is added last, in one addition, so that the order does not matter there either.)

It never goes through float32: what lies next to half way between two float16 numbers would be rounded twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Half = npt.NDArray[np.float16]
Wide = npt.NDArray[np.float32] | npt.NDArray[np.float16]


@dataclass(frozen=True)
class Factors:
    """The change of one linear layer: ``scale * up @ down``.

    Attributes:
        down: "A", (rank, in), float16.
        up: "B", (out, rank), float16.
    """

    down: Half
    up: Half

    def __post_init__(self) -> None:
        if self.down.dtype != np.float16 or self.up.dtype != np.float16:
            raise ValueError(f"factors: expected float16, got {self.down.dtype} and {self.up.dtype}")
        if self.down.ndim != 2 or self.up.ndim != 2 or self.down.shape[0] != self.up.shape[1]:
            raise ValueError(f"factors: expected (rank, in) and (out, rank), got {self.down.shape} and {self.up.shape}")
        if not (np.isfinite(self.down).all() and np.isfinite(self.up).all()):
            raise ValueError("factors: expected finite numbers")


def check_scale(scale: float) -> None:
    """Refuse a scale with which sums would be rounded.

    Raises:
        ValueError: if it is not a power of two between 2**-8 and 2**8.
    """
    if not (math.isfinite(scale) and 2**-8 <= scale <= 2**8 and math.frexp(scale)[0] == 0.5):
        raise ValueError(f"lora: expected alpha / rank to be a power of two, so that fusing is exact, got {scale!r}")


def fuse(weight: Wide, factors: Factors, scale: float) -> Half:
    """``weight + scale * up @ down`` with one rounding; the same bits on every machine and in every order of summing.

    Zeros come out positive: whether a sum of zeros is -0 would depend on its order.

    Args:
        weight: (out, in), the base's numbers as they are stored, or widened to float32 (which loses nothing).
        factors: Of the same layer.
        scale: A power of two.

    Raises:
        ValueError: if the shapes do not fit, the numbers are so large that sums would be rounded, or the result does
            not fit float16.
    """
    check_scale(scale)
    if weight.shape != (factors.up.shape[0], factors.down.shape[1]):
        raise ValueError(f"expected factors of {weight.shape}, got {factors.up.shape} times {factors.down.shape}")
    wide, up, down = (array.astype(np.float64) for array in (weight, factors.up, factors.down))
    exponent = min(-24, math.frexp(scale)[1] - 1 - 48)
    largest = float((np.abs(wide) + scale * (np.abs(up) @ np.abs(down))).max(initial=0.0))
    if not largest <= 2.0 ** (exponent + 53):
        raise ValueError(f"sums of up to {largest:.3g} would be rounded; exact are those up to {2 ** (exponent + 53)}")
    with np.errstate(over="ignore"):  # told below, by name
        fused: Half = (wide + scale * (up @ down) + 0.0).astype(np.float16)
    if not np.isfinite(fused).all():
        raise ValueError("the sum does not fit float16")
    return fused
