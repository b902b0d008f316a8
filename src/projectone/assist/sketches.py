"""In which of eight parts of space a sentence lies: three bits of its vector, by planes that are the same everywhere.

A sketch says on which side of three planes through the middle the vector lies. An eighth of all sentences have the same
one, so no text can be found again from it; what many sentences are about moves it. The planes are fixed by their names:
bit `i` of SHA-256 of ``projectone-sketch-v1:<plane>:<i // 256>``, the highest bit of the first byte first, says whether
number `i` of a vector counts as it is (1) or negated (0).
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

import numpy as np

from projectone.assist.protocols import Vectors

N_PLANES: Final = 3
_BLOCK: Final = 256


def sketches(vectors: Vectors) -> list[int]:
    """The part that each vector lies in, 0 to 7: plane `p` adds 2**p where the sum is above nought.

    Args:
        vectors: (sentences, width).
    """
    sides = vectors @ _planes(vectors.shape[1]) > 0
    return [int(bits) for bits in sides @ (1 << np.arange(N_PLANES))]


@cache
def _planes(width: int) -> Vectors:
    """Signs, (width, planes)."""
    n_blocks = -(-width // _BLOCK)
    named = [
        b"".join(hashlib.sha256(f"projectone-sketch-v1:{plane}:{block}".encode()).digest() for block in range(n_blocks))
        for plane in range(N_PLANES)
    ]
    bits = [np.unpackbits(np.frombuffer(content, np.uint8))[:width] for content in named]
    return (np.stack(bits, axis=1).astype(np.float32) * 2 - 1).astype(np.float32)
