"""Marks in the place of personal data, and back: the same words always have the same mark."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Final

from projectone.assist.generation.masking.forms import Kind, spans

_MARK: Final = re.compile(r"\[?\b(TEXT|EMAIL|LINK|DATE|ADDRESS|NUMBER|NAME)_(\d{1,4})\b\]?", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W\d_]{2,}")


class Mask:
    """Hides what is personal in texts that leave, and puts it back into what comes.

    Args:
        names: Names and words of the person's own.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = tuple(names)
        self._mark_of: dict[str, str] = {}
        self._words_of: dict[str, str] = {}
        self._n_of: Counter[Kind] = Counter()

    @property
    def n_hidden(self) -> int:
        """How many different things are hidden so far."""
        return len(self._mark_of)

    def hide(self, text: str) -> str:
        """The text, in NFC, with marks such as ``[NAME_1]`` where personal data stood."""
        # Some keyboards and file names write "é" as two signs, which no name and no form here has.
        text = unicodedata.normalize("NFC", text)
        pieces, done = [], 0
        for span in spans(text, self._names):
            pieces += [text[done : span.start], self._mark(text[span.start : span.end], span.kind)]
            done = span.end
        return "".join([*pieces, text[done:]])

    def restore(self, text: str) -> str:
        """The text with what the marks stand for.

        Raises:
            ValueError: for a mark that stands for nothing: it was made up.
        """

        def words(match: re.Match[str]) -> str:
            mark = f"{match[1].upper()}_{int(match[2])}"
            if mark not in self._words_of:
                raise ValueError(f"{mark} stands for nothing")
            return self._words_of[mark]

        return _MARK.sub(words, text)

    def _mark(self, words: str, kind: Kind) -> str:
        known = self._mark_of.get(words)
        if known is None:
            self._n_of[kind] += 1
            known = self._mark_of[words] = f"{kind}_{self._n_of[kind]}"
            self._words_of[known] = words
        return f"[{known}]"


def words_left(masked: str) -> int:
    """How many words of a masked text still say something."""
    return len(_WORD.findall(_MARK.sub(" ", masked)))
