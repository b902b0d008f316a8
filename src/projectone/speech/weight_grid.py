"""A fine-tune whose changes are multiples of one step: a tenth of the detail, and well under half of the bytes to send.

A full fine-tune changes every number, and the last digits of the change are noise of the training. With
``new = base + q * step``, q whole and small, only q has to travel. The release *is* that sum: it is rounded before the
gate listens, so what is judged is what every device rebuilds.

Steps are multiples of 2**-24, as every float16 is. ``base + q * step`` is then exact in float64 and is rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Half = npt.NDArray[np.float16]
Single = npt.NDArray[np.float32]

UNIT = 2.0**-24
_LADDER = tuple(mantissa << shift for shift in range(2, 17) for mantissa in range(8, 16))  # in units: 2e-6 to 0.06
_LARGEST = 2**15 - 1  # steps that a number may move
_SAMPLE = 2**20
_PROBE = 4096


def on_grid(base: Half, tuned: Single, units: int) -> Half:
    """`tuned` with every change from `base` rounded to steps of ``units * 2**-24``.

    Args:
        base: Any shape.
        tuned: Of the same shape.
        units: The step.
    """
    return added(base, steps_between(base, tuned, units), units)


def steps_between(base: Half, tuned: Half | Single, units: int) -> npt.NDArray[np.int32]:
    """By how many steps each number moves, to the nearest."""
    change = tuned.astype(np.float64) - base
    return np.rint(change / (units * UNIT)).clip(-_LARGEST, _LARGEST).astype(np.int32)


def added(base: Half, steps: npt.NDArray[np.int32] | npt.NDArray[np.int16], units: int) -> Half:
    """``base + steps * units * 2**-24``, rounded once, half to even; what moves by no step keeps its bits."""
    # Near the end of float16, or beyond it: whoever rebuilds compares the digest.
    with np.errstate(over="ignore", invalid="ignore"):
        moved = (base + steps * np.float64(units * UNIT)).astype(np.float16)
    np.copyto(moved, base, where=steps == 0)
    return moved


def units_for(changes: Mapping[str, Single], share: float) -> int | None:
    """The finest step with which changes take at most `share` of float16, by their entropy; None if none does.

    Args:
        changes: Of each tensor.
        share: Of the 16 bits of a number.
    """
    sampled = list(_sampled(changes))
    low, high = 0, len(_LADDER)
    while low < high:  # the entropy falls as the step grows
        middle = (low + high) // 2
        step = np.float32(_LADDER[middle] * UNIT)
        if entropy_share([(np.rint(change / step), size) for change, size in sampled]) <= share:
            high = middle
        else:
            low = middle + 1
    return _LADDER[low] if low < len(_LADDER) else None


def find_units(base: Half, new: Half) -> int | None:
    """The coarsest step whose multiples the changes are, if there is one: looked for in a few thousand numbers.

    A number between two steps says no; one that is so large that float16 itself is coarser says nothing. Whoever uses
    the answer checks it on all numbers.
    """
    places = np.linspace(0, base.size - 1, min(_SAMPLE, base.size), dtype=np.intp)
    old, tuned = base[places], new[places]
    moved = np.flatnonzero(old.view(np.uint16) != tuned.view(np.uint16))
    if not moved.size:
        return None
    moved = moved[:: max(1, moved.size // _PROBE)]
    old, tuned = old[moved], tuned[moved]
    return next((units for units in reversed(_LADDER) if is_on_grid(old, tuned, units)), None)


def is_on_grid(base: Half, new: Half, units: int) -> bool:
    """Whether every number of `new` is rebuilt to the bit."""
    with np.errstate(invalid="ignore"):  # infinities and NaN are on no grid
        rebuilt = added(base, steps_between(base, new, units), units)
    return bool(np.array_equal(rebuilt.view(np.uint16), new.view(np.uint16)))


def entropy_share(steps: Sequence[tuple[npt.NDArray[np.generic], int]]) -> float:
    """What whole numbers take of float16's 16 bits, by their entropy.

    Args:
        steps: For each tensor: some of its numbers, and how many it has. They are coded one tensor after another, so
            each has an entropy of its own.
    """
    n_bits, n_numbers = 0.0, 0
    for some, size in steps:
        counts = np.unique(some, return_counts=True)[1]
        parts = counts / counts.sum()
        n_bits -= size * float((parts * np.log2(parts)).sum())
        n_numbers += size
    return n_bits / 16 / max(n_numbers, 1)


def stride_of(n_numbers: int) -> int:
    """Every how many numbers of a large tensor are enough to know its entropy."""
    return max(1, n_numbers // _SAMPLE)


def _sampled(changes: Mapping[str, Single]) -> Iterator[tuple[Single, int]]:
    stride = stride_of(sum(change.size for change in changes.values()))
    for change in changes.values():
        yield (change.ravel() if change.size < _PROBE else change.ravel()[::stride]), change.size
