"""Merkle trees after RFC 9162: one root over many leaves, short proofs of what stands at a place or came first."""

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

    def prefix_path(self, n_first: int) -> list[bytes]:
        """What `is_prefix` needs beside the two roots to show that the first leaves were once all of them.

        Source: RFC 9162, section 2.1.4.1.

        Raises:
            ValueError: if there are not so many leaves.
        """
        n, start, is_whole = len(self._levels[0]), 0, True
        if not 0 < n_first <= n:
            raise ValueError(f"n_first: expected 1 to {n} leaves, got {n_first}")
        path: list[bytes] = []
        end = n
        while n_first != end:
            half = 1 << (end - start - 1).bit_length() - 1
            if n_first <= start + half:
                path.append(self._over(start + half, end))
                end = start + half
            else:
                path.append(self._over(start, start + half))
                start, is_whole = start + half, False
        return [*([] if is_whole else [self._over(start, end)]), *reversed(path)]

    def _over(self, start: int, end: int) -> bytes:
        """The hash over some leaves that have a node of their own, or are what is left of one at the end."""
        height = (end - start - 1).bit_length()
        return self._levels[height][start >> height]


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


def is_prefix(n_first: int, first_root: bytes, n_leaves: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the `n_first` leaves under one root are the first of the `n_leaves` under the other.

    Source: RFC 9162, section 2.1.4.2.
    """
    if n_first == n_leaves:
        return first_root == root and not path
    if not 0 < n_first < n_leaves or not path:
        return n_first == 0 <= n_leaves and not path
    is_full = n_first & (n_first - 1) == 0
    head, *rest = (first_root, *path) if is_full else path
    place, last = n_first - 1, n_leaves - 1
    while place % 2:
        place, last = place // 2, last // 2
    before = found = head
    for neighbour in rest:
        if last == 0:
            return False
        if place % 2 or place == last:
            before, found = node_hash(neighbour, before), node_hash(neighbour, found)
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            found = node_hash(found, neighbour)
        place, last = place // 2, last // 2
    return last == 0 and before == first_root and found == root
