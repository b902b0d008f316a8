"""The speech of `vocabulary.py`: names that were heard wrong and are said again, and speech without any of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from peers.ears import Ears
from peers.spelling import Letters, Utterance, letters_of, spell
from projectone.contracts.base import sha256_hex
from projectone.device.vocabulary import learned_terms
from projectone.server.corpus.manifests import ManifestRow, read_manifest
from projectone.server.training import TrainingClip
from projectone.server.work.clips import open_decoder

WATCHED = frozenset({"fbbh", "mcen", "mgah", "mrcb"})
JUDGED = frozenset({"fjam", "fplp", "mdxs", "mjjs2", "mmap", "mtje"})
UNHEARD_DIGITS = "george"
MOST_TERMS = 1000
_NAME = re.compile(r"[a-z]( [a-z]){3,9}")
_EVERY_REPLAYED = 3


@dataclass(frozen=True)
class Material:
    """What is heard.

    Attributes:
        corrected: The recordings that were heard wrong, and corrected; each of another name.
        again: Other recordings of the same names, by the same person and by another one; and recordings as they are,
            of names that were added by hand.
        terms: What the corrections taught, and what was added by hand.
        n_taught: How many of the terms corrections taught.
        others: Speech without any of the terms, by kind.
        unsaid: Terms that are said nowhere.
        replay: General speech that a release is trained on besides.
    """

    corrected: list[Utterance]
    again: dict[str, list[Utterance]]
    terms: list[str]
    n_taught: int
    others: dict[str, list[Utterance]]
    unsaid: list[str]
    replay: list[TrainingClip]


def read_material(ears: Ears, data: Path, people: frozenset[str], *, n_terms: int, n_others: int) -> Material:
    """The names that these people spell, and speech without them.

    Args:
        ears: Of the model before any correction.
        data: Folder with an4, fsdd, speechocean762 and text.
        people: AN4 speakers who are not in the model's training.
        n_terms: At most so many corrections.
        n_others: At most so many clips of each kind of other speech from outside AN4.
    """
    an4, digits, read = (read_manifest(data / name) for name in ("an4", "fsdd", "speechocean762"))
    names = sorted({row.text for row in an4 if _NAME.fullmatch(row.text)}, key=lambda name: sha256_hex(name.encode()))
    own = [row for row in an4 if row.speaker in people]
    heard = sorted((row for row in an4 if row.speaker not in WATCHED | JUDGED), key=lambda row: row.clip_id)
    george = [row for row in digits if row.speaker == UNHEARD_DIGITS]
    with open_decoder() as decode:

        def said(rows: Sequence[ManifestRow]) -> list[Utterance]:
            return [Utterance(row.text, row.speaker, decode(row.audio)) for row in rows]

        letters = letters_of(ears.checkpoint, own, [decode(row.audio) for row in own])
        corrected, again, taught = _corrections(ears, names, letters, n_terms)
        natural = [row for row in own if _NAME.fullmatch(row.text)][:n_terms]
        again["as they were recorded, added by hand"] = said(natural)
        terms = list(dict.fromkeys([*taught, *(row.text for row in natural)]))
        others = {
            "real clips of the same people": said([row for row in own if not any(holds(row.text, t) for t in terms)]),
            "digits of a stranger": said(george[:n_others]),
            "sentences that it cannot know": said(read[:: max(1, len(read) // n_others)]),
        }
        replay = [
            TrainingClip(row.clip_id, decode(row.audio), row.text, row.speaker) for row in heard[::_EVERY_REPLAYED]
        ]
    texts = [clip.text for clips in others.values() for clip in clips] + names
    return Material(corrected, again, terms, len(taught), others, _unsaid(data, texts), replay)


def holds(text: str, term: str) -> bool:
    """Whether a term stands in a text, as whole words."""
    return f" {term} " in f" {text} "


def _corrections(
    ears: Ears, names: Sequence[str], letters: dict[str, Letters], n_most: int
) -> tuple[list[Utterance], dict[str, list[Utterance]], list[str]]:
    """Each name by one of those who have its letters: where it is heard wrong and the correction teaches it, again."""
    candidates: list[tuple[Utterance, list[str]]] = []
    for number, text in enumerate(names):
        able = [speaker for speaker in sorted(letters) if set(text.split()) <= set(letters[speaker])]
        able = able[number % max(1, len(able)) :] + able[: number % max(1, len(able))]
        first = spell(text, able[0], letters[able[0]], seed=0) if able else None
        if first is not None:
            candidates.append((first, able[1:]))
    texts = ears.texts([first for first, _ in candidates])
    taught = [learned_terms(text, first.text) for (first, _), text in zip(candidates, texts, strict=True)]
    chosen = [(first, rest) for (first, rest), terms in zip(candidates, taught, strict=True) if first.text in terms]
    chosen = chosen[:n_most]
    corrected = [first for first, _ in chosen]
    same = [spell(one.text, one.speaker, letters[one.speaker], seed=1, unlike=one) for one in corrected]
    other = [spell(one.text, rest[0], letters[rest[0]], seed=2) for one, rest in chosen if rest]
    again = {
        # Whoever has one take of each letter cannot say it differently.
        "same person, again": [
            clip for clip, one in zip(same, corrected, strict=True) if clip is not None and clip.takes != one.takes
        ],
        "another person": [clip for clip in other if clip is not None],
    }
    known = {first.text for first in corrected}
    terms = [term for some in taught for term in some if term in known]
    return corrected, again, list(dict.fromkeys(terms))


def _unsaid(data: Path, texts: Sequence[str]) -> list[str]:
    """Spelled words that are in none of the texts, as like the names as can be."""
    prompts = (data / "text" / "prompts" / "harvard_sentences.txt").read_text()
    spelled = sorted({" ".join(word) for word in re.findall(r"[a-z]{4,10}", prompts.lower())})
    free = [term for term in spelled if not any(holds(text, term) for text in texts)]
    return free[:: max(1, len(free) // MOST_TERMS)][:MOST_TERMS]
