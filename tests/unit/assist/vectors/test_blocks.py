"""Many vectors of one owner, over several blocks."""

from __future__ import annotations

from uuid import UUID

import numpy as np

from projectone.assist.vectors.blocks import BLOCK_ROWS, OwnerVectors, facts_of
from projectone.assist.vectors.protocol import NEVER, Vector

N = 2 * BLOCK_ROWS + 100


def directions(n: int) -> Vector:
    rows = np.random.default_rng(0).standard_normal((n, 8)).astype(np.float32)
    found: Vector = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def filled(rows: Vector, steps: tuple[int, ...]) -> OwnerVectors:
    """With the rows put in by so many at a time."""
    kept, start = OwnerVectors(8), 0
    while start < len(rows):
        numbers = range(start, min(start + steps[start % len(steps)], len(rows)))
        ids = b"".join(UUID(int=number << 60).bytes for number in numbers)
        facts = facts_of(ids, numbers, ["said"] * len(numbers), [NEVER if n % 7 else n for n in numbers])
        kept.add(rows[numbers.start : numbers.stop], facts)
        start = numbers.stop
    return kept


def test_the_nearest_over_several_blocks_are_the_nearest_of_all() -> None:
    rows = directions(N)
    kept = filled(rows, (1, 700, 5000, 33))
    assert (len(kept), kept.last_sequence) == (N, N - 1)
    assert kept.n_bytes < 1.7 * N * (8 * 4 + 64)
    is_alive = np.arange(N) % 7 > 0
    for query in rows[:5]:
        truth = np.argsort(-np.where(is_alive, rows @ query, -9))[:50]
        hits = kept.nearest(query, 50, NEVER - 1)
        assert {hit.id.int >> 60 for hit in hits} == set(truth.tolist())
        assert hits == sorted(hits, key=lambda hit: hit.distance)


def test_what_is_left_out_is_gone_from_memory_too() -> None:
    rows = directions(N)
    kept = filled(rows, (N,))
    assert kept.drop_ids([UUID(int=3 << 60), UUID(int=4 << 60), UUID(int=3 << 60 | 1)]) == 2
    assert kept.drop_expired(7 * BLOCK_ROWS) == (N + 6) // 7
    alive = [number for number in range(BLOCK_ROWS + 50) if number % 7 and number not in (3, 4)]
    assert kept.keep_sequences(alive) == N - 2 - (N + 6) // 7 - len(alive)
    assert len(kept) == len(alive)
    for block in kept._blocks:
        assert not block._vectors[len(block.facts) :].any()
    assert {hit.id.int >> 60 for hit in kept.nearest(rows[3], 1000, 0)} <= set(alive)
    assert kept.keep_sequences([]) == len(alive)
    assert (len(kept), kept.n_bytes, kept.nearest(rows[0], 5, 0)) == (0, 0, [])
