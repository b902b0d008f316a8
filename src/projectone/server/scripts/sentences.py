"""The corpus of sentences: `sentences.tsv` beside this file; sources and licences in its README."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Sentence:
    """Something to read aloud.

    Attributes:
        script_id: Its name, for ever: donations carry it.
        source: Where it is from: ``harvard``, ``arctic`` or ``own``.
        text: In English.
    """

    script_id: str
    source: str
    text: str


@cache
def read_sentences() -> tuple[Sentence, ...]:
    """Every sentence, in the order of the file."""
    text = resources.files(__package__).joinpath("sentences.tsv").read_text(encoding="utf-8")
    return tuple(Sentence(*line.split("\t")) for line in text.splitlines() if not line.startswith("#"))
