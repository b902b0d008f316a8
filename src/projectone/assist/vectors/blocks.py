"""One owner's vectors in memory, in blocks that grow without being copied whole, and the exact nearest of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from projectone.assist.vectors.protocol import NEVER, Hit, Vector, in_order

BLOCK_ROWS: Final = 4_096
"""Vectors of one block: 6 MB of them at 384 numbers."""
_FIRST_ROWS: Final = 16
_MASK_64: Final = 2**64 - 1

FACTS: Final = np.dtype([("high", "<u8"), ("low", "<u8"), ("sequence", "<i8"), ("kind", "S32"), ("expires_us", "<i8")])
"""What is known of a vector: its id in two halves, when it was put (in turn), what it is, how long it is found."""

Facts = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]


def facts_of(ids: bytes, sequences: Sequence[int], kinds: Sequence[str], expiries_us: Sequence[int]) -> Facts:
    """The facts of some vectors; `ids` are 16 bytes of each, one behind the other."""
    facts = np.empty(len(sequences), FACTS)
    halves = np.frombuffer(ids, ">u8").reshape(-1, 2)
    facts["high"], facts["low"] = halves[:, 0], halves[:, 1]
    facts["sequence"], facts["kind"], facts["expires_us"] = sequences, kinds, expiries_us
    return facts


class _Block:
    """Up to `BLOCK_ROWS` vectors, side by side; its arrays double until then."""

    def __init__(self, width: int) -> None:
        self._n = 0
        self._vectors: Vector = np.empty((_FIRST_ROWS, width), np.float32)
        self._facts: Facts = np.empty(_FIRST_ROWS, FACTS)

    @property
    def vectors(self) -> Vector:
        return self._vectors[: self._n]

    @property
    def facts(self) -> Facts:
        return self._facts[: self._n]

    @property
    def n_free(self) -> int:
        return BLOCK_ROWS - self._n

    @property
    def n_bytes(self) -> int:
        return self._vectors.nbytes + self._facts.nbytes

    def add(self, vectors: Vector, facts: Facts) -> None:
        end = self._n + len(facts)
        if end > len(self._facts):
            n_rows = min(BLOCK_ROWS, max(end, 2 * len(self._facts)))
            old_vectors, old_facts = self.vectors, self.facts
            self._vectors = np.empty((n_rows, old_vectors.shape[1]), np.float32)
            self._facts = np.empty(n_rows, FACTS)
            self._vectors[: self._n], self._facts[: self._n] = old_vectors, old_facts
        self._vectors[self._n : end], self._facts[self._n : end] = vectors, facts
        self._n = end

    def keep(self, is_kept: Flags) -> None:
        vectors, facts = self.vectors[is_kept], self.facts[is_kept]
        self._n = len(facts)
        self._vectors[: self._n], self._facts[: self._n] = vectors, facts
        self._vectors[self._n :] = 0  # what is forgotten does not lie in memory until something takes its place


class OwnerVectors:
    """What one owner has. It takes little more memory than the vectors, and answers exactly.

    Args:
        width: Numbers of a vector.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._blocks: list[_Block] = []
        self.last_sequence = 0
        self._first_expiry_us = NEVER

    def __len__(self) -> int:
        return sum(len(block.facts) for block in self._blocks)

    @property
    def n_bytes(self) -> int:
        """Memory that the arrays take."""
        return sum(block.n_bytes for block in self._blocks)

    def add(self, vectors: Vector, facts: Facts) -> None:
        """Take vectors in, (rows, width), each one long; ids must be new, and sequences higher than all before."""
        start = 0
        while start < len(facts):
            if not self._blocks or not self._blocks[-1].n_free:
                self._blocks.append(_Block(self._width))
            end = start + self._blocks[-1].n_free
            self._blocks[-1].add(vectors[start:end], facts[start:end])
            start = end
        self.last_sequence = int(facts["sequence"].max(initial=self.last_sequence))
        self._first_expiry_us = int(facts["expires_us"].min(initial=self._first_expiry_us))

    def drop_ids(self, ids: Sequence[UUID]) -> int:
        """Leave these out; gives how many were there."""
        wanted = {identifier.int for identifier in ids}
        lows = np.array([number & _MASK_64 for number in wanted], np.uint64)

        def stays(facts: Facts) -> Flags:
            flags = np.ones(len(facts), np.bool_)
            for place in np.flatnonzero(np.isin(facts["low"], lows)):  # few, and then looked at whole
                flags[place] = _id(facts[place]).int not in wanted
            return flags

        return self._keep(stays)

    def drop_expired(self, now_us: int) -> int:
        """Leave out what has expired; gives how much it was."""
        if now_us < self._first_expiry_us:
            return 0
        n_expired = self._keep(lambda facts: np.greater(facts["expires_us"], now_us))
        self._first_expiry_us = min((int(block.facts["expires_us"].min()) for block in self._blocks), default=NEVER)
        return n_expired

    def keep_sequences(self, sequences: Sequence[int]) -> int:
        """Leave out what is not among these; gives how much it was."""
        alive = np.array(sequences, np.int64)
        return self._keep(lambda facts: np.isin(facts["sequence"], alive))

    def nearest(self, query: Vector, k: int, now_us: int) -> list[Hit]:
        """The `k` nearest that have not expired; `query` is one long."""
        found: list[tuple[float, np.void]] = []
        for block in self._blocks:
            cosines = block.vectors @ query
            if now_us >= self._first_expiry_us:
                cosines[block.facts["expires_us"] <= now_us] = -np.inf
            n = min(k, len(cosines))
            places = np.argpartition(cosines, -n)[-n:]  # no block is empty
            found += [(float(cosines[place]), block.facts[place]) for place in places if cosines[place] > -np.inf]
        found.sort(key=lambda one: -one[0])
        worst = found[:k][-1][0] if found else 0.0
        return in_order([_hit(facts, cosine) for cosine, facts in found if cosine >= worst])[:k]

    def _keep(self, stays: Callable[[Facts], Flags]) -> int:
        before = len(self)
        for block in self._blocks:
            is_kept = stays(block.facts)
            if not is_kept.all():
                block.keep(is_kept)
        self._blocks = [block for block in self._blocks if len(block.facts)]
        return before - len(self)


def _id(facts: np.void) -> UUID:
    return UUID(int=int(facts["high"]) << 64 | int(facts["low"]))


def _hit(facts: np.void, cosine: float) -> Hit:
    return Hit(_id(facts), min(2.0, max(0.0, 1.0 - cosine)), facts["kind"].decode())
