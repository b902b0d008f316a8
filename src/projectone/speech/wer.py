"""Word and character error rates, with the alignment that they count; equal to jiwer's on the same pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

EditKind = Literal["equal", "substitute", "delete", "insert"]


@dataclass(frozen=True)
class Edit:
    """One step of an alignment: what the reference has, what the hypothesis has, None where one has nothing."""

    kind: EditKind
    reference: str | None
    hypothesis: str | None


@dataclass(frozen=True, kw_only=True)
class ErrorCounts:
    """Counts of one or many pairs; they add up."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def n_reference(self) -> int:
        """Words (or characters) in the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per word of the reference, as a fraction; with an empty reference, the number of insertions."""
        return self.errors / max(1, self.n_reference)

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            hits=self.hits + other.hits,
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
        )


def word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Errors between the words of two texts, split at white space. Normalise both texts first."""
    return count_errors(reference.split(), hypothesis.split())


def character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Errors between the characters of two texts; a run of white space counts as one blank, outer ones do not."""
    return count_errors(" ".join(reference.split()), " ".join(hypothesis.split()))


def total_errors(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    """The sum over many pairs: its `rate` is the corpus error rate, not the mean of the rates."""
    return sum(counts, ErrorCounts())


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Errors between two sequences of words, or of characters."""
    kinds = [edit.kind for edit in align(reference, hypothesis)]
    return ErrorCounts(
        hits=kinds.count("equal"),
        substitutions=kinds.count("substitute"),
        deletions=kinds.count("delete"),
        insertions=kinds.count("insert"),
    )


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[Edit, ...]:
    """The fewest edits that turn the reference into the hypothesis.

    Several alignments may be equally short. The one chosen, and so the split into kinds of errors, is rapidfuzz's,
    which jiwer uses: common ends are set aside, then, from the end, a deletion is preferred to an insertion and that
    to a substitution.
    """
    head = _n_common(reference, hypothesis)
    tail = _n_common(reference[head:][::-1], hypothesis[head:][::-1])
    left, right = reference[head : len(reference) - tail], hypothesis[head : len(hypothesis) - tail]
    return (*_equal(reference[:head]), *_align_middle(left, right), *_equal(reference[len(reference) - tail :]))


def _n_common(left: Sequence[str], right: Sequence[str]) -> int:
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))


def _equal(items: Sequence[str]) -> list[Edit]:
    return [Edit("equal", item, item) for item in items]


def _align_middle(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Edit]:
    distances = _distances(reference, hypothesis)
    edits: list[Edit] = []
    column, row = len(reference), len(hypothesis)
    while column or row:
        here = distances[row, column]
        if column and (not row or here == distances[row, column - 1] + 1):
            column -= 1
            edits.append(Edit("delete", reference[column], None))
        elif not column or (row > 1 and distances[row - 1, column] == distances[row - 1, column - 1] - 1):
            row -= 1
            edits.append(Edit("insert", None, hypothesis[row]))
        else:
            row, column = row - 1, column - 1
            is_equal = reference[column] == hypothesis[row]
            edits.append(Edit("equal" if is_equal else "substitute", reference[column], hypothesis[row]))
    return edits[::-1]


def _distances(reference: Sequence[str], hypothesis: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Edit distances between every two beginnings: (hypothesis + 1, reference + 1)."""
    numbers: dict[str, int] = {}
    left = np.array([numbers.setdefault(item, len(numbers)) for item in reference], np.int32)
    right = [numbers.setdefault(item, len(numbers)) for item in hypothesis]
    steps = np.arange(len(left) + 1, dtype=np.int32)
    table = np.empty((len(right) + 1, len(left) + 1), np.int32)
    table[0] = steps
    for row, item in enumerate(right, start=1):
        above = table[row - 1]
        best = np.minimum(above[1:] + 1, above[:-1] + (left != item))
        # Deletions run along the row: a running minimum of what is left after the steps are taken off.
        table[row] = np.minimum.accumulate(np.concatenate(([above[0] + 1], best)) - steps) + steps
    return table
