"""Synthetic sentences that carry the words which corrections introduced: names and terms, in several voices.

A name is corrected once or twice and heard rarely; a few spoken sentences with it help the model to write it, with no
speech of any user (Peyser et al., 2019: recall of names 2.4 to 48.6 %).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from projectone.errors import DataError
from projectone.server.training.examples import TrainingClip
from projectone.speech.normalize import normalize_text
from projectone.speech.synthesis import Synthesizer

SPEAKER = "synthetic"
# One place for the word. Plain sentences of all kinds: what surrounds the word must not become the word's company.
ENGLISH_TEMPLATES = (
    "I talked to {} about it this morning.",
    "Could you write {} on the list, please?",
    "The next point is {}.",
    "We heard about {} last week.",
    "Is it {} or something else?",
    "Please look up {} for me.",
    "{} was mentioned twice.",
    "Everybody here knows {}.",
    "Let us begin with {} today.",
    "There is a note from {} on the table.",
)
ANY_LANGUAGE_TEMPLATES = ("{}",)
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
# Shorter words without a capital are hardly ever names: "a" for "the" is grammar, not vocabulary.
_SHORTEST_PLAIN_WORD = 4


@dataclass(frozen=True)
class Correction:
    """What a model heard, and what was said."""

    heard: str
    text: str


@dataclass(frozen=True)
class Term:
    """A word that corrections introduced.

    Attributes:
        word: As it was written most often.
        n_corrections: How many corrections introduced it.
    """

    word: str
    n_corrections: int


def corrected_terms(corrections: Iterable[Correction], *, language: str = "en", most: int = 200) -> list[Term]:
    """Words that are in a corrected text and not in what the model heard, nor in anything else that it heard.

    Args:
        corrections: All that are known; the model's own words show what it can write already.
        language: Of the texts, for the normaliser.
        most: No more than this; the most often corrected ones first.
    """
    known: set[str] = set()
    written: dict[str, Counter[str]] = {}
    for correction in corrections:
        heard = set(normalize_text(correction.heard, language=language).split())
        known |= heard
        for word in dict.fromkeys(_WORD.findall(correction.text)):
            key = normalize_text(word, language=language)
            if key and key not in heard and _may_be_a_term(word):
                written.setdefault(key, Counter())[word] += 1
    terms = [
        # Of spellings as frequent as each other the first in the alphabet: the order of the corrections has no say.
        Term(min(spellings, key=lambda word: (-spellings[word], word)), spellings.total())
        for key, spellings in written.items()
        if not set(key.split()) <= known
    ]
    return sorted(terms, key=lambda term: (-term.n_corrections, term.word))[:most]


def carrier_clips(
    terms: Sequence[Term],
    synthesizer: Synthesizer,
    *,
    templates: Sequence[str] = ENGLISH_TEMPLATES,
    n_per_term: int = 4,
    seed: int = 0,
) -> list[TrainingClip]:
    """`n_per_term` spoken sentences for every term, each in another voice and another sentence as far as there are any.

    Args:
        terms: What to say.
        synthesizer: Who says it. A sentence that it cannot say is left out.
        templates: Sentences with one ``{}``.
        n_per_term: How many.
        seed: Decides voices and sentences.
    """
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(f"templates: expected one {{}} in each, got {template!r}")
    clips: list[TrainingClip] = []
    for number, term in enumerate(terms):
        random = np.random.default_rng([seed, number])
        sentences = _drawn(len(templates), n_per_term, random)
        voices = _drawn(len(synthesizer.voices), n_per_term, random)
        for sentence, voice in zip(sentences, voices, strict=True):
            text = templates[sentence].replace("{}", term.word)
            try:
                samples = synthesizer.say(text, synthesizer.voices[voice])
            except DataError:
                continue
            clips.append(TrainingClip(f"carrier-{len(clips)}", samples, text, SPEAKER))
    return clips


def _drawn(n_there: int, n: int, random: np.random.Generator) -> list[int]:
    """`n` of them in a drawn order, every one before any comes again."""
    rounds = [random.permutation(n_there) for _ in range(-(-n // n_there))]
    return [int(index) for index in np.concatenate(rounds)[:n]]


def _may_be_a_term(word: str) -> bool:
    if word.isdigit():
        return False
    return len(word) >= _SHORTEST_PLAIN_WORD or (word[0].isupper() and len(word) > 1)
