"""The synthetic people of the starter and of the demo."""

from __future__ import annotations

from collections.abc import Iterable

from projectone.speech.synthesis import (
    SAMPLE_RATE_HZ,
    TimedSound,
    Voice,
    pronounce,
    synthesize,
    synthesize_timed,
)

__all__ = [
    "SAMPLE_RATE_HZ",
    "STARTER_VOICES",
    "UNHEARD_VOICES",
    "TimedSound",
    "Voice",
    "pronounce",
    "synthesize",
    "synthesize_timed",
]


def _people(languages: Iterable[str], variants: Iterable[str], prefix: str) -> tuple[Voice, ...]:
    """One person per language and variant; pitch and rate differ from one to the next, the same way every time."""
    pairs = [(language, variant) for language in languages for variant in variants]
    return tuple(
        Voice(f"{prefix}-{language}-{variant}", language, variant, 35 + 7 * index % 31, 140 + 11 * index % 50)
        for index, (language, variant) in enumerate(pairs)
    )


# espeak-ng's "en" is Great Britain's: with a variant it goes by no other name.
STARTER_LANGUAGES = ("en-us", "en", "en-gb-x-rp", "en-us-nyc", "en-gb-x-gbclan")
STARTER_VARIANTS = (
    "f1", "f2", "f3", "f4", "m1", "m2", "m3", "m4", "m5", "m7", "Andy", "Annie", "Alicia", "Denis", "Gene", "Hugo",
    "Lee", "Marco", "Michael", "Mike", "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "david",
    "ed", "edward", "grandma", "grandpa", "gustave", "ian", "john", "linda", "max", "michel", "norbert", "paul",
    "quincy", "rob", "sandro", "shelby", "steph", "travis", "victor", "zac",
)  # fmt: skip
# What the starter model was trained on.
STARTER_VOICES = _people(STARTER_LANGUAGES, STARTER_VARIANTS, "heard")

UNHEARD_LANGUAGES = ("en-gb-scotland", "en-029", "en-gb-x-gbcwmd")
UNHEARD_VARIANTS = ("f5", "m6", "Andrea", "Diogo", "caleb", "robert", "pablo", "steph2")
# Accents and timbres that the starter model has never heard: kept for the demo and for tests.
UNHEARD_VOICES = _people(UNHEARD_LANGUAGES, UNHEARD_VARIANTS, "unheard")
