"""What was taken off the list a moment ago, for whoever did not mean it.

It is kept in memory alone: what a person removed does not stay on the disk for an undo.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from projectone.storage.sqlite import Row

KEPT_FOR = timedelta(minutes=10)
"""Longer than any note on a page offers to undo it, also to one who reads slowly."""

MOST_KEPT = 50


@dataclass(frozen=True)
class Removed:
    """A term as it was: its row, the corrections that taught it, and when it was removed."""

    row: Row
    taught_by: tuple[str, ...]
    removed_at: datetime


class LatelyRemoved:
    """The last terms that were removed, by their folded text."""

    def __init__(self) -> None:
        self._kept: dict[str, Removed] = {}

    def keep(self, folded: str, removed: Removed) -> None:
        """Have it ready for a while; the oldest goes where there are too many."""
        self._kept.pop(folded, None)
        self._kept[folded] = removed
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    def find(self, folded: str, now: datetime) -> Removed | None:
        """The term, or None where it was not removed here or too long ago."""
        for text in [text for text, item in self._kept.items() if now - item.removed_at > KEPT_FOR]:
            del self._kept[text]
        return self._kept.get(folded)

    def drop(self, folded: str) -> None:
        """It is on the list again."""
        self._kept.pop(folded, None)
