"""Chooses weights by what the model writes on clips it never trained on, not by the loss of those it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        self._language = builder.language

    def __call__(self, weights: Tensors) -> DevScore:
        """Word error rates of generated text and the loss, with these weights."""
        self._model.update(tree_unflatten(list(weights.items())))
        return DevScore(
            wer=self._word_error_rate(self._held_back),
            general_wer=self._word_error_rate(self._general) if self._general else None,
            loss=self._loss(),
        )

    def _word_error_rate(self, examples: Sequence[Example]) -> float:
        n_errors, n_words = 0, 0
        for start in range(0, len(examples), _DECODE_BATCH):
            batch = examples[start : start + _DECODE_BATCH]
            n_mels, n_frames = self._checkpoint.dims.n_mels, self._checkpoint.features.n_frames
            mels = stack_mels([padded_mel(e.clip.samples, n_mels=n_mels) for e in batch], n_frames)
            # A model that babbles is wrong after twice the true length; the rest of it need not be heard.
            limit = 2 * max(len(example.text) for example in batch) + 8
            options = DecodingOptions(language=self._language, max_new_tokens=limit)
            for example, result in zip(batch, decode(self._checkpoint, mx.array(mels), options), strict=True):
                counts = word_errors(normalize_text(example.clip.text), normalize_text(result.text))
                n_errors += counts.errors
                n_words += counts.n_reference
        return n_errors / max(1, n_words)

    def _loss(self) -> float:
        """Nats per token at short context: cheap, and it only decides ties."""
        total, n_tokens = 0.0, 0
        for start in range(0, len(self._held_back), _DECODE_BATCH):
            indices = tuple(range(start, min(start + _DECODE_BATCH, len(self._held_back))))
            batch = self._batches.make(0, PlannedBatch(0, indices, 0), is_varied=False)
            n_here = batch.targets.shape[0]
            total += float(mean_cross_entropy(self._model, batch).item()) * n_here
            n_tokens += n_here
        return total / n_tokens


def cost_since(before: DevScore) -> Callable[[DevScore], float]:
    """What a score costs in a run that began with `before`: its error, and in full what general speech lost."""

    def cost(score: DevScore) -> float:
        lost = 0.0
        if score.general_wer is not None and before.general_wer is not None:
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


def better_than(before: DevScore) -> Callable[[DevScore, DevScore], bool]:
    """Compares two scores of a run that began with `before`: by cost, and where that is equal by loss."""
    cost = cost_since(before)
    return lambda first, second: (cost(first), first.loss) < (cost(second), second.loss)


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
    """The allowed share of the fine-tuned weights that costs least on the held-back clips, its weights and its score.

    Of shares that cost the same the smallest is taken: held-back clips are few and from the same people, and what
    stays nearer to the base forgets less and does better on people it has never heard. If none of the shares is
    allowed the smallest is halved until one is; if that does not help either, the one that costs least is taken.

    Args:
        base: Weights before training.
        best: The best weights of the run; their score is known.
        judge: Scores weights.
        alphas: Shares to try.
        cost: Of a score; lower is better.
        on_judged: Told of every share and its score.
        is_allowed: What a score must keep, whatever it gains.
    """
    chosen: tuple[float, Tensors, DevScore] | None = None
    shares = sorted(alphas)
    while shares:
        alpha = shares.pop()
        weights = interpolate(base, best.weights, alpha)
        score = best.score if alpha == 1 else judge(weights)
        on_judged(alpha, score)
        if chosen is None or _rank(score, cost, is_allowed) <= _rank(chosen[2], cost, is_allowed):
            chosen = (alpha, weights, score)
        if not shares and not is_allowed(chosen[2]) and alpha / 2 >= _SMALLEST_SHARE:
            shares.append(alpha / 2)
    assert chosen is not None
    return chosen


def _rank(
    score: DevScore, cost: Callable[[DevScore], float], is_allowed: Callable[[DevScore], bool]
) -> tuple[bool, float]:
    return not is_allowed(score), cost(score)
