from collections.abc import Callable
from dataclasses import dataclass, field

import mlx.core as mx
import pytest

from projectone.errors import TrainingError
from projectone.server.training.adamw import AdamW, Tensors, clip_by_global_norm
from projectone.server.training.config import TrainingConfig
from projectone.server.training.loss import Batch
from projectone.server.training.state import DevScore, TrainingState
from projectone.server.training.trainer import LoopParts, evaluation_steps, train

NOTHING = mx.zeros((1,))
BATCH = Batch(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, audio_s=1.0)


@dataclass
class Watched:
    """A loop over one weight that is pulled to zero, with everything that happened to it."""

    saved: list[TrainingState] = field(default_factory=list)
    paused: list[TrainingState] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    judged: list[int] = field(default_factory=list)
    rollbacks: list[tuple[int, int, str]] = field(default_factory=list)
    n_asked: int = 0

    stop_at: tuple[str, int] | None = None

    def told(self, what: str, step: int) -> None:
        if self.stop_at == (what, step):
            raise KeyboardInterrupt

    def run(
        self, config: TrainingConfig, *, n_steps: int = 10, loss_of: Callable[[int, Tensors], mx.array] | None = None
    ) -> TrainingState:
        def gradients(weights: Tensors, batch: Batch, step: int) -> tuple[mx.array, Tensors]:
            self.n_asked += 1
            loss = loss_of(self.n_asked, weights) if loss_of else mx.abs(weights["w"]).sum()
            return loss, {"w": mx.sign(weights["w"])}

        def update(
            weights: Tensors, gradients: Tensors, moments: tuple[Tensors, Tensors], learning_rate: float, n_done: int
        ) -> tuple[Tensors, tuple[Tensors, Tensors], mx.array]:
            clipped, norm = clip_by_global_norm(gradients, config.clip_norm)
            optimiser = AdamW(weight_decay=config.weight_decay)
            return *optimiser.step(weights, clipped, moments, learning_rate=learning_rate, n_done=n_done), norm

        def judge(weights: Tensors) -> DevScore:
            return DevScore(wer=abs(float(weights["w"].item()) - 0.75), general_wer=None, loss=0.0)

        parts = LoopParts(
            loss_and_gradients=gradients,
            update=update,
            batch_of=lambda step: BATCH,
            judge=judge,
            prefer=lambda kept, later: min(kept, later, key=lambda best: best.score.wer),
            save=self.saved.append,
            pause=self.paused.append,
            load=lambda: self.saved[-1],
            clock=lambda: 0.0,
            on_step=lambda report: (
                self.steps.append(report.step),
                self.rates.append(report.learning_rate),
                self.told("step", report.step),
            ),
            on_judged=lambda step, score: (self.judged.append(step), self.told("judged", step)),
            on_rollback=lambda *event: self.rollbacks.append(event),
        )
        weights = {"w": mx.ones((1,))}
        state = TrainingState(step=0, weights=weights, moments=AdamW().zeros(weights))
        parts.save(state)
        return train(state, parts, config, n_steps=n_steps, rate=0.1)


def test_every_step_is_taken_once_and_the_end_is_saved() -> None:
    watched = Watched()
    state = watched.run(TrainingConfig(checkpoint_every_steps=4, evaluate_times=0))
    assert watched.steps == list(range(1, 11))
    assert [saved.step for saved in watched.saved] == [0, 4, 8, 10]
    assert state.weights["w"].item() < 0.7


def test_the_best_judgement_is_kept_not_the_last() -> None:
    watched = Watched()
    state = watched.run(TrainingConfig(evaluate_times=5))
    assert watched.judged == [2, 4, 6, 8, 10]
    assert state.best is not None
    assert state.best.step < 10
    assert state.best.weights["w"].item() != state.weights["w"].item()


def test_bad_numbers_return_to_the_checkpoint_at_half_the_rate() -> None:
    watched = Watched()
    state = watched.run(
        TrainingConfig(checkpoint_every_steps=2, evaluate_times=0),
        loss_of=lambda n_asked, weights: mx.array(float("nan") if n_asked == 6 else 1.0),
    )
    assert watched.rollbacks == [(6, 4, "loss nan")]
    assert watched.steps == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]
    assert watched.rates[5] == pytest.approx(watched.rates[4] / 2)
    assert (state.step, state.n_rollbacks) == (10, 1)
    assert mx.isfinite(state.weights["w"]).all()


def test_a_return_is_durable_before_it_goes_on() -> None:
    watched = Watched()
    watched.run(
        TrainingConfig(checkpoint_every_steps=2, evaluate_times=0),
        loss_of=lambda n_asked, weights: mx.array(float("inf") if n_asked == 4 else 1.0),
    )
    assert [(saved.step, saved.n_rollbacks) for saved in watched.saved][:4] == [(0, 0), (2, 0), (2, 1), (4, 1)]


def test_numbers_that_stay_bad_end_the_run_and_nothing_bad_is_saved() -> None:
    watched = Watched()
    with pytest.raises(TrainingError, match="step 5: loss nan; 3 returns"):
        watched.run(
            TrainingConfig(checkpoint_every_steps=2, evaluate_times=0, max_rollbacks=3),
            loss_of=lambda n_asked, weights: mx.array(float("nan") if n_asked > 4 else 1.0),
        )
    assert len(watched.rollbacks) == 3
    assert all(mx.isfinite(saved.weights["w"]).all() for saved in watched.saved)


def test_the_last_step_is_always_judged() -> None:
    assert evaluation_steps(10, 3) == {3, 7, 10}
    assert evaluation_steps(2, 5) == {1, 2}
    assert evaluation_steps(10, 0) == set()


@pytest.mark.parametrize(
    ("stop_at", "paused_at"),
    [
        (("step", 3), 3),
        (("step", 5), 4),  # step 5 was taken and not yet judged: its judgement must not be lost
        (("judged", 5), 4),
    ],
)
def test_whoever_stops_a_run_loses_no_finished_step(stop_at: tuple[str, int], paused_at: int) -> None:
    watched = Watched(stop_at=stop_at)
    with pytest.raises(KeyboardInterrupt):
        watched.run(TrainingConfig(evaluate_times=2))
    assert [state.step for state in watched.paused] == [paused_at]
    assert [state.step for state in watched.saved] == [0]
