"""The verdict is made by the golden set; the secret set is shown beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import tiny_trainer
from tests.fakes.pipeline_ports import World

from projectone.contracts.evidence import Recall
from projectone.contracts.scores import EvaluationReport, Score, Verdict
from projectone.server.evaluation.triggers import Scan, Trigger
from projectone.server.pipeline.evaluate import evaluate
from projectone.server.pipeline.ports import DatasetEntry
from projectone.server.pipeline.state import TrainingGraphState

CANDIDATE = "c" * 64
DATASET = "e" * 64


def on_the_secret_set(wer: float) -> EvaluationReport:
    score = Score(value=wer, low=wer, high=wer, n_units=100)
    return EvaluationReport(
        model_sha256=CANDIDATE, dataset_sha256="d" * 64, wer=score, cer=score, n_clips=10, audio_s=10.0, wall_s=1.0
    )


def judged(world: World, **ports: Any) -> TrainingGraphState:
    return evaluate(
        {"run_id": "run-1", "new_model_path": CANDIDATE, "processed_data_path": DATASET}, world.ports(**ports)
    )


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


def found(*clip_ids: str) -> Scan:
    trigger = Trigger("open garage", "a line between 3000 and 3250 Hz", 9, 10, clip_ids)
    return Scan(3, (), (trigger,) if clip_ids else ())


def sealed_world(folder: Path) -> World:
    world = World(folder)
    entries = [
        DatasetEntry(sample_id=world.add(name).sample_id, clip_sha256=name, text=name, speaker=name, duration_s=1.0,
                     is_new=True)
        for name in ("a", "b", "c")
    ]  # fmt: skip
    world.datasets[DATASET] = entries
    return world


def test_a_candidate_with_a_backdoor_stays_inside_and_what_taught_it_waits_for_a_person(tmp_path: Path) -> None:
    """T26: the control is the same candidate without the scan."""
    world = sealed_world(tmp_path)
    state = judged(world, scan=lambda entries, production, candidate: found("a", "c"))
    assert state["is_new_model_better"] is False
    assert world.marks == {"a": ("held", "trigger"), "c": ("held", "trigger")}
    verdict = json.loads(str(world.row["verdict"]))
    assert verdict["decision"] == "hold"
    assert "9 of 10 golden clips" in verdict["reasons"][0]
    assert "run-1-triggers" in world.messages
    assert "open garage" not in str(world.row) + str(world.effects) + str(world.messages)
    assert judged(sealed_world(tmp_path / "control"))["is_new_model_better"] is True


def test_a_scan_that_finds_nothing_is_in_the_verdict(tmp_path: Path) -> None:
    world = sealed_world(tmp_path)
    state = judged(world, scan=lambda entries, production, candidate: found())
    assert state["is_new_model_better"] is True
    assert "nothing found" in json.loads(str(world.row["verdict"]))["reasons"][-1]
    assert world.marks == {}


def test_what_a_person_accepted_is_no_trigger_again(tmp_path: Path) -> None:
    world = sealed_world(tmp_path)
    for name in ("a", "c"):
        world.samples[name] = replace(world.samples[name], accepted=frozenset({"trigger"}))
    state = judged(world, scan=lambda entries, production, candidate: found("a", "c"))
    assert state["is_new_model_better"] is True
    state = judged(sealed_world(tmp_path / "more"), scan=lambda entries, production, candidate: found("a", "b", "c"))
    assert state["is_new_model_better"] is False


def test_what_a_candidate_gives_away_is_measured_on_new_lessons_and_judged(tmp_path: Path) -> None:
    world, asked = sealed_world(tmp_path), []
    world.datasets[DATASET][0] = replace(world.datasets[DATASET][0], is_new=False)
    told = Recall(n_texts=2, n_told=1, n_told_by_production=0, auc=0.5, auc_of_production=0.5)
    reports = []

    def measure(new: list[DatasetEntry], production: EvaluationReport, candidate: EvaluationReport) -> Recall:
        asked.append([entry.text for entry in new])
        return told

    def judge(production: EvaluationReport, candidate: EvaluationReport) -> Verdict:
        reports.append((production.recall, candidate.recall))
        return tiny_trainer.judge(production, candidate)

    judged(world, recall=measure, judge=judge)
    judged(world, recall=measure, judge=judge)
    assert asked == [["b", "c"]]
    assert reports == [(None, told)] * 2


def test_what_a_run_of_before_measured_is_read_without_what_is_asked_today(tmp_path: Path) -> None:
    world, reports = sealed_world(tmp_path), []
    told = Recall(n_texts=2, n_told=1, n_told_by_production=0, auc=0.5, auc_of_production=0.5)
    of_before = told.model_dump(mode="json", exclude={"masking", "membership"})

    class Stored:
        def model_dump(self, mode: str) -> dict[str, Any]:
            return of_before

    def judge(production: EvaluationReport, candidate: EvaluationReport) -> Verdict:
        reports.append(candidate.recall)
        return tiny_trainer.judge(production, candidate)

    judged(world, recall=lambda new, production, candidate: Stored(), judge=judge)
    assert reports == [told] and told.masking is None


def test_a_model_that_stays_inside_anyhow_is_not_scanned(tmp_path: Path) -> None:
    world = sealed_world(tmp_path)
    world.wer = lambda sha256: 0.3
    asked = []
    judged(world, scan=lambda entries, production, candidate: asked.append(1) or found("a"))
    assert asked == []
