"""Weights in fewer bits than float16, as Core ML unpacks them when it loads a model.

What is large is compressed: the matrices of the layers and the table of tokens. Norms, biases and positions stay as
they are: they weigh one per cent, and positions do not survive four bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from projectone.server.conversion.coreml.weights import POSITIONS, Halves
from projectone.speech.names import ENCODER_POSITIONS

Variant = Literal["float16", "int8", "palette6", "palette4"]
VARIANTS: tuple[Variant, ...] = ("float16", "int8", "palette6", "palette4")
_N_BITS = {"palette6": 6, "palette4": 4}
_BINS = 1024
_ROUNDS = 25  # of Lloyd's algorithm; after some fifteen the tables no longer move


@dataclass(frozen=True)
class Scaled:
    """Whole numbers of eight bits and one scale for each output channel (axis 0), symmetric round zero."""

    data: npt.NDArray[np.int8]
    scale: Halves

    def dense(self) -> Halves:
        """What the device computes with."""
        scale = self.scale.astype(np.float32).reshape(-1, *[1] * (self.data.ndim - 1))
        return (self.data.astype(np.float32) * scale).astype(np.float16)


@dataclass(frozen=True)
class Looked:
    """Indices into a table of the tensor's own, of 2 to the power of `n_bits` numbers."""

    indices: npt.NDArray[np.uint8]  # unpacked, in the tensor's shape
    table: Halves

    @property
    def n_bits(self) -> int:
        """Bits of one index."""
        return len(self.table).bit_length() - 1

    def packed(self) -> npt.NDArray[np.uint8]:
        """The indices without gaps between them, lowest bit first."""
        bits = np.unpackbits(self.indices.reshape(-1, 1), axis=1, bitorder="little")[:, : self.n_bits]
        return np.packbits(bits.reshape(-1), bitorder="little")

    def dense(self) -> Halves:
        """What the device computes with."""
        return self.table[self.indices]


Stored = Halves | Scaled | Looked


def compressed(weights: Mapping[str, Halves], variant: Variant) -> dict[str, Stored]:
    """The weights in the form that `variant` keeps them in."""
    if variant == "float16":
        return dict(weights)
    return {name: _compress(array, variant) if _is_large(name, array) else array for name, array in weights.items()}


def dense(stored: Stored) -> Halves:
    """The numbers that a device computes with."""
    return stored if isinstance(stored, np.ndarray) else stored.dense()


def _is_large(name: str, array: Halves) -> bool:
    return array.ndim >= 2 and name not in (POSITIONS, ENCODER_POSITIONS)


def _compress(array: Halves, variant: Variant) -> Stored:
    if variant == "int8":
        return _scaled(array)
    return _looked(array, 2 ** _N_BITS[variant])


def _scaled(array: Halves) -> Scaled:
    wide = array.astype(np.float32)
    largest = np.abs(wide).reshape(len(wide), -1).max(axis=1)
    # Rounded up where float16 rounds down, so that the largest number is not cut off.
    scale = np.maximum(largest / 127, np.finfo(np.float16).tiny).astype(np.float16)
    scale = np.where(scale.astype(np.float32) * 127 < largest, np.nextafter(scale, np.float16(np.inf)), scale)
    data = np.rint(wide / scale.astype(np.float32).reshape(-1, *[1] * (wide.ndim - 1)))
    return Scaled(np.clip(data, -127, 127).astype(np.int8), scale.astype(np.float16))


def _looked(array: Halves, n_entries: int) -> Looked:
    """Lloyd's algorithm on one line, over distinct numbers and how often each comes.

    It starts where many entries would end: as dense as the cube root of the numbers' density (Panter, Dite 1951).
    """
    values, inverse, counts = np.unique(array.astype(np.float32), return_inverse=True, return_counts=True)
    density, edges = np.histogram(values, _BINS, weights=counts)
    share = np.cumsum(np.cbrt(density))
    table = np.interp((np.arange(n_entries) + 0.5) / n_entries * share[-1], share, (edges[1:] + edges[:-1]) / 2)
    for _ in range(_ROUNDS):
        places = np.searchsorted((table[1:] + table[:-1]) / 2, values)
        weight = np.bincount(places, counts, n_entries)
        mean = np.bincount(places, counts * values, n_entries) / np.maximum(weight, 1)
        table = np.sort(np.where(weight > 0, mean, table))
    kept = table.astype(np.float16)
    centres = kept.astype(np.float32)
    places = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
    return Looked(places.astype(np.uint8)[inverse].reshape(array.shape), kept)
