"""The loop: steps, checkpoints, judgements, returns after bad numbers. Everything it uses is handed in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import mlx.core as mx

from projectone.errors import TrainingError
from projectone.server.training.adamw import Tensors, learning_rate_at
from projectone.server.training.config import TrainingConfig
from projectone.server.training.loss import Batch
from projectone.server.training.state import Best, DevScore, TrainingState

# After a return the rate is halved: the same steps at the same rate would end in the same place.
_RATE_AFTER_RETURN = 0.5
# Returns happen for single bad steps; a loss that leaves this range is no longer learning anything.
_LOSS_LIMIT_NATS = 1e4


Update = Callable[
    [Tensors, Tensors, tuple[Tensors, Tensors], float, int], tuple[Tensors, tuple[Tensors, Tensors], mx.array]
]


@dataclass(frozen=True)
class StepReport:
    """One step, after it was taken."""

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    audio_s: float
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class LoopParts:
    """What the loop is made of.

    Attributes:
        loss_and_gradients: Weights, batch and number of the step to the mean loss and gradients by name.
        update: Weights, gradients, moments, learning rate and steps done before to the new weights, the new moments and
            the length of the gradients. These three may be arrays of any library: the loop passes them on.
        batch_of: The batch of a step, by its number.
        judge: Decodes the held-back clips with some weights; None if nothing was held back.
        prefer: Of the weights to keep so far and those just judged, which to keep from now on.
        save: Makes a state durable.
        pause: The same for a state at which the run was stopped: one that `load` never gives.
        load: Gives the last state that was saved.
        clock: Seconds, monotonic.
        on_step: Told of every step.
        on_judged: Told of every judgement: step and score.
        on_rollback: Told of every return: the step that failed, the step it goes on from, and why.
    """

    loss_and_gradients: Callable[[Tensors, Batch, int], tuple[mx.array, Tensors]]
    update: Update
    batch_of: Callable[[int], Batch]
    judge: Callable[[Tensors], DevScore] | None
    prefer: Callable[[Best, Best], Best]
    save: Callable[[TrainingState], None]
    pause: Callable[[TrainingState], None]
    load: Callable[[], TrainingState]
    clock: Callable[[], float]
    on_step: Callable[[StepReport], None]
    on_judged: Callable[[int, DevScore], None]
    on_rollback: Callable[[int, int, str], None]


def train(
    state: TrainingState, parts: LoopParts, config: TrainingConfig, *, n_steps: int, rate: float
) -> TrainingState:
    """Take the steps that are left; gives the state after the last one.

    Args:
        state: Where to begin: fresh, or as loaded. It must be durable already.
        parts: Loss, batches, disk, clock and listeners.
        config: Clipping, decay, warm-up and intervals.
        n_steps: Of the whole run.
        rate: Highest learning rate.

    Raises:
        TrainingError: if the numbers stop being finite more often than `max_rollbacks` allows.
        KeyboardInterrupt: after the steps taken so far were saved.
    """
    judged = evaluation_steps(n_steps, config.evaluate_times) if parts.judge else set()
    settled = state  # the last state of which all is known: a step that is still to be judged is not
    try:
        while state.step < n_steps:
            begun = parts.clock()
            taken, report, problem = _step(state, parts, config, n_steps=n_steps, rate=rate)
            if problem is not None:
                state = settled = _return_to_checkpoint(state, parts, config, problem)
                continue
            state = replace(taken, elapsed_s=state.elapsed_s + parts.clock() - begun)
            if state.step not in judged:
                settled = state
            parts.on_step(replace(report, elapsed_s=state.elapsed_s))
            if state.step in judged:
                state = settled = _judge(state, parts)
            if state.step in judged or state.step == n_steps or state.step % config.checkpoint_every_steps == 0:
                parts.save(state)
    except KeyboardInterrupt:
        parts.pause(settled)
        raise
    return state


def evaluation_steps(n_steps: int, n_times: int) -> set[int]:
    """After which steps the held-back clips are decoded: evenly spread, always after the last."""
    return {max(1, round(n_steps * k / n_times)) for k in range(1, n_times + 1)} if n_times else set()


def _step(
    state: TrainingState,
    parts: LoopParts,
    config: TrainingConfig,
    *,
    n_steps: int,
    rate: float,
) -> tuple[TrainingState, StepReport, str | None]:
    """The state after one step, its report, and what was wrong with its numbers, if anything was."""
    batch = parts.batch_of(state.step)
    loss, gradients = parts.loss_and_gradients(state.weights, batch, state.step)
    now = learning_rate_at(state.step, n_steps=n_steps, highest=rate, warmup_share=config.warmup_share)
    now *= _RATE_AFTER_RETURN**state.n_rollbacks
    weights, moments, norm = parts.update(state.weights, gradients, state.moments, now, state.step)
    report = StepReport(state.step + 1, float(loss.item()), float(norm.item()), now, batch.audio_s, 0.0)
    return replace(state, step=state.step + 1, weights=weights, moments=moments), report, _problem(report)


def _problem(report: StepReport) -> str | None:
    if not math.isfinite(report.loss) or report.loss > _LOSS_LIMIT_NATS:
        return f"loss {report.loss}"
    return None if math.isfinite(report.gradient_norm) else f"gradient of length {report.gradient_norm}"


def _return_to_checkpoint(
    state: TrainingState, parts: LoopParts, config: TrainingConfig, problem: str
) -> TrainingState:
    n_rollbacks = state.n_rollbacks + 1
    if n_rollbacks > config.max_rollbacks:
        raise TrainingError(
            f"step {state.step + 1}: {problem}; {config.max_rollbacks} returns to a checkpoint at lower rates did not "
            "help. Look for odd clips in the training log, or train at a lower learning rate"
        )
    saved = parts.load()
    parts.on_rollback(state.step + 1, saved.step, problem)
    saved = replace(saved, n_rollbacks=n_rollbacks)
    parts.save(saved)
    return saved


def _judge(state: TrainingState, parts: LoopParts) -> TrainingState:
    assert parts.judge is not None
    begun = parts.clock()
    score = parts.judge(state.weights)
    parts.on_judged(state.step, score)
    judged = Best(step=state.step, score=score, weights=state.weights, lowest=score)
    best = parts.prefer(state.best, judged) if state.best else judged
    return replace(state, best=best, elapsed_s=state.elapsed_s + parts.clock() - begun)
