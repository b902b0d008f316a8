"""Phonetic transcriptions as espeak-ng writes them, cut into sounds."""
# ruff: noqa: RUF001, RUF002 - phonetic letters

from __future__ import annotations

import itertools
import re

# Affricates and diphthongs are one sound; so is a vowel with its length. Longer ones first.
_SOUND = re.compile(r"tʃ|dʒ|aɪ|aʊ|eɪ|oʊ|əʊ|ɔɪ|ɪə|eə|ʊə|[^\W\d_]ː?")
_STRESS = str.maketrans("", "", "ˈˌ")


def sounds_of(transcription: str) -> tuple[str, ...]:
    """The sounds of one word, without stress: ``"θɹˈiː"`` gives θ, ɹ, iː."""
    return tuple(_SOUND.findall(transcription.translate(_STRESS)))


def pairs_of(sounds: tuple[str, ...]) -> tuple[str, ...]:
    """Each sound with the next one: what a mouth has to do between them is where words differ."""
    return tuple(f"{left} {right}" for left, right in itertools.pairwise(sounds))
