"""Whom and what a text is about: by rules that anybody can follow, no model.

Taken are the terms of the person's own vocabulary, and words with a capital letter that do not begin a sentence;
several of them in a row are one name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_NAMES = 12
_WORD = re.compile("[^\\W_]+(?:['\u2019.-][^\\W_]+)*")
_ENDS = re.compile("[.!?\u2026:]\\s*[\"'\u201d\u2019)\u00bb]*\\s*$")
# Written with a capital letter in English wherever they stand.
_NO_NAMES = frozenset({"i", "i'm", "i'd", "i'll", "i've"})


def names_in(text: str, terms: Iterable[str] = ()) -> tuple[str, ...]:
    """Names in a text, in the order in which they are said, each once.

    Args:
        text: What was said.
        terms: The person's own words; as they are written there, they are names wherever they stand.
    """
    found: dict[str, tuple[int, str]] = {}
    for term in terms:
        place = re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text, re.IGNORECASE)
        if place is not None:
            found[term.casefold()] = (place.start(), term)
    for start, name in _capitalised(text):
        if not any(name.casefold() in known for known in found):
            found[name.casefold()] = (start, name)
    return tuple(name for _, name in sorted(found.values()))[:MAX_NAMES]


def _capitalised(text: str) -> list[tuple[int, str]]:
    names: list[tuple[int, str]] = []
    last_end = -1
    for word in _WORD.finditer(text):
        before = text[: word.start()]
        begins = not before.strip() or _ENDS.search(before) is not None
        if begins or not word[0][0].isupper() or _plain(word[0]) in _NO_NAMES:
            continue
        if names and text[last_end : word.start()] == " ":
            names[-1] = (names[-1][0], f"{names[-1][1]} {word[0]}")
        else:
            names.append((word.start(), word[0]))
        last_end = word.end()
    return names


def _plain(word: str) -> str:
    return word.casefold().replace("\u2019", "'")
