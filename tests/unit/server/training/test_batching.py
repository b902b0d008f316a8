from collections import Counter

import numpy as np
import pytest

from projectone.server.training.batching import PlannedBatch, Stock
from projectone.server.training.batching import plan_batches as plan_stock
from projectone.server.training.config import TrainingConfig

DURATIONS_S = np.random.default_rng(0).uniform(0.3, 4.0, 50).tolist()


def plan_batches(
    durations_s: list[float], n_replay: int, config: TrainingConfig, *, window_frames: int
) -> list[PlannedBatch]:
    """Clips of ten tokens each; the last ones are general speech."""
    stock = Stock(
        durations_s=durations_s, n_tokens=[10] * len(durations_s), groups=[(n_replay, config.replay_fraction)]
    )
    return plan_stock(stock, config, window_frames=window_frames, n_text_ctx=448)


def test_every_epoch_sees_every_clip_once() -> None:
    plan = plan_batches(DURATIONS_S, 0, TrainingConfig(epochs=3), window_frames=1000)
    for epoch in range(3):
        seen = Counter(index for batch in plan if batch.epoch == epoch for index in batch.indices)
        assert seen == Counter(range(50))


def test_a_batch_keeps_its_seconds_and_its_size() -> None:
    config = TrainingConfig(epochs=2, batch_seconds=10, batch_size=6)
    for batch in plan_batches(DURATIONS_S, 0, config, window_frames=1000):
        assert len(batch.indices) <= 6
        assert len(batch.indices) * max(DURATIONS_S[i] for i in batch.indices) <= 10


def test_the_order_depends_on_the_seed_alone() -> None:
    plans = [plan_batches(DURATIONS_S, 0, TrainingConfig(seed=seed), window_frames=1000) for seed in (1, 1, 2)]
    assert plans[0] == plans[1]
    assert plans[0] != plans[2]


def test_replay_is_a_share_of_every_epoch() -> None:
    config = TrainingConfig(epochs=4, replay_fraction=0.25)
    plan = plan_batches([1.0] * 130, 100, config, window_frames=1000)
    for epoch in range(4):
        seen = [index for batch in plan if batch.epoch == epoch for index in batch.indices]
        assert len([index for index in seen if index >= 30]) == 10
        assert set(range(30)) <= set(seen)


def test_the_full_context_pads_everything_to_the_window() -> None:
    config = TrainingConfig(context="full", batch_seconds=20, packing="off")
    plan = plan_batches(DURATIONS_S, 0, config, window_frames=1000)
    assert {batch.min_frames for batch in plan} == {1000}
    assert max(len(batch.indices) for batch in plan) == 2


def test_some_steps_of_a_short_context_cover_the_window_without_growing_out_of_memory() -> None:
    config = TrainingConfig(epochs=40, full_window_share=0.5, batch_seconds=10)
    plan = plan_batches(DURATIONS_S, 0, config, window_frames=3000)
    share = np.mean([batch.min_frames > 0 for batch in plan])
    assert 0.3 < share < 0.8
    assert any(batch.min_frames == 3000 for batch in plan)
    assert max(len(batch.indices) * batch.min_frames / 100 for batch in plan) <= 40


def test_max_steps_ends_the_plan() -> None:
    assert len(plan_batches(DURATIONS_S, 0, TrainingConfig(max_steps=7), window_frames=1000)) == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"learning_rate": -1.0},
        {"learning_rate": float("nan")},
        {"dev_share": 1.0},
        {"alphas": ()},
        {"alphas": (0.0, 1.0)},
        {"trainable": "encoder"},
        {"context": "long"},
        {"packing": "yes"},
        {"token_multiple": 0},
        {"prompt_share": 1.1},
        {"negatives_share": 0.5},
        {"carriers_share": -0.1},
        {"carriers_per_term": -1},
        {"max_steps": 0},
        {"seed": -1},
        {"batch_seconds": 0},
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainingConfig(**wrong)  # type: ignore[arg-type]
