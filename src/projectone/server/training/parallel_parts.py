"""Parts of the training loop for several processes: each has a share of every step, all have the same state.

The loss of a batch is the mean over its targets. Each process takes some of the windows, and adds its own mean,
weighted by its own number of targets: what comes out is the loss and the gradient of the whole batch, but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import mlx.core as mx
import numpy as np

from projectone.server.training.adamw import Tensors
from projectone.server.training.loss import Batch
from projectone.server.training.parallel import ProcessGroup, digest_of_tensors
from projectone.server.training.state import Best, DevScore, StateFolder, TrainingState

Gradients = Callable[[Tensors, Batch, int], tuple[mx.array, Tensors]]
# Where targets are filled up (see `Batch.weights`), shapes are to repeat in a share too.
_FILLED_MULTIPLE = 16


def share_of(batch: Batch, *, rank: int, size: int) -> Batch:
    """The windows that one of `size` processes takes: every `size`-th, beginning with its rank.

    They stay as long as the whole batch: how much silence follows a clip decides what the encoder makes of it. A
    process for which none is left gets one whose targets weigh nothing. `audio_s` stays the whole batch's.
    """
    if size == 1:
        return batch
    rows = np.array(batch.rows)
    weights = np.ones(rows.size, np.float32) if batch.weights is None else np.array(batch.weights)
    is_idle = rank >= batch.tokens.shape[0]
    own = (rows == 0) if is_idle else (rows % size == rank) & (weights > 0)
    kept = np.flatnonzero(own)
    n_more = 0 if batch.weights is None else -kept.size % _FILLED_MULTIPLE
    taken = mx.array(np.concatenate([kept, np.repeat(kept[:1], n_more)]))
    new_weights = np.concatenate([weights[kept] * (not is_idle), np.zeros(n_more, np.float32)])
    windows = slice(0, 1) if is_idle else slice(rank, None, size)
    return replace(
        batch,
        mel=batch.mel[windows],
        tokens=batch.tokens[windows],
        rows=batch.rows[taken] // size,
        columns=batch.columns[taken],
        targets=batch.targets[taken],
        weights=mx.array(new_weights) if is_idle or batch.weights is not None else None,
        features=None if batch.features is None else batch.features[windows],
    )


class SharedGradients:
    """Loss and gradients of a whole batch, from a share of it in each process.

    Args:
        gradients: Of a share, as in `LoopParts`. Its step, which decides what is random, is another one in each
            process and step; the steps of a process that is alone are its own.
        group: Who adds up.
    """

    def __init__(self, gradients: Gradients, group: ProcessGroup) -> None:
        self._gradients, self._group = gradients, group

    def __call__(self, trained: Tensors, batch: Batch, step: int) -> tuple[mx.array, Tensors]:
        """As `TrainingMethod.loss_and_gradients`, the same bits in all processes."""
        group = self._group
        if group.size == 1:
            return self._gradients(trained, batch, step)
        n_targets = float(batch.targets.size if batch.weights is None else batch.weights.sum().item())
        if n_targets:
            loss, gradients = self._gradients(trained, batch, step * group.size + group.rank)
        else:
            loss, gradients = mx.array(0.0), {name: mx.zeros_like(tensor) for name, tensor in trained.items()}
        names = sorted(gradients)  # a dictionary that was read from disk has another order
        weighted = [gradients[name].astype(mx.float32) * n_targets for name in names]
        own = mx.stack([loss.astype(mx.float32) * n_targets, mx.array(n_targets)])
        *sums, both = group.sum([*weighted, own])
        total = both[1]
        return both[0] / total, {
            name: (summed / total).astype(gradients[name].dtype) for name, summed in zip(names, sums, strict=True)
        }


class SharedJudge:
    """The first process judges, all hear the score.

    Args:
        judge: Of the first process; the others never ask theirs.
        group: Who hears.
    """

    def __init__(self, judge: Callable[[Tensors], DevScore], group: ProcessGroup) -> None:
        self._judge, self._group = judge, group

    def __call__(self, trained: Tensors) -> DevScore:
        """Its score, in all processes."""
        return DevScore.from_json(self._group.decide(lambda: asdict(self._judge(trained))))


class SharedStates:
    """The states of a run that several processes take part in: the first one writes them, all begin with them.

    Args:
        folder: On the disk of the first process; None in the others.
        group: Of the run.
    """

    def __init__(self, folder: StateFolder | None, group: ProcessGroup) -> None:
        self._folder, self._group = folder, group

    def latest(self, *, is_saved: bool = False) -> TrainingState | None:
        """As `StateFolder.latest` of the first process, bit for bit in all of them; the best weights it alone has."""
        found = self._folder.latest(is_saved=is_saved) if self._folder is not None else None
        if self._group.size == 1:
            return found
        facts: dict[str, Any] | None = self._group.decide(lambda: None if found is None else _facts(found))
        if facts is None:
            return None
        parts = (found.weights, *found.moments) if found is not None else ({}, {}, {})
        weights, first, second = (self._group.tensors(part) for part in parts)
        if found is not None:
            return found
        return TrainingState(
            step=facts["step"],
            weights=weights,
            moments=(first, second),
            n_rollbacks=facts["n_rollbacks"],
            elapsed_s=facts["elapsed_s"],
            before=DevScore.from_json(facts["before"]) if facts["before"] else None,
            best=_best_of(facts["best"]) if facts["best"] else None,
        )

    def save(self, state: TrainingState) -> None:
        """As `StateFolder.save`, after making sure that all processes have the same weights.

        Raises:
            TrainingError: if they have not.
        """
        if self._group.size > 1:
            self._group.expect_same(digest_of_tensors(state.weights), f"weights after step {state.step}")
        if self._folder is not None:
            self._folder.save(state)

    def pause(self, state: TrainingState) -> None:
        """As `StateFolder.pause`. Nobody is asked: where a run is stopped the others are in the middle of a step."""
        if self._folder is not None:
            self._folder.pause(state)

    def part(self, name: str) -> StateFolder:
        """As `StateFolder.part`, for what the first process does alone."""
        assert self._folder is not None
        return self._folder.part(name)

    def clear(self) -> None:
        """As `StateFolder.clear`."""
        if self._folder is not None:
            self._folder.clear()


def _facts(state: TrainingState) -> dict[str, Any]:
    return {
        "step": state.step,
        "n_rollbacks": state.n_rollbacks,
        "elapsed_s": state.elapsed_s,
        "before": asdict(state.before) if state.before else None,
        "best": asdict(replace(state.best, weights={})) if state.best else None,
    }


def _best_of(facts: dict[str, Any]) -> Best:
    """The best weights of a run, without the weights."""
    score, lowest = (DevScore.from_json(facts[name]) for name in ("score", "lowest"))
    return Best(step=facts["step"], score=score, weights={}, lowest=lowest)
