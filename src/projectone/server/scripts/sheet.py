"""From needs to the sheet that devices read from: which sentences, in which order, and why each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from projectone.contracts.scripts import PromptScript, ScriptSheet
from projectone.server.scripts.needs import Kind, Need, Pronounce
from projectone.server.scripts.picker import Pick, pick, worth
from projectone.server.scripts.sentences import Sentence
from projectone.server.scripts.sounds import pairs_of
from projectone.speech.normalize import normalize_text

Unit = tuple[Kind, str]

SHEET_SIZE: Final = 60
# Where nothing is known to be wrong, variety teaches most: every pair of sounds of the corpus is worth a little.
_VARIETY = 0.02
_MOST_REASONS = 2
_MOST_EXAMPLES = 2


@dataclass(frozen=True)
class Coverage:
    """How much of the needs sentences cover, as fractions: the chosen ones, and as many drawn by chance."""

    n_sentences: int
    chosen: float
    random_mean: float
    random_best: float


class ScriptPicker:
    """A corpus with its units, counted once.

    Args:
        sentences: The corpus.
        pronounce: A word to its sounds.
        taboo: Normalised texts that nobody is asked to read: models are judged on them.
    """

    def __init__(self, sentences: Iterable[Sentence], pronounce: Pronounce, *, taboo: Iterable[str] = ()) -> None:
        refused = set(taboo)
        self._texts = {
            sentence.script_id: sentence.text for sentence in sentences if normalize_text(sentence.text) not in refused
        }
        self._sounds: dict[str, tuple[str, ...]] = {}
        self._units = {script_id: self._count(text, pronounce) for script_id, text in self._texts.items()}

    def choose(self, needs: Sequence[Need], n: int = SHEET_SIZE) -> list[Pick[Unit]]:
        """The sentences that cover most, best first."""
        return pick(self._units, self._weights(needs), n)

    def sheet(self, needs: Sequence[Need], *, language: str, now: datetime, n: int = SHEET_SIZE) -> ScriptSheet:
        """The chosen sentences with their reasons."""
        known = {need.unit: need for need in needs}
        return ScriptSheet(
            language=language,
            made_at=now,
            scripts=tuple(
                PromptScript(script_id=choice.name, text=self._texts[choice.name], why=self.why(choice, known))
                for choice in self.choose(needs, n)
            ),
        )

    def coverage(self, needs: Sequence[Need], n: int, *, n_draws: int = 1000, seed: int = 0) -> Coverage:
        """What `n` chosen sentences cover of the needs, beside `n` drawn by chance, `n_draws` times."""
        weights = {need.unit: need.weight for need in needs}
        total = sum(weights.values()) or 1.0
        draw = random.Random(seed)
        names = sorted(self._units)
        by_chance = [self._worth(draw.sample(names, min(n, len(names))), weights) / total for _ in range(n_draws)]
        return Coverage(
            n_sentences=n,
            chosen=self._worth([choice.name for choice in self.choose(needs, n)], weights) / total,
            random_mean=sum(by_chance) / len(by_chance),
            random_best=max(by_chance),
        )

    def text_of(self, script_id: str) -> str:
        """The sentence."""
        return self._texts[script_id]

    def why(self, choice: Pick[Unit], needs: Mapping[Unit, Need]) -> str:
        """The most it adds, in words: what was misheard, how often, and for what."""
        reasons: list[str] = []
        named: set[str] = set()
        for unit, _ in choice.gains:
            need = needs.get(unit)
            words = self._words_with(choice.name, unit)
            if need is None or named & set(words) or len(reasons) == _MOST_REASONS:
                continue
            named.update(words)
            reasons.append(_reason(need, words))
        return "; ".join(reasons) or "its sounds are rare in what was read before"

    def _worth(self, names: Iterable[str], weights: Mapping[Unit, float]) -> float:
        counts: Counter[Unit] = Counter()
        for name in names:
            counts.update(self._units[name])
        return worth(counts, weights)

    def _weights(self, needs: Sequence[Need]) -> dict[Unit, float]:
        pairs = {unit for units in self._units.values() for unit in units if unit[0] == "pair"}
        weights = {unit: _VARIETY / len(pairs) for unit in pairs}
        for need in needs:
            weights[need.unit] = weights.get(need.unit, 0.0) + need.weight
        return weights

    def _count(self, text: str, pronounce: Pronounce) -> Counter[Unit]:
        counts: Counter[Unit] = Counter()
        for word in normalize_text(text).split():
            sounds = self._sounds.setdefault(word, pronounce(word))
            counts["word", word] += 1
            counts.update(("sound", sound) for sound in sounds)
            counts.update(("pair", pair) for pair in pairs_of(sounds))
        return counts

    def _words_with(self, script_id: str, unit: Unit) -> list[str]:
        kind, name = unit
        words = dict.fromkeys(normalize_text(self._texts[script_id]).split())
        if kind == "word":
            return [name]
        return [
            word for word in words if name in (self._sounds[word] if kind == "sound" else pairs_of(self._sounds[word]))
        ][:_MOST_EXAMPLES]


def _reason(need: Need, words: Sequence[str]) -> str:
    taken = f", mostly for {need.heard_as!r}" if need.heard_as else ""
    often = f"misheard {need.n_wrong} of {need.n} times{taken}"
    examples = " and ".join(f"{word!r}" for word in words)
    if need.kind == "word":
        return f"{need.name!r} is {often}"
    what = need.name if need.kind == "sound" else need.name.replace(" ", " before ")
    return f"{what} as in {examples} is {often}"
