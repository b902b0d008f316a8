"""Real words in new order: recordings are cut at their words and put together again, speaker by speaker."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from projectone.speech.audio import log_mel
from starter.data import SAMPLE_RATE, SYMBOLS, Clip, bare_phonemes
from starter.model import Student
from starter.text import DIGITS

STEP = 320  # samples between two encoder outputs
_FADE = 80


@dataclass(frozen=True)
class Word:
    """One spoken word, cut from a recording."""

    sound: npt.NDArray[np.int16]
    text: str
    labels: npt.NDArray[np.int16]


def align(
    scores: npt.NDArray[np.float32], words: Sequence[Sequence[int]]
) -> tuple[npt.NDArray[np.int16], list[tuple[int, int]]]:
    """What sounds at each step, and where each word lies.

    Args:
        scores: Log-probabilities of silence (0) and the phonemes, (steps, symbols).
        words: The phonemes of each word. Silence may come before, between and after words.

    Returns:
        The symbol of every step, and for each word its first step and the one after its last.

    Raises:
        ValueError: if there are fewer steps than phonemes.
    """
    states, owners = [0], [-1]
    for index, word in enumerate(words):
        states += [*word, 0]
        owners += [index] * len(word) + [-1]
    if len(scores) < sum(len(word) for word in words) + 2:
        raise ValueError(f"expected at least a step for each phoneme, got {len(scores)} steps")
    symbols = np.array(states)
    may_skip = np.zeros(len(states), dtype=bool)  # from the last phoneme of a word to the first of the next
    may_skip[2:] = (symbols[2:] != 0) & (symbols[1:-1] == 0)
    best = np.full(len(states), -np.inf)
    best[:2] = scores[0, symbols[:2]]
    came_from = np.zeros((len(scores), len(states)), dtype=np.int64)
    for step in range(1, len(scores)):
        one = np.concatenate([[-np.inf], best[:-1]])
        two = np.where(may_skip, np.concatenate([[-np.inf, -np.inf], best[:-2]]), -np.inf)
        options = np.stack([best, one, two])
        came_from[step] = options.argmax(axis=0)
        best = options.max(axis=0) + scores[step, symbols]
    state = int(len(states) - 1 if best[-1] > best[-2] else len(states) - 2)
    path = [state]
    for step in range(len(scores) - 1, 0, -1):
        state -= int(came_from[step, state])
        path.append(state)
    forward = np.array(path[::-1])
    owner_at = np.array(owners)[forward]
    places = [np.flatnonzero(owner_at == index) for index in range(len(words))]
    return symbols[forward].astype(np.int16), [(int(steps[0]), int(steps[-1]) + 1) for steps in places]


def _by_ear(sound: npt.NDArray[np.int16], scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scores whose silence follows the loudness instead.

    The connectionist loss makes a student name a phoneme at one step and call the rest of it silence; so silence is
    judged by the level, and the phonemes share the loud steps among themselves.
    """
    level = np.abs(sound[: len(scores) * STEP].astype(np.float32)).reshape(-1, STEP).max(axis=1)
    is_quiet = level < 0.04 * np.percentile(level, 98)
    judged = scores - np.logaddexp.reduce(scores[:, 1:], axis=1, keepdims=True)
    judged = np.maximum(judged, -8.0)
    judged[:, 0] = np.where(is_quiet, 0.0, -6.0)
    # In a quiet step a phoneme may still go on, as the closure of a stop does.
    judged[is_quiet, 1:] -= 1.0
    return judged.astype(np.float32)


@torch.no_grad()
def align_clips(student: Student, clips: Sequence[Clip]) -> list[Clip]:
    """The clips with the labels and word times that the student hears; those it cannot align stay as they are."""
    student.eval()
    aligned = []
    known: dict[str, list[int]] = {}
    for clip in clips:
        for text in clip.text.split():
            known.setdefault(text, [SYMBOLS[symbol] for symbol in bare_phonemes(text) if symbol in SYMBOLS])
        whole = np.pad(clip.sound, (0, -clip.sound.size % STEP))
        mel = log_mel(whole.astype(np.float32) / 32768.0)
        _, middle = student.model.encoder(torch.from_numpy(mel)[None])
        scores = torch.log_softmax(student.phoneme_head(middle)[0], dim=-1).numpy()
        try:
            symbols, spans = align(_by_ear(whole, scores), [known[text] for text in clip.text.split()])
        except (ValueError, IndexError):
            aligned.append(clip)  # spoken too fast for its phonemes
            continue
        words = tuple((start * STEP / SAMPLE_RATE, end * STEP / SAMPLE_RATE) for start, end in spans)
        aligned.append(replace(clip, labels=np.repeat(symbols, 2)[: -(-clip.sound.size // 160)], words=words))
    student.train()
    return aligned


def cut_words(clips: Sequence[Clip], *, only: Collection[str] | None = None) -> dict[str, list[Word]]:
    """The words of each speaker, from aligned clips; all of them, or `only` some."""
    found: dict[str, list[Word]] = defaultdict(list)
    for clip in clips:
        if clip.words is None or clip.labels is None:
            continue
        for text, (start_s, end_s) in zip(clip.text.split(), clip.words, strict=True):
            if only is not None and text not in only:
                continue
            # 10 ms more on either side, in whole labels.
            first, last = max(0, round(100 * start_s) - 1), min(clip.labels.size, round(100 * end_s) + 1)
            name = bare_phonemes(text)
            if last - first >= max(15, 5 * len(name)):
                found[clip.speaker].append(Word(clip.sound[first * 160 : last * 160], text, clip.labels[first:last]))
    return dict(found)


def _joined(words: Sequence[Word], speaker: str, rng: random.Random) -> Clip:
    sounds: list[npt.NDArray[np.float32]] = []
    labels: list[npt.NDArray[np.int16]] = []
    times: list[tuple[float, float]] = []
    ramp = np.linspace(0, 1, _FADE, dtype=np.float32)
    n_labels = 0
    for word in words:
        sound = np.pad(word.sound.astype(np.float32), (0, word.labels.size * 160 - word.sound.size))
        sound[:_FADE] *= ramp
        sound[-_FADE:] *= ramp[::-1]
        gap = rng.randint(0, 12) if rng.random() < 0.7 else 0
        sounds.append(np.pad(sound, (0, gap * 160)))
        labels.append(np.pad(word.labels, (0, gap)))
        times.append((n_labels / 100, (n_labels + word.labels.size) / 100))
        n_labels += word.labels.size + gap
    text = " ".join(word.text for word in words)
    return Clip(np.concatenate(sounds).astype(np.int16), text, speaker, "", np.concatenate(labels), tuple(times))


def spliced_clips(words: Mapping[str, Sequence[Word]], n_clips: int, *, seed: int) -> list[Clip]:
    """New utterances of real words: single ones, digits more often, and short rows by one speaker."""
    rng = random.Random(seed)
    speakers = sorted(words)
    clips = []
    for _ in range(n_clips):
        speaker = rng.choice(speakers)
        known = words[speaker]
        digits = [word for word in known if word.text in DIGITS]
        kind = rng.random()
        if kind < 0.55 and digits:
            # Each digit as often as any other, however often the speaker said it.
            text = rng.choice(sorted({word.text for word in digits}))
            chosen = [rng.choice([word for word in digits if word.text == text])]
        elif kind < 0.6:
            chosen = [rng.choice(known)]
        elif kind < 0.72 and digits:
            chosen = rng.choices(digits, k=rng.randint(2, 6))
        else:
            chosen = rng.choices(known, k=rng.randint(2, 7))
        clips.append(_joined(chosen, speaker, rng))
    return clips
