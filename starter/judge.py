"""How well the student does on speakers it never heard: plain greedy decoding over the full window."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from starter.data import Clip
from starter.examples import full_window_mel
from starter.model import Student
from starter.vocabulary import Vocabulary


@dataclass(frozen=True)
class Score:
    """Word errors over a set of clips: `n_errors` of `n_words`, in all and by speaker."""

    n_errors: int
    n_words: int
    by_speaker: dict[str, tuple[int, int]]

    @property
    def wer(self) -> float:
        """Word error rate as a fraction."""
        return self.n_errors / max(1, self.n_words)


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Fewest words to change, add or drop (Levenshtein)."""
    row = list(range(len(hypothesis) + 1))
    for index, word in enumerate(reference, start=1):
        diagonal, row[0] = row[0], index
        for column, other in enumerate(hypothesis, start=1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
    return row[-1]


@torch.no_grad()
def greedy(student: Student, vocabulary: Vocabulary, clips: Sequence[Clip], *, n_most: int = 60) -> list[str]:
    """The text of each clip, decoded greedily without timestamps."""
    mel = np.stack([full_window_mel(clip.sound.astype(np.float32) / 32768.0) for clip in clips])
    features, _ = student.model.encoder(torch.from_numpy(mel))
    names = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
    end = vocabulary.id_of("<|endoftext|>")
    prefix = [vocabulary.id_of(name) for name in names]
    tokens = torch.tensor([prefix] * len(clips))
    is_done = torch.zeros(len(clips), dtype=torch.bool)
    for _ in range(n_most):
        scores = student.model.decoder(tokens, features)[:, -1]
        scores[:, end + 1 :] = -torch.inf
        chosen = scores.argmax(-1).masked_fill(is_done, end)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
        is_done |= chosen == end
        if bool(is_done.all()):
            break
    return [vocabulary.decode(row[len(prefix) :]) for row in tokens.tolist()]


def judge(student: Student, vocabulary: Vocabulary, clips: Sequence[Clip], *, batch_size: int = 32) -> Score:
    """Word errors of greedy decoding."""
    student.eval()
    by_speaker: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    ordered = sorted(clips, key=lambda clip: clip.sound.size)
    for start in range(0, len(ordered), batch_size):
        chosen = ordered[start : start + batch_size]
        for clip, text in zip(chosen, greedy(student, vocabulary, chosen), strict=True):
            reference = clip.text.split()
            errors, words = by_speaker[clip.speaker]
            by_speaker[clip.speaker] = (errors + word_errors(reference, text.split()), words + len(reference))
    student.train()
    totals = [sum(column) for column in zip(*by_speaker.values(), strict=True)]
    return Score(totals[0], totals[1], dict(by_speaker))
