"""The verdict is made by the golden set; the secret set is shown beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.fakes.pipeline_ports import World

from projectone.contracts.scores import EvaluationReport, Score
from projectone.server.pipeline.evaluate import evaluate
from projectone.server.pipeline.state import TrainingGraphState

CANDIDATE = "c" * 64


def on_the_secret_set(wer: float) -> EvaluationReport:
    score = Score(value=wer, low=wer, high=wer, n_units=100)
    return EvaluationReport(
        model_sha256=CANDIDATE, dataset_sha256="d" * 64, wer=score, cer=score, n_clips=10, audio_s=10.0, wall_s=1.0
    )


def judged(world: World, **ports: Any) -> TrainingGraphState:
    return evaluate({"run_id": "run-1", "new_model_path": CANDIDATE}, world.ports(**ports))


@pytest.mark.parametrize(("canary_wer", "is_told"), [(0.3, False), (0.315, False), (0.33, True), (0.26, True)])
def test_the_canary_is_shown_and_told_of_beyond_two_points(tmp_path: Path, canary_wer: float, is_told: bool) -> None:
    world = World(tmp_path)  # the candidate gets 30 % of the golden set wrong
    state = judged(world, canary=lambda sha256: on_the_secret_set(canary_wer))
    assert state["evaluation_metrics"]["canary_wer"] == canary_wer
    assert ("run-1-canary" in world.messages) == is_told


def test_the_verdict_does_not_know_the_canary(tmp_path: Path) -> None:
    verdicts = []
    for number, wer in enumerate((None, 0.0, 0.3, 1.0)):
        world = World(tmp_path / str(number))
        report = None if wer is None else on_the_secret_set(wer)
        judged(world, canary=lambda sha256, report=report: report)
        verdicts.append(world.row["verdict"])
    assert len(set(verdicts)) == 1


def test_without_a_secret_set_nothing_is_shown(tmp_path: Path) -> None:
    assert "canary_wer" not in judged(World(tmp_path))["evaluation_metrics"]
