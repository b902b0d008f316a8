"""Chooses weights by what the model writes on clips it never trained on, not by the loss of those it did."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import NormalDist, stdev

import mlx.core as mx
from mlx.utils import tree_unflatten

from projectone.server.training.adamw import Tensors
from projectone.server.training.batching import PlannedBatch
from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import Example, ExampleBuilder, padded_mel, stack_mels
from projectone.server.training.features import BatchMaker
from projectone.server.training.interpolation import interpolate
from projectone.server.training.loss import mean_cross_entropy
from projectone.server.training.state import Best, DevScore
from projectone.speech.decoding import DecodingOptions, decode
from projectone.speech.normalize import normalize_text
from projectone.speech.wer import word_errors

_DECODE_BATCH = 16
_Z95 = NormalDist().inv_cdf(0.975)
_SMALLEST_SHARE = 1 / 16  # below it float16 rounds most of the change away


class DevJudge:
    """Decodes held-back clips with given weights, over whole windows, as devices do.

    Args:
        builder: Of the model that the weights are put into.
        held_back: Clips of the people to learn from; at least one.
        general: Clips of general speech, on which the model must not become worse; may be empty.
        config: Language, batch sizes and seed.
    """

    def __init__(
        self,
        builder: ExampleBuilder,
        held_back: Sequence[Example],
        general: Sequence[Example],
        config: TrainingConfig,
    ) -> None:
        self._model = builder.checkpoint.model
        self._checkpoint = builder.checkpoint
        self._held_back = sorted(held_back, key=lambda example: example.clip.samples.size)
        self._general = sorted(general, key=lambda example: example.clip.samples.size)
        self._batches = BatchMaker(builder, self._held_back, config)
        self._language, self._text_language = builder.language, builder.text_language

    def __call__(self, weights: Tensors) -> DevScore:
        """Word error rates of generated text and the loss, with these weights."""
        self._model.update(tree_unflatten(list(weights.items())))
        own, n_words = self._word_errors(self._held_back)
        general, n_general_words = self._word_errors(self._general)
        return DevScore(
            wer=sum(own) / max(1, n_words),
            general_wer=sum(general) / max(1, n_general_words) if self._general else None,
            loss=self._loss(),
            errors=own,
            n_words=n_words,
            general_errors=general,
            n_general_words=n_general_words,
        )

    def _word_errors(self, examples: Sequence[Example]) -> tuple[tuple[int, ...], int]:
        """Wrong words of each example, and words in all of them."""
        found: list[int] = []
        n_words = 0
        for start in range(0, len(examples), _DECODE_BATCH):
            batch = examples[start : start + _DECODE_BATCH]
            n_mels, n_frames = self._checkpoint.dims.n_mels, self._checkpoint.features.n_frames
            mels = stack_mels([padded_mel(e.clip.samples, n_mels=n_mels) for e in batch], n_frames)
            # A model that babbles is wrong after twice the true length; the rest of it need not be heard.
            limit = 2 * max(len(example.text) for example in batch) + 8
            options = DecodingOptions(language=self._language, max_new_tokens=limit)
            for example, result in zip(batch, decode(self._checkpoint, mx.array(mels), options), strict=True):
                said, heard = (
                    normalize_text(text, language=self._text_language) for text in (example.clip.text, result.text)
                )
                counts = word_errors(said, heard)
                found.append(counts.errors)
                n_words += counts.n_reference
        return tuple(found), n_words

    def _loss(self) -> float:
        """Nats per token at short context: cheap, and for people to watch."""
        total, n_tokens = 0.0, 0
        for start in range(0, len(self._held_back), _DECODE_BATCH):
            indices = tuple(range(start, min(start + _DECODE_BATCH, len(self._held_back))))
            batch = self._batches.make(0, PlannedBatch(0, indices, 0), is_varied=False)
            n_here = batch.targets.shape[0]
            total += float(mean_cross_entropy(self._model, batch).item()) * n_here
            n_tokens += n_here
        return total / n_tokens


def cost_since(before: DevScore | None) -> Callable[[DevScore], float]:
    """What a score costs: its error, and in full what general speech lost since `before`, where that was judged."""

    def cost(score: DevScore) -> float:
        lost = 0.0
        if before is not None and score.general_wer is not None and before.general_wer is not None:
            lost = max(0.0, score.general_wer - before.general_wer)
        return score.wer + lost

    return cost


def forgets_at_most(limit: float, before: DevScore) -> Callable[[DevScore], bool]:
    """Whether a score of a run that began with `before` lost at most `limit` (a fraction) of general speech."""

    def is_allowed(score: DevScore) -> bool:
        return (
            score.general_wer is None or before.general_wer is None or score.general_wer - before.general_wer <= limit
        )

    return is_allowed


def latest_unless_worse(before: DevScore | None) -> Callable[[Best, Best], Best]:
    """Prefers the later weights of a run that began with `before`, unless they are worse by more than chance explains.

    A run holds back some thirty clips: a word or two often decide which of its checkpoints has the lowest rate there,
    and that one is then often an early one. The learning rate falls to nothing towards the end, so the last weights
    are the most settled. They are compared with those that cost least so far, not with the weights they follow: many
    small steps down must not add up. The own clips and general speech are asked each for itself: what chance may do to
    the one excuses no loss of the other. Measured in ADR 40.
    """
    cost = cost_since(before)

    def prefer(kept: Best, later: Best) -> Best:
        lowest = min(kept.lowest, later.score, key=cost)
        return replace(kept if is_worse(later.score, lowest) else later, lowest=lowest)

    return prefer


def is_worse(score: DevScore, other: DevScore) -> bool:
    """Whether its own error, or its error on general speech, is higher by more than chance explains."""
    if score.wer - other.wer > by_chance(score.errors, other.errors, score.n_words):
        return True
    if score.general_wer is None or other.general_wer is None:
        return False
    chance = by_chance(score.general_errors, other.general_errors, score.n_general_words)
    return score.general_wer - other.general_wer > chance


def by_chance(first: Sequence[int], second: Sequence[int], n_words: int) -> float:
    """Half the 95 % interval of the difference of two word error rates: one's minus the other's, clip by clip.

    The paired interval of a mean over clips, by its standard error; 0 where there are no clips to compare.

    Args:
        first: Wrong words of each clip.
        second: The same of the same clips.
        n_words: In all of them.
    """
    n = len(first)
    if n < 2 or len(second) != n or not n_words:
        return 0.0
    return _Z95 * stdev(a - b for a, b in zip(first, second, strict=True)) * math.sqrt(n) / n_words


def choose_alpha(
    base: Tensors,
    best: Best,
    judge: Callable[[Tensors], DevScore],
    alphas: Sequence[float],
    *,
    cost: Callable[[DevScore], float],
    on_judged: Callable[[float, DevScore], None],
    is_allowed: Callable[[DevScore], bool] = lambda score: True,
) -> tuple[float, Tensors, DevScore]:
    """How far to go from the base to the fine-tuned weights: the share, its weights and its score.

    Where general speech is watched, the allowed share that costs least, and of equal ones the smallest: what is watched
    is little, and what stays nearer to the base forgets less of what is not. Where none is, there is nothing to weigh
    against what was learned: the largest share that costs no more than the one that costs least by more than chance
    explains (ADR 40). If none of the shares is allowed the smallest is halved until one is; if that does not help
    either, the same is done with those that are not.

    Args:
        base: Weights before training.
        best: The best weights of the run; their score is known.
        judge: Scores weights.
        alphas: Shares to try.
        cost: Of a score; lower is better.
        on_judged: Told of every share and its score.
        is_allowed: What a score must keep, whatever it gains.
    """
    tried: dict[float, DevScore] = {}
    shares = sorted(alphas)
    while shares:
        alpha = shares.pop()
        tried[alpha] = best.score if alpha == 1 else judge(interpolate(base, best.weights, alpha))
        on_judged(alpha, tried[alpha])
        if not shares and not any(map(is_allowed, tried.values())) and alpha / 2 >= _SMALLEST_SHARE:
            shares.append(alpha / 2)
    worth = {alpha: score for alpha, score in tried.items() if is_allowed(score)} or tried
    lowest = min(worth.values(), key=cost)
    if lowest.general_wer is None:
        alpha = max(alpha for alpha, score in worth.items() if not is_worse(score, lowest))
    else:
        alpha = min(alpha for alpha, score in worth.items() if cost(score) == cost(lowest))
    return alpha, interpolate(base, best.weights, alpha), worth[alpha]
