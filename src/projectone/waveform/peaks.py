"""A sound as a picture: how far it swings, column by column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_LOUDEST = 100


def peaks(samples: npt.NDArray[np.float32], n_columns: int) -> list[int]:
    """The largest swing in each of `n_columns` equal parts, 0 to 100; the loudest of all is 100.

    Raises:
        ValueError: if there is no column, or no sample.
    """
    if n_columns < 1 or samples.size == 0:
        raise ValueError(f"expected columns and samples, got {n_columns} and {samples.size}")
    starts = np.linspace(0, samples.size, n_columns, endpoint=False, dtype=np.int64)
    swings = np.maximum.reduceat(np.abs(samples), starts)
    loudest = float(swings.max())
    return [0] * n_columns if loudest == 0.0 else [round(_LOUDEST * float(swing) / loudest) for swing in swings]
