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

N_USERS = 6
N_GOLDEN_SPEAKERS = 6
CLIPS_PER_USER = 90
CLIPS_PER_GOLDEN_SPEAKER = 18
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
    wanted = [(voice, "train", CLIPS_PER_USER) for voice in users]
    wanted += [(voice, "golden", CLIPS_PER_GOLDEN_SPEAKER) for voice in golden]
    n_clips = sum(n for _, _, n in wanted)
    rows: list[dict[str, object]] = []
    for voice, split, n in wanted:
        texts = random.Random(f"{seed}-{voice.name}")
        (folder / "audio" / voice.name).mkdir(parents=True, exist_ok=True)
        for number in range(n):
            text = sentence(texts)
            samples = synthesize(text, voice)
            audio = f"audio/{voice.name}/{number:03}.wav"
            (folder / audio).write_bytes(encode_wav(samples))
            rows.append(
                {
                    "audio": audio,
                    "text": text,
                    "speaker": voice.name,
                    "accent": voice.accent,
                    "split": split,
                    "duration_s": round(len(samples) / 16_000, 3),
                }
            )
            on_progress(len(rows), n_clips)
    write_atomically(folder / "manifest.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    return folder


def _cast(rng: random.Random) -> tuple[list[Voice], list[Voice]]:
    """Users and golden speakers: no voice is both, every accent is in each."""
    by_language: dict[str, list[Voice]] = {}
    for voice in UNHEARD_VOICES:
        by_language.setdefault(voice.language, []).append(voice)
    for voices in by_language.values():
        rng.shuffle(voices)
    in_turn = [voice for group in zip(*by_language.values(), strict=False) for voice in group]
    return in_turn[:N_USERS], in_turn[N_USERS : N_USERS + N_GOLDEN_SPEAKERS]
