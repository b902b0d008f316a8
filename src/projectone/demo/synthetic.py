"""The default corpus: synthetic people with accents that the starter model never heard, read aloud on the spot."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from projectone.demo.sentences import sentence
from projectone.demo.voices import UNHEARD_VOICES, Voice, synthesize
from projectone.storage.files import write_atomically
from projectone.waveform.wav import encode_wav

# Names for voices in the order of `_cast`: one accent after the other, in turn.
_USERS = ("Ailsa", "Winston", "Nigel", "Fergus", "Marcia", "Tracey")
_JUDGES = (
    "Isla", "Delroy", "Sharon", "Hamish", "Beverley", "Darren", "Morag", "Desmond", "Kelly", "Duncan", "Yvonne",
    "Wayne", "Catriona", "Errol", "Julie", "Angus", "Sonia", "Dean",
)  # fmt: skip
_ACCENTS = {"en-gb-scotland": "Scotland", "en-029": "Caribbean", "en-gb-x-gbcwmd": "West Midlands"}
# Of these 65 are corrected or kept back; the others are what newcomers correct wrongly, none of them twice.
CLIPS_PER_USER = 150
# Few clips of many people: what a judgement is sure of is limited by how many people it heard.
CLIPS_PER_JUDGE = 6
CORPUS_NAME = "synthetic voices"


def write_synthetic_corpus(
    folder: Path, *, seed: int, on_progress: Callable[[int, int], None] = lambda n_done, n: None
) -> Path:
    """WAV files and a `manifest.jsonl` as any corpus has them; gives the folder.

    The golden set is spoken by other voices than the users': what it measures is not how well these few are known.

    Args:
        folder: Made here.
        seed: Of the sentences and of who is who.
        on_progress: Told how many clips are spoken, of how many.
    """
    rng = random.Random(f"{seed}-people")
    users, golden = _cast(rng)
    wanted = [(name, voice, "train", CLIPS_PER_USER) for name, voice in zip(_USERS, users, strict=True)]
    wanted += [(name, voice, "golden", CLIPS_PER_JUDGE) for name, voice in zip(_JUDGES, golden, strict=True)]
    n_clips = sum(n for _, _, _, n in wanted)
    rows: list[dict[str, object]] = []
    for name, voice, split, n in wanted:
        texts = _different_sentences(random.Random(f"{seed}-{name}"), n)
        (folder / "audio" / name).mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(texts):
            samples = synthesize(text, voice)
            audio = f"audio/{name}/{number:03}.wav"
            (folder / audio).write_bytes(encode_wav(samples))
            rows.append(
                {
                    "audio": audio,
                    "text": text,
                    "speaker": name,
                    "accent": _ACCENTS.get(voice.accent, voice.accent),
                    "split": split,
                    "duration_s": round(len(samples) / 16_000, 3),
                }
            )
            on_progress(len(rows), n_clips)
    write_atomically(folder / "manifest.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    return folder


def _different_sentences(rng: random.Random, n: int) -> list[str]:
    """A synthetic voice says the same words twice the same way: that would be one recording under two names."""
    found: dict[str, None] = {}
    while len(found) < n:
        found[sentence(rng)] = None
    return list(found)


def _cast(rng: random.Random) -> tuple[list[Voice], list[Voice]]:
    """Users and golden speakers: no voice is both, every accent is in each."""
    by_language: dict[str, list[Voice]] = {}
    for voice in UNHEARD_VOICES:
        by_language.setdefault(voice.language, []).append(voice)
    for voices in by_language.values():
        rng.shuffle(voices)
    in_turn = [voice for group in zip(*by_language.values(), strict=False) for voice in group]
    return in_turn[: len(_USERS)], in_turn[len(_USERS) : len(_USERS) + len(_JUDGES)]
