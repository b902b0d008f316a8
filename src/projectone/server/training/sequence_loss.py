"""The second stage's losses: minimum word error rate, or GRPO, on hypotheses that the model wrote itself.

Cross-entropy teaches the next token after a right beginning; what is counted is wrong words after the model's own. Both
losses here make hypotheses with few wrong words likelier, and those with many less likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.server.training.loss import Batch, Target, collate_targets, decoder_cross_entropy
from projectone.speech import ops
from projectone.speech.whisper import Whisper

Floats = npt.NDArray[np.float32]

_IMPOSSIBLE = -1e9  # finite: minus infinity times a share of zero is not a number
_NO_SPREAD = 1e-6


@dataclass(frozen=True)
class Hypothesis:
    """One text for one clip of a batch.

    Attributes:
        clip: Which one.
        tokens: After the opening ones; the last is end-of-text unless the text was cut off.
        errors: Its wrong words.
        n_words: Words that it has.
        logprob: Of the tokens together when they were drawn, nats at temperature 1; None if they were not drawn.
    """

    clip: int
    tokens: tuple[int, ...]
    errors: int
    n_words: int
    logprob: float | None = None


@dataclass(frozen=True)
class Rollout:
    """Hypotheses for the clips of a batch as arrays; a row is a hypothesis, and every clip has at least one.

    Attributes:
        tokens: Decoder input, (rows, tokens), right-padded with anything.
        clips: Of each row, (rows,).
        rows: Of each target, (targets,), as in `Batch`.
        columns: Of each target, (targets,).
        targets: (targets,).
        errors: Wrong words of each row, (rows,).
        n_words: Words of the reference of each clip, (clips,).
        forbidden: What is added to every score: 0, or a large negative number for tokens that are never written,
            (vocab,).
        temperature: At which the rows were drawn.
    """

    tokens: mx.array
    clips: mx.array
    rows: mx.array
    columns: mx.array
    targets: mx.array
    errors: mx.array
    n_words: mx.array
    forbidden: mx.array
    temperature: float


@dataclass(frozen=True)
class SequenceBatch:
    """What one step of the second stage sees.

    Attributes:
        lesson: The clips, and what cross-entropy would learn from them.
        rollout: What the model wrote for them.
        start_logprobs: Of the rollout's targets, (targets,), by the model that the stage began with; None if it is not
            held to it.
        audio_s: As the lesson's.
    """

    lesson: Batch
    rollout: Rollout
    start_logprobs: mx.array | None = None

    @property
    def audio_s(self) -> float:
        """Seconds of real audio."""
        return self.lesson.audio_s


def collate_hypotheses(
    hypotheses: Sequence[Hypothesis],
    *,
    prefix: Sequence[int],
    n_words: Sequence[int],
    forbidden: Floats,
    pad: int,
    temperature: float,
) -> Rollout:
    """Hypotheses to arrays.

    Args:
        hypotheses: At least one for every clip.
        prefix: Opening tokens, the same for all.
        n_words: Words of the reference of each clip.
        forbidden: 1 for tokens that are never written, else 0; (vocab,).
        pad: Token to fill rows with.
        temperature: At which they were drawn.
    """
    targets = [Target((*prefix, *hypothesis.tokens), len(prefix)) for hypothesis in hypotheses]
    tokens, rows, columns, wanted = collate_targets(targets, pad=pad)
    return Rollout(
        tokens=mx.array(tokens),
        clips=mx.array(np.array([hypothesis.clip for hypothesis in hypotheses], np.int32)),
        rows=mx.array(rows),
        columns=mx.array(columns),
        targets=mx.array(wanted),
        errors=mx.array(np.array([hypothesis.errors for hypothesis in hypotheses], np.float32)),
        n_words=mx.array(np.array(n_words, np.float32)),
        forbidden=mx.array(forbidden * np.float32(_IMPOSSIBLE)),
        temperature=temperature,
    )


def token_logprobs(model: Whisper, features: mx.array, rollout: Rollout, *, temperature: float = 1.0) -> mx.array:
    """Log probability (nats, float32) of every target of a rollout, (targets,), under the rules of its sampling.

    Args:
        model: Whose decoder is asked.
        features: (clips, positions, state) of the encoder; each clip's are used for all of its hypotheses.
        rollout: The hypotheses.
        temperature: 1 asks for the model's own distribution, the rollout's for the one that was sampled from.
    """
    hidden, _, _ = model.decoder.hidden_states(rollout.tokens, features[rollout.clips])
    at_targets = hidden[rollout.rows, rollout.columns]  # (targets, state)
    scores = model.decoder.token_embedding.as_linear(at_targets).astype(mx.float32)
    scores = (scores + rollout.forbidden) * (1 / temperature)
    return -ops.cross_entropy(scores, rollout.targets)


def minimum_word_error(logprobs: mx.array, rollout: Rollout) -> mx.array:
    """Expected wrong words of the batch over its words, less those of hypotheses that are all equally likely.

    The probabilities of a clip's hypotheses are renormalised over these alone. The mean that is taken off changes no
    gradient (shares sum to one); it lets the value say how much better than even odds the model already chooses.

    Args:
        logprobs: Of every target at temperature 1, (targets,).
        rollout: Hypotheses; those of one clip differ from each other.

    Source: Prabhavalkar et al., 2018, "Minimum word error rate training for attention-based sequence-to-sequence
    models", equation 9.
    """
    n_rows, n_clips = rollout.clips.size, rollout.n_words.size
    is_of_row = mx.arange(n_rows)[:, None] == rollout.rows[None]  # (rows, targets)
    texts = (is_of_row * logprobs[None]).sum(axis=1)
    is_of_clip = mx.arange(n_clips)[:, None] == rollout.clips[None]  # (clips, rows)
    shares = mx.softmax(mx.where(is_of_clip, texts[None], _IMPOSSIBLE), axis=1) * is_of_clip
    means = (is_of_clip * rollout.errors).sum(axis=1) / is_of_clip.sum(axis=1)
    expected = (shares * (rollout.errors[None] - means[:, None])).sum()
    return expected / mx.maximum(rollout.n_words.sum(), 1.0)


def group_advantages(errors: Floats, clips: npt.NDArray[np.int32], n_words: Floats) -> Floats:
    """How much better each hypothesis is than the others of its clip, in standard deviations, (rows,).

    The reward is the negative word error rate. Where all are equally good or bad there is nothing to learn.

    Source: Shao et al., 2024, "DeepSeekMath", section 4.1 (group relative policy optimisation).
    """
    rewards = -errors / np.maximum(1, n_words[clips])
    advantages = np.zeros(rewards.shape, np.float32)
    for clip in range(n_words.size):
        own = clips == clip
        spread = float(rewards[own].std())
        if spread > _NO_SPREAD:
            advantages[own] = (rewards[own] - rewards[own].mean()) / spread
    return advantages


def group_relative_policy(
    logprobs: mx.array, rollout: Rollout, *, start_logprobs: mx.array | None, kl: float
) -> mx.array:
    """GRPO on hypotheses that these very weights wrote: one update for each rollout, so no ratio is ever clipped.

    Every token counts the same. Dividing by the length of each hypothesis, as GRPO first did, punishes a long wrong
    one less for every token that it adds: it must not lengthen outputs (Liu et al., 2025, "Understanding
    R1-Zero-like training").

    Args:
        logprobs: Of every target at the temperature of the sampling, (targets,).
        rollout: Hypotheses as they were drawn, equal ones as often as they came.
        start_logprobs: The same by the model that the stage began with; None if `kl` is 0.
        kl: Weight of the divergence from that model, by the estimator that is unbiased and never negative:
            ``r - 1 - log r`` with the ratio r of start to now (Schulman, 2020, "Approximating KL divergence": k3).
    """
    advantages = mx.array(
        group_advantages(np.array(rollout.errors), np.array(rollout.clips), np.array(rollout.n_words))
    )
    ratio = mx.exp(logprobs - mx.stop_gradient(logprobs))  # 1; its gradient is that of the log probability
    loss = -(ratio * advantages[rollout.rows]).mean()
    if start_logprobs is None:
        return loss
    apart = start_logprobs - logprobs
    return loss + kl * (mx.exp(apart) - apart - 1).mean()


def with_cross_entropy(loss: mx.array, model: Whisper, features: mx.array, lesson: Batch, weight: float) -> mx.array:
    """The loss and a share of cross-entropy on the same clips: it keeps timestamps, prompts and spelling in mind."""
    return loss + weight * decoder_cross_entropy(model, features, lesson) if weight else loss
