"""Keys that a process has asked for, remembered for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar
from uuid import UUID

REMEMBERED_S = 30.0
"""How long a process may go on with a key that another one destroys meanwhile: half of the minute that is promised."""

_MAX_REMEMBERED = 10_000
K = TypeVar("K")


class Memory(Generic[K]):
    """Keys for a while: a process learns within `REMEMBERED_S` that another one destroyed a key."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._kept: dict[UUID, tuple[float, K]] = {}

    def get(self, receipt_id: UUID) -> K | None:
        """The key, if it is remembered still."""
        until_s, key = self._kept.get(receipt_id, (float("-inf"), None))
        return key if self._now_s() < until_s else None

    def keep(self, receipt_id: UUID, key: K) -> K:
        """Remember a key, and give it back."""
        if len(self._kept) >= _MAX_REMEMBERED:
            self._kept.clear()
        self._kept[receipt_id] = (self._now_s() + REMEMBERED_S, key)
        return key

    def forget(self, receipt_id: UUID) -> None:
        """Remember it no more."""
        self._kept.pop(receipt_id, None)
