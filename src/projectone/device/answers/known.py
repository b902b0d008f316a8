"""What this device knows that bears on a question: a policy that applies, or what was said before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from projectone.assist.first_turn import Choice
from projectone.assist.memory import Recalled, Remembered
from projectone.errors import ArtifactError, DataError, GuardError, StorageError

_NEAR: Final = 0.5
_N_RECALLED: Final = 5
_N_NAMED: Final = 500


@dataclass(frozen=True)
class Knowledge:
    """For a request.

    Attributes:
        kind: Which template has the last word.
        facts: What every answer must keep to.
        hints: What that template may say beside them.
    """

    kind: str = "plain"
    facts: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)


class Known:
    """Looks it up, here.

    Args:
        first: The approved answer to a text, where policies are here.
        recall: What was said before and lies near; nothing while memory is off.
        newest: What is remembered.
        terms: The person's own words.
    """

    def __init__(
        self,
        *,
        first: Callable[[str], Choice | None],
        recall: Callable[[str, int], Sequence[Recalled]],
        newest: Callable[[int], Sequence[Remembered]],
        terms: Callable[[], tuple[str, ...]],
    ) -> None:
        self._first = first
        self._recall = recall
        self._newest = newest
        self._terms = terms

    def bearing_on(self, text: str) -> Knowledge:
        """A policy before a memory: it was approved. An earlier question is no answer.

        Raises:
            GuardError: if the safety classifier cannot be read. That is no damage to pass over.
        """
        try:
            choice = self._first(text)
        except GuardError:
            raise
        except (ArtifactError, StorageError):  # a damaged set is told where policies are looked at
            choice = None
        if choice is not None and choice.policy is not None:
            return Knowledge("policy", facts={"policy": choice.text})
        try:
            recalled = self._recall(text, _N_RECALLED)
        except (DataError, StorageError):
            recalled = ()
        for each in recalled:
            if each.distance <= _NEAR and each.memory.about.kind != "asked":
                day = f"{each.memory.about.said_at.astimezone():%A, %d %B %Y}"
                return Knowledge("memory", hints={"said": each.memory.text, "day": day})
        return Knowledge()

    def names(self) -> tuple[str, ...]:
        """The person's own words, and whom and what they spoke about: hidden from hosted models."""
        spoken = {name for each in self._newest(_N_NAMED) for name in each.about.names}
        return (*self._terms(), *sorted(spoken))
