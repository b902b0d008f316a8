"""When the words of a correction were said: what the model heard too keeps its times, the rest shares what is left."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Final

from projectone.device.heard import Word

_SURE: Final = 1.0  # a person has looked at it
_PUNCTUATION: Final = ".,;:!?…\"'()[]«»“”‘’"  # noqa: RUF001 - quotation marks as people type them


def retimed(words: Sequence[Word], text: str) -> tuple[Word, ...]:
    """The words of `text`, with times.

    Args:
        words: What the model heard, in order.
        text: What was really said. A language that writes no blanks gives one word between two that were heard.
    """
    said = text.split()
    heard, wanted = [_bare(word.text) for word in words], [_bare(word) for word in said]
    made: list[Word] = []
    for tag, first, last, begin, end in SequenceMatcher(None, heard, wanted, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs = zip(words[first:last], said[begin:end], strict=True)
            made += [Word(new, old.start_s, old.end_s, _SURE) for old, new in pairs]
        elif begin < end:
            made += _shared(said[begin:end], *_span(words, first, last))
    return tuple(made)


def _bare(word: str) -> str:
    return word.strip().casefold().strip(_PUNCTUATION) or word


def _span(words: Sequence[Word], first: int, last: int) -> tuple[float, float]:
    """From when to when: where other words were heard, or between the two beside it."""
    if first < last:
        return words[first].start_s, words[last - 1].end_s
    start_s = words[first - 1].end_s if first else 0.0
    return start_s, max(start_s, words[first].start_s) if first < len(words) else start_s


def _shared(texts: Sequence[str], start_s: float, end_s: float) -> list[Word]:
    """Long words take longer."""
    ends = list(accumulate(len(text) for text in texts))
    moments = [start_s + (end_s - start_s) * letters / ends[-1] for letters in (0, *ends)]
    return [Word(text, moments[i], moments[i + 1], _SURE) for i, text in enumerate(texts)]
