"""What somebody said before: the prompts that are shown to the decoder in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from projectone.server.training.examples import Example

# Speakers of whom nothing is known: two of their clips need not be of the same person.
_NOT_A_PERSON = frozenset({"", "unknown"})


def with_previous_text(examples: Sequence[Example]) -> list[Example]:
    """The examples with what was said before, where that is known.

    A clip's own `previous_text` counts. Where it says nothing, the clip before it of the same speaker is taken: clips
    come in the order in which they were given.
    """
    latest: dict[str, tuple[int, ...]] = {}
    prompted: list[Example] = []
    for example in examples:
        speaker = example.clip.speaker
        before = example.previous or latest.get(speaker, ())
        prompted.append(replace(example, previous=before))
        if speaker not in _NOT_A_PERSON and example.text:
            latest[speaker] = example.text
    return prompted
