"""Texts as a recogniser writes them: words misheard, dropped and added, drawn by a seed at a stated error rate.

What is misheard comes from a small table of what our own starter wrote of published recordings
(`assets/recognition_errors.json`, made by `python -m starter.recognition_errors`). The starter knows few words; for
every other word one is taken that sounds like it, out of a list that is handed in, and letters are weighed by what the
starter took for one another. A word that sounds like none keeps its shape and gets a wrong letter.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from projectone.assist.sound_alikes import LetterCosts, LetterCounts, SoundAlikes

ASSET = "recognition_errors.json"
_WORD = re.compile(r"[A-Za-z0-9']+")
# The table has its say where it has seen the word; this many imagined hearings of a word that sounds like it beside.
_IMAGINED = 3
_SHORT = 3  # letters of a word that is easily dropped
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class HeardErrors:
    """What a recogniser was seen to do.

    Attributes:
        kinds: Errors of each kind: substitutions, deletions, insertions.
        words: For a word that was said, how often each other word was written in its place.
        added: Words that were written where nothing was said.
        letters: For a letter of a word that was said, how often each letter was written in its place.
        word_error_rate: Of these recordings, by the speakers the recogniser never heard.
    """

    kinds: Mapping[str, int]
    words: Mapping[str, Mapping[str, int]]
    added: Mapping[str, int]
    letters: LetterCounts
    word_error_rate: float

    def shares(self) -> tuple[float, float, float]:
        """Of substitutions, deletions, insertions; they sum to one."""
        counts = [self.kinds[kind] for kind in ("substitutions", "deletions", "insertions")]
        return (counts[0] / sum(counts), counts[1] / sum(counts), counts[2] / sum(counts))


@cache
def read_heard_errors() -> HeardErrors:
    """The table of the package."""
    raw: dict[str, Any] = json.loads((resources.files("projectone.assist") / "assets" / ASSET).read_text("utf-8"))
    return HeardErrors(raw["kinds"], raw["words"], raw["added"], raw["letters"], raw["word_error_rate"])


class RecognitionNoise:
    """Writes a text down as if it had been heard.

    Args:
        words: That could be written, lower case, the more usual before the rare.
        heard: What a recogniser was seen to do; the package's own table by default.
    """

    def __init__(self, words: Iterable[str], heard: HeardErrors | None = None) -> None:
        self._heard = heard or read_heard_errors()
        self._costs = LetterCosts(self._heard.letters)
        self._alikes = SoundAlikes(words, self._costs)

    def distort(self, text: str, *, rate: float, seed: str | int) -> str:
        """The text with so many wrong words; the same for the same seed. At least one word stays.

        Args:
            text: What was said.
            rate: Word error rate to reach over many texts: substitutions, deletions and insertions for each word.
            seed: Chooses the errors, together with the text.

        Raises:
            ValueError: if the rate is not within 0 and 1.
        """
        if not 0 <= rate <= 1:
            raise ValueError(f"rate: expected 0 <= rate <= 1, got {rate!r}")
        chance = random.Random(f"{seed}\n{text}")
        parts = text.split()
        said = [word for part in parts if (word := "".join(_WORD.findall(part)))]
        if not said or not rate:
            return text
        substituted, deleted, inserted = (rate * share for share in self._heard.shares())
        ease = [2.0 if len(word) <= _SHORT else 1.0 for word in said]
        written: list[str] = []
        for part in parts:
            word = "".join(_WORD.findall(part))
            place = chance.random()
            drop = deleted * (2.0 if len(word) <= _SHORT else 1.0) * len(ease) / sum(ease) if word else 0.0
            if place >= drop:
                written.append(self._misheard(part, word, chance) if word and place < drop + substituted else part)
            if chance.random() < inserted:
                written.append(_draw(self._heard.added, chance))
        return " ".join(written) if written else chance.choice(said)

    def _misheard(self, part: str, word: str, chance: random.Random) -> str:
        plain = word.lower()
        seen = self._heard.words.get(plain, {})
        if seen and chance.random() < (n_seen := sum(seen.values())) / (n_seen + _IMAGINED):
            other = _draw(seen, chance)
        else:
            others, weights = self._alikes.near(plain)
            other = chance.choices(others, weights)[0] if others else self._misspelt(plain, chance)
        cased = other.capitalize() if word[0].isupper() else other
        return _WORD.sub("", part[:1]) + cased + (part[-1] if len(part) > 1 and not part[-1].isalnum() else "")

    def _misspelt(self, word: str, chance: random.Random) -> str:
        place = chance.randrange(len(word))
        letter = word[place]
        others = [other for other in _LETTERS if other != letter]
        weights = [(1.05 - min(1.0, self._costs.substitution(letter, other))) ** 2 for other in others]
        return word[:place] + chance.choices(others, weights)[0] + word[place + 1 :]


def _draw(counts: Mapping[str, int], chance: random.Random) -> str:
    return chance.choices(list(counts), list(counts.values()))[0]
