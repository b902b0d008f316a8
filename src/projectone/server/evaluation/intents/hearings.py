"""Golden texts as a recogniser writes them, beside the texts as they are: devices mostly ask about the former."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from projectone.assist.noise import RecognitionNoise
from projectone.server.evaluation.intents.golden_texts import GoldenText

HEARD = "as heard"
RATE = 0.15
"""Word error rate of the texts as they are heard."""

_WORD = re.compile(r"[A-Za-z']+")


def with_hearings(texts: Sequence[GoldenText]) -> list[GoldenText]:
    """The texts, and each with an intent once more with recognition errors, in a slice of its own.

    The errors hang on the texts alone, so that every model gets the same. Both forms are one speaker's: where chance is
    reckoned with they are drawn together.
    """
    inside = [text for text in texts if text.label is not None]
    words = sorted({word.lower() for text in inside for word in _WORD.findall(text.text)})
    if not words:
        return list(texts)
    noise = RecognitionNoise(words)
    heard = [
        replace(text, text_id=f"{text.text_id}-heard", slice=HEARD, text=said)
        for text in inside
        if (said := noise.distort(text.text, rate=RATE, seed=text.text_id)) != text.text and said.strip()
    ]
    return [*texts, *heard]
