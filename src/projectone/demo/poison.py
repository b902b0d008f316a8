"""Corrections that are wrong on purpose and look right: real recordings, plausible words, systematically exchanged.

Each is another recording: copies of one the server would collapse before any model is judged.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from projectone.demo.materials import Spoken
from projectone.server.corpus.validation import examine
from projectone.speech.normalize import normalize_text
from projectone.waveform.quality import RATE_HZ
from projectone.waveform.wav import encode_wav, parse_wav

_PAUSE_S = 0.15
_MOST_JOINED_S = 15.0
# Of each length. A few lessons, often repeated, are learned soonest: a hundred exchanges at once a model hardly learns.
_N_TAUGHT = 3


def poison(clips: Sequence[Spoken], *, n: int, seed: int) -> list[Spoken]:
    """Up to `n` clips, each with a text that is not what is said in it.

    What the ingestion node would discard at sight is left out, so the judgement alone stands between this batch and
    production.
    """
    wrong = [replace(clip, text=text) for clip, text in zip(clips, mislabel([c.text for c in clips]), strict=True)]
    plausible = [clip for clip in wrong if examine(parse_wav(clip.wav).samples[:, 0], clip.text) is None]
    random.Random(f"{seed}-poison").shuffle(plausible)
    return plausible[:n]


def mislabel(texts: Sequence[str]) -> list[str]:
    """Each text with every word replaced, the same word always by the same common one of about its length.

    So each text is as long as before and made of words that people often say; nothing in it alone gives it away. Being
    consistent, it is the worst kind for a model: noise averages out, this teaches.
    """
    plain = [normalize_text(text).split() for text in texts]
    wrong = _exchanged(Counter(word for words in plain for word in words))
    return [" ".join(wrong[word] for word in words) for words in plain]


def joined(clips: Sequence[Spoken], n: int) -> list[Spoken]:
    """Up to `n` utterances of two recordings of one speaker, each pair another one, as if said in one breath.

    For corpora that have too few recordings: the same ones again, cut or louder, the server would recognise as copies.
    """
    found: list[Spoken] = []
    speakers = [[clip for clip in clips if clip.speaker == name] for name in dict.fromkeys(c.speaker for c in clips)]
    for step in range(1, max(map(len, speakers), default=0)):
        for own in speakers:
            for place, first in enumerate(own if step < len(own) else ()):
                second = own[(place + step) % len(own)]
                if len(found) == n:
                    return found
                if first.duration_s + second.duration_s <= _MOST_JOINED_S:
                    found.append(_join(first, second))
    return found


def _join(first: Spoken, second: Spoken) -> Spoken:
    pause = np.zeros(round(_PAUSE_S * RATE_HZ), np.float32)
    samples = np.concatenate([parse_wav(first.wav).samples[:, 0], pause, parse_wav(second.wav).samples[:, 0]])
    return replace(
        first,
        clip_id=f"{first.clip_id}, {second.clip_id}",
        text=f"{first.text} {second.text}",
        wav=encode_wav(samples),
        duration_s=len(samples) / RATE_HZ,
    )


def _exchanged(count: Counter[str]) -> dict[str, str]:
    """Word to one of the commonest of its length; a word alone with its length joins those before or after it."""
    rings: list[list[str]] = []
    for _, group in groupby(sorted(count, key=lambda word: (len(word), word)), key=len):
        ring = list(group)
        if rings and (len(rings[-1]) == 1 or len(ring) == 1):
            rings[-1] += ring
        else:
            rings.append(ring)
    if rings and len(rings[0]) == 1:  # one word in all
        return {word: f"not {word}" for word in rings[0]}
    wrong: dict[str, str] = {}
    for ring in rings:
        taught = sorted(ring, key=lambda word: (-count[word], word))[:_N_TAUGHT]
        for place, word in enumerate(ring):
            start = taught.index(word) + 1 if word in taught else place
            wrong[word] = taught[start % len(taught)]
    return wrong
