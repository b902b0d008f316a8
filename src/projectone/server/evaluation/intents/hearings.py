"""Golden texts as a recogniser writes them, beside the texts as they are: devices mostly ask about the former."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from projectone.assist.noise import RecognitionNoise
from projectone.server.evaluation.intents.golden_texts import GoldenText

HEARD = "as heard"
_SUFFIX = "-heard"
RATE = 0.15
"""Word error rate of the texts as they are heard."""

_WORD = re.compile(r"[A-Za-z']+")


def with_hearings(texts: Sequence[GoldenText], *, is_every: bool = False) -> list[GoldenText]:
    """The texts, and each with an intent once more with recognition errors, in a slice of its own.

    The errors hang on the texts alone, so that every model gets the same. Both forms are one speaker's: where chance is
    reckoned with they are drawn together.

    Args:
        texts: As they are written.
        is_every: Whether texts without a label are heard, too.
    """
    inside = [text for text in texts if is_every or text.label is not None]
    words = sorted({word.lower() for text in inside for word in _WORD.findall(text.text)})
    if not words:
        return list(texts)
    noise = RecognitionNoise(words)
    heard = [
        replace(text, text_id=f"{text.text_id}{_SUFFIX}", slice=HEARD, text=said)
        for text in inside
        if (said := noise.distort(text.text, rate=RATE, seed=text.text_id)) != text.text and said.strip()
    ]
    return [*texts, *heard]


def written_id(text_id: str) -> str:
    """The name of a text as it is written, by that of either form."""
    return text_id.removesuffix(_SUFFIX)
