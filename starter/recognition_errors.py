"""What the starter writes in the place of what was said, counted over published recordings.

    python -m starter.recognition_errors [--data ../shared/data] [--out FILE]

Every AN4 recording, as it is and under white noise of 10 and 5 dB (seed 0): clean, the speakers that training heard
are understood too well to learn errors from. Kinds of errors and the word error rate are those of the ten speakers that
were never heard, without noise. The file keeps single words and letters with counts, no sentence and no speaker.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import projectone.server.training  # noqa: F401  # the BLAS before mlx
from projectone.speech.checkpoint import load_checkpoint
from projectone.speech.transcribe import TranscribeOptions, transcribe_many
from projectone.speech.wer import Edit, ErrorCounts, align, total_errors, word_errors
from projectone.storage.files import write_atomically
from starter.data import DEV_SPEAKERS, TEST_SPEAKERS, Clip, load_clips, plain_text

ROOT = Path(__file__).parents[1]
DECIBELS = (None, 10.0, 5.0)
UNHEARD = DEV_SPEAKERS | TEST_SPEAKERS


def main() -> None:
    """Transcribe, count, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "src/projectone/assist/assets/recognition_errors.json")
    arguments = parser.parse_args()
    clips = load_clips(arguments.data / "an4")
    checkpoint = load_checkpoint(ROOT / "models" / "starter")
    pairs: list[tuple[Clip, str, bool]] = []
    for decibels in DECIBELS:
        sounds = [with_noise(clip.sound, decibels, seed) for seed, clip in enumerate(clips)]
        heard = transcribe_many(checkpoint, sounds, options=TranscribeOptions(timestamps=False))
        pairs += [(clip, plain_text(made.text), decibels is None) for clip, made in zip(clips, heard, strict=True)]
        print(f"{decibels or 'no'} dB: {100 * _rate(pairs[-len(clips) :]):.1f} % of the words wrong", flush=True)
    write_atomically(arguments.out, (json.dumps(count(pairs), indent=1, sort_keys=True) + "\n").encode())


def with_noise(sound: npt.NDArray[np.int16], decibels: float | None, seed: int) -> npt.NDArray[np.float32]:
    """As floats, with white noise so many decibels below the sound."""
    samples = sound.astype(np.float32) / np.float32(32768)
    if decibels is None:
        return samples
    level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-decibels / 20)
    noise = np.random.default_rng(seed).standard_normal(samples.size).astype(np.float32)
    return np.asarray(np.clip(samples + level * noise, -1, 1), dtype=np.float32)


def count(pairs: Sequence[tuple[Clip, str, bool]]) -> dict[str, object]:
    """The table, ready for JSON.

    Args:
        pairs: What was said, what was written, and whether there was no noise.
    """
    edits = [edit for clip, heard, _ in pairs for edit in align(clip.text.split(), heard.split())]
    words: dict[str, Counter[str]] = defaultdict(Counter)
    letters: dict[str, Counter[str]] = defaultdict(Counter)
    for said, written in (_ends(edit) for edit in edits if edit.kind == "substitute"):
        words[said][written] += 1
        for change in align(said, written):
            if change.kind == "substitute":
                letters[change.reference or ""][change.hypothesis or ""] += 1
    unheard = [(clip, heard, clean) for clip, heard, clean in pairs if clean and clip.speaker in UNHEARD]
    found = _errors(unheard)
    return {
        "made_by": "python -m starter.recognition_errors",
        "source": "CMU AN4 (BSD-style licence), as models/starter writes it; counts of single words and letters",
        "word_error_rate": round(found.rate, 4),
        "kinds": {
            "substitutions": found.substitutions, "deletions": found.deletions, "insertions": found.insertions,
        },
        "added": dict(Counter(str(edit.hypothesis) for edit in edits if edit.kind == "insert")),
        "words": words,
        "letters": letters,
    }  # fmt: skip


def _ends(edit: Edit) -> tuple[str, str]:
    return str(edit.reference), str(edit.hypothesis)


def _errors(pairs: Sequence[tuple[Clip, str, bool]]) -> ErrorCounts:
    return total_errors(word_errors(clip.text, heard) for clip, heard, _ in pairs)


def _rate(pairs: Sequence[tuple[Clip, str, bool]]) -> float:
    return _errors(pairs).rate


if __name__ == "__main__":
    main()
