"""What watches the second stage: it must not cost words, lengthen texts, or write into silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlx.utils import tree_unflatten

from projectone.server.training.adamw import Tensors
from projectone.server.training.config import SequenceLoss
from projectone.server.training.examples import Example, ExampleBuilder
from projectone.server.training.negatives import negative_clips
from projectone.server.training.state import DevScore
from projectone.speech.normalize import normalize_text
from projectone.speech.transcribe import GREEDY, TranscribeOptions, transcribe_many

N_NEGATIVES = 32
# A text may grow by this share of the reference's words before it counts as lengthened, and a clip without speech may
# get this many more words: one more in 32 clips is chance.
_LENGTH_SLACK = 0.02
_SILENCE_SLACK = 1 / N_NEGATIVES
_NEGATIVES_SEED = 2**33  # beyond every run's own: these clips are never learned from


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How weights did on the clips that were held back, and on clips in which nobody speaks.

    Attributes:
        wer: Word error rate on the held-back clips.
        general_wer: The same on general speech; None if there is none to watch.
        length_ratio: Words written for the held-back clips over words of their references.
        silence_words: Words written for a clip without speech, on average.
    """

    wer: float
    general_wer: float | None
    length_ratio: float
    silence_words: float


@dataclass(frozen=True, kw_only=True)
class SequenceOutcome:
    """What the second stage came to.

    Attributes:
        loss: Which one was minimised.
        is_kept: Whether its weights were taken; if not, those of cross-entropy were.
        reason: Why.
        n_steps: That were taken.
        best_step: Of the stage, whose weights were judged best; None if it never came so far.
        before: Cross-entropy's weights; None if nothing could be measured.
        after: The stage's best weights; None if it never came so far.
    """

    loss: SequenceLoss
    is_kept: bool
    reason: str
    n_steps: int = 0
    best_step: int | None = None
    before: Measured | None = None
    after: Measured | None = None

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> SequenceOutcome:
        """The inverse of `dataclasses.asdict`."""
        measured = {name: plain[name] and Measured(**plain[name]) for name in ("before", "after")}
        return cls(**{**plain, **measured})


class SequenceGuard:
    """Transcribes as devices do, with given weights.

    Args:
        builder: Of the model that the weights are put into.
        held_back: Clips of the people to learn from; at least one.
        model_weights: What is trained to weights of the model.
    """

    def __init__(
        self,
        builder: ExampleBuilder,
        held_back: Sequence[Example],
        model_weights: Callable[[Tensors], Tensors],
        *,
        seed: int,
    ) -> None:
        self._checkpoint, self._language = builder.checkpoint, builder.language
        self._text_language = builder.text_language
        self._model_weights = model_weights
        self._spoken = [example.clip for example in held_back]
        self._silent = negative_clips(
            N_NEGATIVES, [clip.samples for clip in self._spoken], window_s=builder.window_s, seed=_NEGATIVES_SEED + seed
        )

    def __call__(self, trained: Tensors, score: DevScore) -> Measured:
        """What weights with this score on the held-back clips write there, and where nobody speaks."""
        self._checkpoint.model.update(tree_unflatten(list(self._model_weights(trained).items())))
        n_there = sum(self._length(clip.text) for clip in self._spoken)
        return Measured(
            wer=score.wer,
            general_wer=score.general_wer,
            length_ratio=self._n_words([clip.samples for clip in self._spoken]) / max(1, n_there),
            silence_words=self._n_words([clip.samples for clip in self._silent]) / len(self._silent),
        )

    def _n_words(self, clips: Sequence[Any]) -> int:
        options = TranscribeOptions(temperatures=GREEDY.temperatures, language=self._language)
        heard = transcribe_many(self._checkpoint, clips, options=options)
        return sum(self._length(said.text) for said in heard)

    def _length(self, text: str) -> int:
        return len(normalize_text(text, language=self._text_language).split())


def reasons_against(before: Measured, after: Measured, *, max_forgetting: float, by_chance: float) -> list[str]:
    """Why weights that were `before` should not become `after`; nothing if they may.

    Args:
        before: Of cross-entropy.
        after: Of the second stage.
        max_forgetting: What may be lost on general speech (a fraction of its words).
        by_chance: What chance explains of a loss on the held-back clips (a fraction of their words): the checkpoint
            was kept by the same measure.
    """
    reasons: list[str] = []
    if after.wer > before.wer + by_chance:
        reasons.append(f"held-back clips: {after.wer:.2%} wrong words, {before.wer:.2%} before")
    general, was = after.general_wer, before.general_wer
    if general is not None and was is not None and general > was + max_forgetting:
        reasons.append(f"general speech: {general:.2%} wrong words, {was:.2%} before")
    if after.length_ratio > max(1.0, before.length_ratio) + _LENGTH_SLACK:
        reasons.append(f"longer texts: {after.length_ratio:.2f} of the true length, {before.length_ratio:.2f} before")
    if after.silence_words > before.silence_words + _SILENCE_SLACK:
        reasons.append(
            f"words where nobody speaks: {after.silence_words:.2f} a clip, {before.silence_words:.2f} before"
        )
    return reasons
