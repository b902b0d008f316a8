"""Recordings of people in which it is known where words are, or which were heard wrong, and figures about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from projectone.server.sandbox.decode import AudioDecoder
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.normalize import normalize_text
from projectone.speech.timing import WordTiming
from projectone.speech.transcribe import TranscribeOptions, transcribe_many
from projectone.speech.wer import align
from projectone.waveform.resample import to_16k_mono

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000
NEVER_HEARD = frozenset({"fbbh", "mcen", "mgah", "mrcb", "fjam", "fplp", "mdxs", "mjjs2", "mmap", "mtje"})
"""The speakers of AN4 whom the starter never heard."""

_OPTIONS = TranscribeOptions(language="en", words=True)
_HISS = 1e-4


class Corpus:
    """The folder of real speech."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def rows(self, name: str) -> list[dict[str, Any]]:
        """A corpus, row by row."""
        return [json.loads(line) for line in (self._folder / name / "manifest.jsonl").read_text().splitlines()]

    def sounds(self, name: str, rows: list[dict[str, Any]]) -> list[Samples]:
        """What some rows sound like."""
        with AudioDecoder() as decoder:
            return [
                to_16k_mono(*decoder.decode((self._folder / name / row["audio"]).read_bytes(), suffix=".flac"))
                for row in rows
            ]


def join_figures(checkpoint: WhisperCheckpoint, corpus: Corpus, *, n_clips: int) -> dict[str, float]:
    """Digits joined with gaps of 30 to 200 ms: how far begins and ends are from where they were put.

    Only where the text is right: where a word is missing, there is nothing to compare.
    """
    random = np.random.default_rng(0)
    rows = corpus.rows("fsdd")
    speakers = sorted({row["speaker"] for row in rows})
    clips, truths = [], []
    for index in range(n_clips):
        own = [row for row in rows if row["speaker"] == speakers[index % len(speakers)]]
        chosen = [own[i] for i in random.choice(len(own), int(random.integers(3, 7)), replace=False)]
        clip, truth = _joined(corpus.sounds("fsdd", chosen), [row["text"] for row in chosen], random)
        clips.append(clip)
        truths.append(truth)
    starts, ends, n_right = [], [], 0
    for words, truth in zip(_words_of(checkpoint, clips), truths, strict=True):
        if [word.text for word in words] == [text for text, _, _ in truth]:
            n_right += 1
            starts += [abs(word.start_s - start_s) for word, (_, start_s, _) in zip(words, truth, strict=True)]
            ends += [abs(word.end_s - end_s) for word, (_, _, end_s) in zip(words, truth, strict=True)]
    return {
        "clips with the right text": n_right,
        "words": len(starts),
        **{f"{name} off, {what}": _rounded(np.percentile(values, share))
           for name, values in (("begins", starts), ("ends", ends))
           for what, share in (("half within (s)", 50), ("9 of 10 within (s)", 90))},
    }  # fmt: skip


def side_figures(checkpoint: WhisperCheckpoint, corpus: Corpus, *, n_clips: int) -> dict[str, float]:
    """Two recordings of a person with 0.3 to 0.8 s of silence between: which right words are on their side of it."""
    random = np.random.default_rng(1)
    rows = [row for row in corpus.rows("an4") if row["speaker"] in NEVER_HEARD and row["duration_s"] < 4.5]
    pairs = [pair for pair in zip(rows[::2], rows[1::2], strict=False) if pair[0]["speaker"] == pair[1]["speaker"]][
        :n_clips
    ]
    clips, middles = [], []
    for pair in pairs:
        first, second = corpus.sounds("an4", list(pair))
        gap = np.zeros(int(RATE_HZ * random.uniform(0.3, 0.8)), np.float32)
        middles.append((len(first) + len(gap) / 2) / RATE_HZ)
        clips.append(_with_hiss(np.concatenate([first, gap, second]), random))
    n_words = n_on_side = 0
    for words, pair, middle_s in zip(_words_of(checkpoint, clips), pairs, middles, strict=True):
        texts = [normalize_text(row["text"]).split() for row in pair]
        at_reference = at_word = 0
        for edit in align([*texts[0], *texts[1]], [word.text for word in words]):
            if edit.kind == "equal":
                word = words[at_word]
                n_words += 1
                n_on_side += ((word.start_s + word.end_s) / 2 < middle_s) == (at_reference < len(texts[0]))
            at_reference += edit.kind != "insert"
            at_word += edit.kind != "delete"
    return {"words heard right": n_words, "on their side of the silence": _rounded(n_on_side / max(1, n_words))}


def doubt_figures(checkpoint: WhisperCheckpoint, corpus: Corpus, *, n_clips: int) -> dict[str, Any]:
    """People never heard: how well the probability of a word tells the wrong ones, and what each threshold marks."""
    rows = [row for row in corpus.rows("an4") if row["speaker"] in NEVER_HEARD]
    rows = rows[:: max(1, len(rows) // n_clips)]
    probabilities, wrong = judged_words(checkpoint, corpus.sounds("an4", rows), [row["text"] for row in rows])
    figures: dict[str, Any] = {
        "words": len(wrong),
        "wrong": int(wrong.sum()),
        "area under the ROC curve": _rounded(area_under_curve(1 - probabilities[wrong], 1 - probabilities[~wrong])),
    }
    for threshold in (0.4, 0.5, 0.6, 0.7, 0.8):
        is_marked = probabilities < threshold
        figures[f"below {threshold}"] = {
            "marked": _rounded(is_marked.mean()),
            "of the wrong ones": _rounded(is_marked[wrong].mean()),
            "of the marked ones wrong": _rounded(wrong[is_marked].mean() if is_marked.any() else 0.0),
        }
    return figures


def judged_words(
    checkpoint: WhisperCheckpoint, clips: list[Samples], texts: list[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Of every word that was written, its probability and whether it is wrong."""
    probabilities, wrong = [], []
    for words, text in zip(_words_of(checkpoint, clips), texts, strict=True):
        edits = align(normalize_text(text).split(), [word.text for word in words])
        probabilities += [word.probability for word in words]
        wrong += [edit.kind != "equal" for edit in edits if edit.kind != "delete"]
    return np.array(probabilities), np.array(wrong, bool)


def area_under_curve(of_wrong: npt.NDArray[np.float64], of_right: npt.NDArray[np.float64]) -> float:
    """How often the doubt about a wrong word is greater than that about a right one; a tie is half."""
    apart = of_wrong[:, None] - of_right[None, :]
    return float((apart > 0).mean() + 0.5 * (apart == 0).mean())


def _words_of(checkpoint: WhisperCheckpoint, clips: list[Samples]) -> list[list[WordTiming]]:
    heard = transcribe_many(checkpoint, clips, options=_OPTIONS)
    return [[word for segment in item.segments for word in segment.words] for item in heard]


def _joined(
    sounds: list[Samples], texts: list[str], random: np.random.Generator
) -> tuple[Samples, list[tuple[str, float, float]]]:
    parts: list[Samples] = []
    truth = []
    at = 0
    for sound, text in zip(sounds, texts, strict=True):
        gap = np.zeros(int(RATE_HZ * random.uniform(0.03, 0.2)), np.float32)
        begin = at + len(gap)
        at = begin + len(sound)
        truth.append((text, begin / RATE_HZ, at / RATE_HZ))
        parts += [gap, 0.3 * sound / np.abs(sound).max()]
    return _with_hiss(np.concatenate([*parts, np.zeros(RATE_HZ // 4, np.float32)]), random), truth


def _with_hiss(clip: Samples, random: np.random.Generator) -> Samples:
    return (clip + _HISS * random.standard_normal(clip.size)).astype(np.float32)


def _rounded(value: float) -> float:
    return round(float(value), 3)
