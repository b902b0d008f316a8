"""The clips the starter learns from: real speech in memory, and synthetic voices made on the spot."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from projectone.demo.voices import STARTER_VOICES, TimedSound, Voice, pronounce, synthesize_timed
from projectone.errors import DataError
from starter.text import ACCENTED_DIGITS, CLOSED_WORDS, DIGITS, domain_sentence
from starter.vocabulary import WINDOW_S

# Whole AN4 speakers that training never sees: four to watch it by, six to judge it by.
DEV_SPEAKERS = frozenset({"fbbh", "mcen", "mgah", "mrcb"})
TEST_SPEAKERS = frozenset({"fjam", "fplp", "mdxs", "mjjs2", "mmap", "mtje"})
# The three FSDD speakers that training hears: what telephone-band digits cut to the bone sound like. The other judges.
HEARD_DIGIT_SPEAKERS = frozenset({"jackson", "nicolas", "yweweler"})
SAMPLE_RATE = 16_000
PHONEMES = "abdefhijklmnopqrstuvwxzæðŋɐɑɒɔəɚɛɜɡɪɫɬɹɾʃʊʌʒʔθᵻ"  # noqa: RUF001
SYMBOLS = {symbol: index for index, symbol in enumerate(PHONEMES, start=1)}  # 0 is silence, and the blank


@dataclass(frozen=True)
class Clip:
    """One utterance: sound as 16-bit integers at 16 kHz, its text in lower case, who spoke, and how it sounds.

    `labels` says which phoneme sounds in every 10 ms, 0 for none; `words` when each word begins and ends, in seconds.
    Synthetic voices come with both, recordings get them by alignment.
    """

    sound: npt.NDArray[np.int16]
    text: str
    speaker: str
    phonemes: str
    labels: npt.NDArray[np.int16] | None = None
    words: tuple[tuple[float, float], ...] | None = None

    @property
    def duration_s(self) -> float:
        """Seconds of sound."""
        return self.sound.size / SAMPLE_RATE


def plain_text(text: str) -> str:
    """Lower case, letters and apostrophes only, single spaces: what the starter writes."""
    return " ".join(re.sub(r"[^a-z' ]+", " ", text.lower().replace("-", " ")).split())


def bare_phonemes(text: str) -> str:
    """The phonemes without stress, length and word boundaries: one symbol a character."""
    return re.sub(r"[\s\u02c8\u02cc\u02d0\u0329()]|\W", "", pronounce(text))


def frame_labels(timed: TimedSound) -> npt.NDArray[np.int16]:
    """The number of the phoneme that sounds in every 10 ms."""
    labels = np.zeros(-(-timed.samples.size // 160), dtype=np.int16)
    ends = [start_s for start_s, _ in timed.phonemes[1:]] + [labels.size / 100]
    for (start_s, name), end_s in zip(timed.phonemes, ends, strict=True):
        symbols = [SYMBOLS[symbol] for symbol in name if symbol in SYMBOLS]
        for index, symbol in enumerate(symbols):
            bounds = [start_s + (end_s - start_s) * part / len(symbols) for part in (index, index + 1)]
            labels[round(100 * bounds[0]) : round(100 * bounds[1])] = symbol
    return labels


def load_clips(folder: Path, *, longest_s: float = WINDOW_S - 0.5) -> list[Clip]:
    """Every clip of a manifest that fits a window."""
    clips = []
    known: dict[str, str] = {}
    for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = plain_text(row["text"])
        if row["duration_s"] > longest_s:
            continue
        sound, rate_hz = soundfile.read(folder / row["audio"], dtype="int16")
        if rate_hz != SAMPLE_RATE or sound.ndim != 1:
            raise DataError(
                "format", f"{row['audio']!r}: expected one channel at 16 kHz, got {sound.ndim} at {rate_hz}"
            )
        known.setdefault(text, bare_phonemes(text))
        clips.append(Clip(sound, text, row["speaker"], known[text]))
    return clips


def read_sentences(folder: Path) -> list[str]:
    """English sentences for the tokenizer and the synthetic voices."""
    harvard = (folder / "harvard_sentences.txt").read_text(encoding="utf-8").splitlines()
    arctic = (folder / "cmu_arctic.tsv").read_text(encoding="utf-8").splitlines()
    lines = [line.split("\t")[-1] for line in (*harvard, *arctic)]
    return [text for text in (plain_text(line) for line in lines) if text]


def spelled_names(clips: Sequence[Clip], sentences: Sequence[str]) -> list[str]:
    """Words worth spelling: the names that training speakers spelled, and ordinary words of three to ten letters."""
    spelled = [re.sub(" ", "", clip.text) for clip in clips if re.fullmatch(r"[a-z]( [a-z]){2,}", clip.text)]
    words = sorted({word for line in sentences for word in line.split() if 3 <= len(word) <= 10 and word.isalpha()})
    return sorted(set(spelled)) + words


def synthetic_clips(n_clips: int, *, sentences: Sequence[str], names: Sequence[str], seed: int) -> list[Clip]:
    """Domain utterances, single digits and a few plain sentences by voices of many pitches and rates."""
    rng = random.Random(seed)
    clips: list[Clip] = []
    while len(clips) < n_clips:
        kind = rng.random()
        if kind < 0.7:
            text = domain_sentence(rng, names)
        elif kind < 0.86:
            text = rng.choice(DIGITS)
        elif kind < 0.95:
            text = rng.choice(CLOSED_WORDS)
        else:
            row = rng.choice(sentences).split()
            start = rng.randrange(max(1, len(row) - 6))
            text = " ".join(row[start : start + 8])
        clip = _read_aloud(text, text, rng.choice(STARTER_VOICES), rng)
        if clip is not None:
            clips.append(clip)
    return clips


def accented_digits(n_clips: int, *, seed: int) -> list[Clip]:
    """Single digits and short rows of them with the accents of other languages."""
    rng = random.Random(seed)
    clips: list[Clip] = []
    while len(clips) < n_clips:
        language = rng.choice(tuple(ACCENTED_DIGITS))
        spellings = dict(zip(DIGITS, ACCENTED_DIGITS[language].split(), strict=True))
        chosen = rng.choices(DIGITS, k=1 if rng.random() < 0.65 else rng.randint(2, 5))
        voice = replace(rng.choice(STARTER_VOICES), language=language)
        clip = _read_aloud(" ".join(chosen), " ".join(spellings[digit] for digit in chosen), voice, rng)
        if clip is not None:
            clips.append(clip)
    return clips


def _read_aloud(text: str, spelling: str, voice: Voice, rng: random.Random) -> Clip | None:
    """`spelling` by a voice of random pitch and rate, as a clip of `text`; None if nothing usable comes out."""
    changed = replace(voice, pitch=rng.randint(15, 85), rate=rng.randint(115, 230), pitch_range=rng.randint(20, 80))
    try:
        timed = synthesize_timed(spelling, changed)
    except DataError as error:
        if error.reason == "voice":  # a name that espeak-ng lacks: an accent less, and nobody would know
            raise
        return None
    duration_s = timed.samples.size / SAMPLE_RATE
    if not 0.1 < duration_s < WINDOW_S - 0.5:
        return None
    ends = (*timed.words[1:], duration_s)
    words = tuple(zip(timed.words, ends, strict=True)) if len(timed.words) == len(text.split()) else None
    sound = (timed.samples * 32767).astype(np.int16)
    return Clip(sound, text, f"{voice.language}+{voice.variant}", bare_phonemes(text), frame_labels(timed), words)
