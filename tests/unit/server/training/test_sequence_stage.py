"""The second stage inside a run: kept or not, interrupted, and told of."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.fakes.tiny_whisper import save_tiny
from tests.unit.server.training.test_finetune import clips

from projectone.server.training import TrainingConfig, TrainingProgress, TrainingResult, finetune
from projectone.server.training.config import LoraConfig, RolloutConfig
from projectone.server.training.engines import sequence_stage
from projectone.server.training.log import last_run

ROLLOUTS = RolloutConfig(n_hypotheses=3, max_steps=4)
QUICK = TrainingConfig(
    epochs=1,
    max_steps=3,
    learning_rate=2e-3,
    checkpoint_every_steps=2,
    evaluate_times=1,
    alphas=(0.5, 1.0),
    sequence="mwer",
    rollouts=ROLLOUTS,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows some of the language: there is something to lose."""
    folder = tmp_path_factory.mktemp("base")
    config = TrainingConfig(epochs=6, learning_rate=8e-3, evaluate_times=1, alphas=(1.0,))
    finetune(save_tiny(folder / "raw"), clips(120), config, work_folder=folder / "work", out=folder / "model")
    return folder / "model"


def trained(base: Path, folder: Path, config: TrainingConfig, **options: Any) -> TrainingResult:
    return finetune(
        base,
        clips(40, seed=500),
        config,
        work_folder=folder / "work",
        out=folder / "out",
        dev_clips=clips(12, seed=900),
        **options,
    )


def events(folder: Path) -> list[dict[str, Any]]:
    return last_run(folder / "work" / "training.jsonl")


@pytest.mark.parametrize(("method", "kind"), [("full", "mwer"), ("lora", "grpo")])
def test_a_stage_with_nothing_against_it_gives_the_model_its_weights(
    method: Literal["full", "lora"],
    kind: Literal["mwer", "grpo"],
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What the guard finds in so few clips is chance, so that its word is put into its mouth here.
    monkeypatch.setattr(sequence_stage, "reasons_against", lambda before, after, **limits: [])
    config = replace(QUICK, method=method, sequence=kind, alphas=(1.0,))
    plain = trained(base, tmp_path / "plain", replace(config, sequence="off"))
    result = trained(base, tmp_path / "stage", config)
    found = result.sequence
    assert plain.sequence is None
    assert found is not None and found.before is not None and found.after is not None
    assert (found.loss, found.is_kept, found.n_steps) == (kind, True, 4)
    assert found.before.wer == plain.dev_wer_after
    assert found.after.wer == result.dev_wer_after
    assert result.weights_sha256 != plain.weights_sha256
    assert (result.best_step, result.n_steps) == (plain.best_step, plain.n_steps)


def test_a_stage_that_does_harm_leaves_the_weights_of_cross_entropy(base: Path, tmp_path: Path) -> None:
    # A rate at which the model forgets all that it has learned.
    harm = replace(ROLLOUTS, rate_share=200.0, cross_entropy=0.0)
    config = replace(QUICK, rollouts=harm, alphas=(1.0,))
    plain = trained(base, tmp_path / "plain", replace(config, sequence="off"))
    result = trained(base, tmp_path / "stage", config)
    assert result.sequence is not None
    assert not result.sequence.is_kept
    assert "wrong words" in result.sequence.reason
    assert result.weights_sha256 == plain.weights_sha256
    assert result.dev_wer_after == plain.dev_wer_after
    told = [event for event in events(tmp_path / "stage") if event["event"] == "sequence_finish"]
    assert [event["reason"] for event in told] == [result.sequence.reason]


def test_numbers_that_are_not_finite_end_the_stage_and_not_the_run(base: Path, tmp_path: Path) -> None:
    config = replace(QUICK, rollouts=replace(ROLLOUTS, rate_share=1e15), warmup_share=0.0, alphas=(1.0,))
    plain = trained(base, tmp_path / "plain", replace(config, sequence="off"))
    result = trained(base, tmp_path / "stage", config)
    assert result.sequence is not None
    assert "3 returns to a checkpoint" in result.sequence.reason
    assert result.weights_sha256 == plain.weights_sha256
    kinds = [
        json.loads(line)["event"] for line in (tmp_path / "stage" / "work" / "training.jsonl").read_text().splitlines()
    ]
    assert kinds.count("sequence_rollback") == 3


def test_adapters_that_cannot_be_fused_any_more_end_the_stage_and_not_the_run(base: Path, tmp_path: Path) -> None:
    wild = replace(ROLLOUTS, rate_share=2000.0, cross_entropy=0.0)
    config = replace(QUICK, method="lora", rollouts=wild, warmup_share=0.0, alphas=(1.0,))
    result = trained(base, tmp_path, config)
    assert result.sequence is not None
    assert not result.sequence.is_kept
    assert "would be rounded" in result.sequence.reason


def test_without_held_back_clips_there_is_no_second_stage(base: Path, tmp_path: Path) -> None:
    result = finetune(
        base,
        clips(10),
        replace(QUICK, dev_share=0.0),
        work_folder=tmp_path / "work",
        out=tmp_path / "out",
    )
    assert result.sequence is not None
    assert not result.sequence.is_kept
    assert "nothing was held back" in result.sequence.reason


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(QUICK, id="full-mwer"),
        pytest.param(
            replace(QUICK, sequence="grpo", method="lora", lora=LoraConfig(dropout=0.2), trainable="decoder"),
            id="lora-decoder-grpo",
        ),
    ],
)
def test_an_interrupted_stage_goes_on_and_ends_in_the_same_bytes(
    config: TrainingConfig, base: Path, tmp_path: Path
) -> None:
    whole = trained(base, tmp_path / "whole", config)
    stops = iter([("train", 2), ("sequence", 0), ("sequence", 1), ("sequence", 3), ("sequence", 4)])
    state = {"stop": next(stops)}

    def interrupt(progress: TrainingProgress) -> None:
        if (progress.phase, progress.step) == state["stop"]:
            state["stop"] = next(stops, ("", -1))
            raise KeyboardInterrupt

    n_stops = 0
    for _ in range(6):
        try:
            again = trained(base, tmp_path / "again", config, on_progress=interrupt)
        except KeyboardInterrupt:
            n_stops += 1
    assert n_stops == 5
    assert again.weights_sha256 == whole.weights_sha256
    assert again.sequence == whole.sequence
    # A step that was taken again counts once, in both stages.
    for kind in ("step", "sequence_step"):
        steps = [[e["step"] for e in events(tmp_path / name) if e["event"] == kind] for name in ("whole", "again")]
        assert steps[0] == steps[1] == list(range(1, len(steps[0]) + 1))
    losses = [
        [e["loss"] for e in events(tmp_path / name) if e["event"] == "sequence_step"] for name in ("whole", "again")
    ]
    assert losses[0] == losses[1]
    assert sorted(path.name for path in (tmp_path / "again" / "work").iterdir()) == ["result.json", "training.jsonl"]


def test_progress_tells_of_the_stage_and_shares_are_tried_after_it(base: Path, tmp_path: Path) -> None:
    told: list[TrainingProgress] = []
    result = trained(base, tmp_path, QUICK, on_progress=told.append)
    phases = [progress.phase for progress in told]
    assert [p.step for p in told if p.phase == "sequence"] == [0, 1, 2, 3, 4]
    assert {p.n_steps for p in told if p.phase == "sequence"} == {4}
    assert phases.index("interpolate") > max(i for i, phase in enumerate(phases) if phase == "sequence")
    assert [point.alpha for point in result.curve] == [0.0, 0.5, 1.0]
    assert result.sequence is not None and result.sequence.after is not None
    kept = result.sequence.after if result.sequence.is_kept else result.sequence.before
    assert kept is not None
    assert result.curve[-1].dev_wer == kept.wer
    rows = [event for event in events(tmp_path) if event["event"] == "sequence_step"]
    assert all(row["drawn_wer"] >= 0 for row in rows)
    assert trained(base, tmp_path, QUICK) == result  # read back from its note


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="sequence: expected 'off', 'mwer' or 'grpo', got 'ppo'"):
        TrainingConfig(sequence="ppo")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_hypotheses: expected at least 2"):
        RolloutConfig(n_hypotheses=1)
    with pytest.raises(ValueError, match="temperature: expected a positive number"):
        RolloutConfig(temperature=0.0)
