"""Which accounts are one voice: what a few clips of each sound like, compared in memory.

Each account becomes the mean of its stretches, of length 1. The two accounts or groups that are nearest to each other
become one, as long as they are near enough on average (average linkage). They are found along chains of nearest
neighbours, which gives the same groups as looking for the nearest pair of all each time, without a table of all pairs.

Source: Müllner, "Modern hierarchical, agglomerative clustering algorithms" (2011), section 3.2 (NN-chain).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from projectone.server.voices.embedding import VoiceEncoder

Float32 = npt.NDArray[np.float32]

NEAR: Final = 0.9
"""Mean cosine of two groups of accounts from which on they are one voice.

With five clips of 3 s from each account, all accounts of one person become one group; of 207 people who gave five clips
of 4 s no three do. With fewer clips a voice is known less well, and accounts of one person may stay apart.
"""

CLIPS: Final = 5
"""So many clips of an account say what its voice is like."""

_STRETCH, _STEP = 160, 80  # frames of 10 ms
_AS_NEAR: Final = np.float32(1e-5)  # more than products of the same vectors differ by rounding


def voice_of(clips: Sequence[Float32], encoder: VoiceEncoder) -> Float32 | None:
    """What an account's clips sound like in a row: length 1, shape (256,); None for less than 1.6 s of voice.

    Args:
        clips: 16 kHz mono, each of shape (n,).
        encoder: What a stretch of them is like.
    """
    if not clips:
        return None
    stretches = encoder(np.concatenate(clips), window=_STRETCH, hop=_STEP)
    mean = stretches.mean(axis=0) if len(stretches) else np.zeros(1, np.float32)
    length = np.float32(np.linalg.norm(mean))
    return mean / length if length else None


def one_voice(accounts: Mapping[str, Float32], *, near: float = NEAR) -> list[frozenset[str]]:
    """Groups of two and more accounts that are one voice.

    Args:
        accounts: Vectors of length 1, shape (256,), by account.
        near: Mean cosine from which on two groups are one.
    """
    names = sorted(accounts)
    if len(names) < 2:
        return []
    groups: list[list[str]] = [[name] for name in names]
    # The mean cosine of two groups is the product of their means: what is kept grows as the accounts do, no faster.
    means = np.stack([accounts[name] for name in names])
    is_open = np.ones(len(names), bool)
    chain: list[int] = []
    while chain or is_open.any():
        if not chain:
            chain.append(int(is_open.argmax()))
        alike = np.where(is_open, means @ means[chain[-1]], np.float32(-2))
        alike[chain[-1]] = -2
        nearest = int(alike.argmax())
        # Of several that are as near, the one before: or the chain could go round for ever.
        if len(chain) > 1 and alike[chain[-2]] > alike[nearest] - _AS_NEAR:
            nearest = chain[-2]
        if alike[nearest] < near:
            # Groups that grow come nearer to nobody: those of the chain, each farther from its neighbour, are done.
            is_open[chain] = False
            chain.clear()
        elif len(chain) > 1 and nearest == chain[-2]:
            first, second = sorted((chain.pop(), chain.pop()))
            share = np.float32(len(groups[first]) / (len(groups[first]) + len(groups[second])))
            means[first] = share * means[first] + (1 - share) * means[second]
            groups[first] += groups[second]
            groups[second] = []
            is_open[second] = False
        else:
            chain.append(nearest)
    return [frozenset(group) for group in groups if len(group) > 1]
