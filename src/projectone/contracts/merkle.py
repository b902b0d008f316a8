"""Merkle trees after RFC 9162: one short root over many leaves, and short proofs of what stands at a place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

_LEAF, _NODE = b"\x00", b"\x01"  # so that no leaf can pass for a node


class MerkleTree:
    """The tree over an ordered list of leaves.

    Source: RFC 9162, section 2.1. Pairing neighbours and lifting a last one without a neighbour as it is gives the same
    tree as the recursion there.
    """

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self._levels = [[leaf_hash(leaf) for leaf in leaves]]
        while len(below := self._levels[-1]) > 1:
            paired = [node_hash(*below[i : i + 2]) for i in range(0, len(below) - 1, 2)]
            self._levels.append(paired + below[len(paired) * 2 :])

    @property
    def root(self) -> bytes:
        """The hash over all leaves; of no leaves, the hash of nothing."""
        return self._levels[-1][0] if self._levels[0] else hashlib.sha256(b"").digest()

    def path(self, index: int) -> list[bytes]:
        """What `holds` needs beside a leaf: its neighbours on the way up.

        Raises:
            ValueError: if there is no such leaf.
        """
        if not 0 <= index < len(self._levels[0]):
            raise ValueError(f"index: expected one of {len(self._levels[0])} leaves, got {index}")
        path = []
        for level in self._levels[:-1]:
            if index ^ 1 < len(level):
                path.append(level[index ^ 1])
            index //= 2
        return path


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(_LEAF + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbours."""
    return hashlib.sha256(_NODE + left + right).digest()


def holds(leaf: bytes, *, index: int, n_leaves: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `leaf` is the one at `index` of the `n_leaves` under `root`.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < n_leaves:
        return False
    place, last, found = index, n_leaves - 1, leaf_hash(leaf)
    for neighbour in path:
        if last == 0:
            return False
        if place % 2 or place == last:
            found = node_hash(neighbour, found)
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            found = node_hash(found, neighbour)
        place, last = place // 2, last // 2
    return last == 0 and found == root
