"""Sounds that nobody spoke in, which every model must get through: silence, a tone, noise. Made here, from a seed."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

_RATE_HZ: Final = 16_000
_LENGTH_S: Final = 3
MOST_WORDS: Final = 30
"""In three seconds nobody says so many: a model that writes more has lost its thread."""


def silence() -> Samples:
    """Three seconds of digital silence."""
    return np.zeros(_LENGTH_S * _RATE_HZ, dtype=np.float32)


def sounds() -> dict[str, Samples]:
    """Each sound by its name; silence first."""
    times = np.arange(_LENGTH_S * _RATE_HZ) / _RATE_HZ
    noise = np.random.default_rng(0).standard_normal(times.size)
    return {
        "silence": silence(),
        "a tone": (0.1 * np.sin(2 * np.pi * 440.0 * times)).astype(np.float32),
        "noise": (0.01 * noise).astype(np.float32),  # 40 dB below full scale: a quiet room with a fan
    }


def complaint(before: dict[str, int] | None, after: dict[str, int]) -> str | None:
    """What speaks against a model, from how many words it wrote for each sound; None if nothing does.

    A model is never blamed for what the one before it did as well, and the first one is not blamed at all: any model is
    better than none.
    """
    if before is None:
        return None
    if after["silence"] and not before["silence"]:
        return f"it writes words for silence ({after['silence']}), and the model before wrote none"
    for name, n_words in after.items():
        if n_words > MOST_WORDS >= before[name]:
            return f"it writes {n_words} words for {_LENGTH_S} seconds of {name}"
    return None
