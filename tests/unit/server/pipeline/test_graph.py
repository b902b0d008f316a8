import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import tiny_trainer
from tests.fakes.pipeline_ports import World

from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.errors import EvaluationError, LeaseError, RegistryError, WithdrawnError
from projectone.server.evaluation.bootstrap import Interval
from projectone.server.evaluation.triage import Triage
from projectone.server.pipeline.checkpoints import open_checkpointer
from projectone.server.pipeline.graph import build_graph
from projectone.server.pipeline.ingest import ingest
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import DatasetEntry, Ports, Production, TrainingRequest
from projectone.server.pipeline.state import (
    APPROVAL,
    DEPLOYMENT,
    EVALUATION,
    FINE_TUNING,
    INGESTION,
    QUARANTINE,
    TrainingGraphState,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


def run(ports: Ports, run_id: str = "run1") -> Any:
    state: TrainingGraphState = {"run_id": run_id, "graph_version": 1}
    with open_checkpointer(ports.home / "c.sqlite", run_id, b"key", lambda: None) as checkpointer:
        graph = build_graph(ports, checkpointer)
        return graph.invoke(state, {"configurable": {"thread_id": run_id}}, durability="sync")


def test_the_graph_has_the_five_nodes_of_the_design_one_for_a_person_and_no_other(world: World) -> None:
    with open_checkpointer(world.home / "c.sqlite", "run1", b"key", lambda: None) as checkpointer:
        nodes = set(build_graph(world.ports(), checkpointer).get_graph().nodes)
    assert nodes == {"__start__", "__end__", INGESTION, FINE_TUNING, EVALUATION, APPROVAL, DEPLOYMENT, QUARANTINE}


def test_a_better_model_is_deployed(world: World) -> None:
    world.add("a")
    state = run(world.ports())
    assert world.nodes == [INGESTION, FINE_TUNING, EVALUATION, DEPLOYMENT]
    assert state["deployment_status"] == "deployed 1.0.0"
    assert state["is_new_model_better"] is True
    assert state["evaluation_metrics"]["candidate_wer"] == 0.3
    assert [deployment.weights_sha256 for deployment in world.released] == [state["new_model_path"]]
    assert world.marks == {"a": ("used", None)}
    assert list(world.messages) == ["run1-deployed"]


def test_a_worse_model_goes_to_quarantine_with_its_data_and_log(world: World) -> None:
    world.add("a")
    world.wer = lambda sha256: 0.2 if sha256 == world.base_sha256 else 0.6
    state = run(world.ports())
    assert world.nodes == [INGESTION, FINE_TUNING, EVALUATION, QUARANTINE]
    assert state["deployment_status"] == "quarantined"
    assert world.registered == world.released == []
    assert world.marks == {"a": ("quarantined", "not-better")}
    kept = world.home / "quarantine" / "run1"
    assert {path.name for path in kept.iterdir()} == {"model", "dataset.json", "train.jsonl", "why.json"}
    body = world.messages["run1-quarantined"].body
    assert "Production is unchanged" in body and "quarantine return run1" in body


def test_a_model_that_is_better_by_chance_alone_sets_no_sample_aside(world: World) -> None:
    world.add("few")
    world.wer = lambda sha256: 0.5
    assert run(world.ports())["deployment_status"] == "quarantined"
    assert world.marks == {}
    body = world.messages["run1-quarantined"].body
    assert "go on waiting" in body and "quarantine return" not in body
    world.add("more")
    world.wer = lambda sha256: 0.5 if sha256 == world.base_sha256 else 0.3
    state = run(world.ports(), "run2")
    assert {entry.sample_id for entry in world.datasets[state["processed_data_path"]]} == {"few", "more"}
    assert state["deployment_status"] == "deployed 1.0.0"


def test_samples_whose_model_looks_worse_are_set_aside_even_if_it_may_be_chance(world: World) -> None:
    world.add("poison")
    world.wer = lambda sha256: 0.4 if sha256 == world.base_sha256 else 0.5

    def unsure(production: EvaluationReport, candidate: EvaluationReport) -> Verdict:
        gain = production.wer.value - candidate.wer.value
        return Verdict(decision="hold", reasons=("may be chance",), gain=gain, gain_low=-0.2, gain_high=0.0)

    run(world.ports(judge=unsure))
    assert world.marks == {"poison": ("quarantined", "not-better")}


def test_quarantined_samples_are_left_out_of_the_next_run(world: World) -> None:
    world.add("bad")
    world.wer = lambda sha256: 0.2 if sha256 == world.base_sha256 else 0.6
    run(world.ports())
    world.add("good")
    world.wer = lambda sha256: 0.5 if sha256 == world.base_sha256 else 0.3
    state = run(world.ports(), "run2")
    assert [entry.sample_id for entry in world.datasets[state["processed_data_path"]]] == ["good"]


def test_without_usable_data_the_run_ends_without_training(world: World) -> None:
    sample = world.add("silent")
    world.clips[sample.clip_sha256][:] = 0
    state = run(world.ports())
    assert world.nodes == [INGESTION]
    assert state["deployment_status"] == "no-data"
    assert world.marks == {"silent": ("discarded", "silence")}
    assert world.messages == {}


NO_GAIN = Triage(
    decision="no-train",
    reasons=("production already writes them",),
    proposals=("collect others",),
    wer=Interval(0.01, 0.0, 0.03),
    n_clips=1,
    n_heard=1,
    n_speakers=1,
    minutes=0.1,
    n_terms=0,
    terms=(),
    smallest_gain=0.05,
)


def test_samples_that_teach_nothing_end_the_run_before_training_and_go_on_waiting(world: World) -> None:
    world.add("known")
    state = run(world.ports(triage=lambda new: NO_GAIN))
    assert world.nodes == [INGESTION]
    assert state["deployment_status"] == "no-train"
    assert world.marks == {}
    assert not (world.home / "quarantine").exists()
    verdict = json.loads(str(world.row["verdict"]))
    assert (verdict["decision"], verdict["proposals"]) == ("no-train", ["collect others"])
    assert world.row["reason"] == "production already writes them. Proposal: collect others"
    body = world.messages["run1-no-train"].body
    assert "1 new samples go on waiting. Production is unchanged." in body
    assert "Proposal: collect others." in body


def test_declined_samples_are_learned_from_once_more_have_come(world: World) -> None:
    world.add("known")
    run(world.ports(triage=lambda new: NO_GAIN))
    world.add("strange")
    asked: list[list[str]] = []

    def triage(new: Sequence[DatasetEntry]) -> Triage:
        asked.append([entry.sample_id for entry in new])
        return replace(NO_GAIN, decision="train", reasons=(), proposals=())

    state = run(world.ports(triage=triage), "run2")
    assert asked == [["known", "strange"]]
    assert state["deployment_status"] == "deployed 1.0.0"
    assert world.marks == {"known": ("used", None), "strange": ("used", None)}


def test_only_new_samples_are_weighed_and_only_once_for_a_repeated_node(world: World) -> None:
    world.add("old", is_new=False)
    world.add("new")
    asked: list[list[str]] = []

    def triage(new: Sequence[DatasetEntry]) -> Triage:
        asked.append([entry.sample_id for entry in new])
        return NO_GAIN

    ports = world.ports(triage=triage)
    first = ingest({"run_id": "run1"}, ports)
    assert ingest({"run_id": "run1"}, ports) == first
    assert asked == [["new"]]
    assert list(world.messages) == ["run1-no-train"]


def test_a_triage_that_fails_leads_to_quarantine_and_says_nothing_about_the_samples(world: World) -> None:
    world.add("a")

    def triage(new: Sequence[DatasetEntry]) -> Triage:
        raise EvaluationError("language: expected one of fr, got 'en'")

    state = run(world.ports(triage=triage))
    assert world.nodes == [INGESTION, QUARANTINE]
    assert state["deployment_status"] == "quarantined"
    assert world.marks == {}


def test_training_that_breaks_leads_to_quarantine_and_sets_its_samples_aside(world: World) -> None:
    world.add("a", text="diverge")
    state = run(world.ports())
    assert world.nodes == [INGESTION, FINE_TUNING, QUARANTINE]
    assert state["error_message"] == "model_fine_tuning: the loss is not finite"
    assert world.marks == {"a": ("quarantined", "training-failed")}


def test_a_missing_golden_set_says_nothing_about_the_samples(world: World) -> None:
    world.add("a")

    def score(weights_sha256: str) -> Any:
        raise EvaluationError("golden set: none is configured")

    run(world.ports(score=score))
    assert world.nodes == [INGESTION, FINE_TUNING, EVALUATION, QUARANTINE]
    assert world.marks == {}
    assert "go on waiting" in world.messages["run1-quarantined"].body


def test_a_hub_that_refuses_leads_to_quarantine_and_production_stays(world: World) -> None:
    world.add("a")

    def register(deployment: Any) -> Any:
        raise RegistryError("the Hub refused")

    state = run(world.ports(register=register))
    assert world.nodes == [INGESTION, FINE_TUNING, EVALUATION, DEPLOYMENT, QUARANTINE]
    assert state["deployment_status"] == "quarantined"
    assert world.released == []
    assert world.marks == {}


def test_a_worker_that_lost_its_lease_writes_nothing(world: World) -> None:
    world.add("a")

    def check() -> None:
        if len(world.nodes) == 3:  # in evaluation
            raise LeaseError("stale")

    with pytest.raises(LeaseError):
        run(world.ports(check=check))
    assert world.released == []
    assert world.messages == {}
    assert world.marks == {}


def test_a_production_that_changed_after_the_verdict_stops_the_deployment(world: World) -> None:
    world.add("a")

    def enter(run_id: str, node: str) -> None:
        world.nodes.append(node)
        if node == DEPLOYMENT:
            other = world.home / "other"
            other.mkdir()
            (other / "model.safetensors").write_bytes(b"other")
            sha256 = ModelFolders(world.home / "models").keep_copy(other)
            world.production = Production(weights_sha256=sha256, version="3.0.0")

    state = run(world.ports(enter=enter))
    assert state["deployment_status"] == "quarantined"
    assert "judged against" in state["error_message"]
    assert world.released == []


def test_the_state_holds_ids_digests_and_numbers_alone(world: World) -> None:
    world.add("a", text="a secret sentence", contributor="ada-lovelace")
    state = run(world.ports())
    assert "secret" not in repr(state)
    assert "lovelace" not in repr(state)
    assert str(world.home) not in repr(state)
    assert len(repr(state)) < 1500


def test_versions_rise_from_release_to_release(world: World) -> None:
    world.add("a")
    run(world.ports())
    world.add("b")
    released = world.production
    assert released is not None
    world.wer = lambda sha256: 0.3 if sha256 == released.weights_sha256 else 0.1
    state = run(world.ports(), "run2")
    assert state["deployment_status"] == "deployed 1.1.0"
    entries = world.datasets[state["processed_data_path"]]
    assert [(entry.sample_id, entry.is_new) for entry in entries] == [("a", False), ("b", True)]


@pytest.mark.parametrize("moment", [EVALUATION, DEPLOYMENT])
def test_a_model_that_learned_from_a_withdrawn_sample_is_not_released(world: World, moment: str) -> None:
    world.add("stays")
    world.add("leaves")

    def enter(run_id: str, node: str) -> None:
        world.nodes.append(node)
        if node == moment:
            world.withdraw("leaves")

    state = run(world.ports(enter=enter))
    assert state["deployment_status"] == "withdrawn"
    assert world.nodes[-2:] == [moment, QUARANTINE]
    assert world.registered == world.released == []
    assert world.marks == {}
    assert world.started_anew == ["run1"]
    assert not (world.home / "quarantine").exists()
    assert "a sample that it worked with was withdrawn" in world.messages["run1-withdrawn"].body
    assert run(world.ports(), "run2")["deployment_status"] == "deployed 1.0.0"
    assert world.released[0].n_clips == 1


def test_a_withdrawal_while_training_is_found_before_the_judgement(world: World) -> None:
    world.add("stays")
    world.add("leaves")

    def train(request: TrainingRequest) -> str:
        world.withdraw("leaves")
        return tiny_trainer.train(request)

    state = run(world.ports(train=train))
    assert world.nodes == [INGESTION, FINE_TUNING, QUARANTINE]
    assert state["deployment_status"] == "withdrawn"
    assert world.marks == {}


def test_a_withdrawal_between_hub_and_release_takes_the_tag_back(world: World) -> None:
    world.add("stays")
    world.add("leaves")

    def release(*parts: Any) -> int:
        world.withdraw("leaves")
        raise WithdrawnError("refused in the transaction")

    state = run(world.ports(release=release))
    assert state["deployment_status"] == "withdrawn"
    assert world.registered == []
    assert "The Hub had version 1.0.0." in world.messages["run1-withdrawn"].body


def test_a_hub_that_keeps_what_it_has_does_not_stop_the_next_run(world: World) -> None:
    world.add("leaves")

    def train(request: TrainingRequest) -> str:
        world.withdraw("leaves")
        return tiny_trainer.train(request)

    def retract(run_id: str) -> Any:
        raise RegistryError("403: this token may not delete")

    state = run(world.ports(train=train, retract=retract))
    assert state["deployment_status"] == "withdrawn"
    assert world.started_anew == ["run1"]
    assert "403: this token may not delete" in world.messages["run1-withdrawn"].body


def test_a_release_that_a_crash_interrupted_is_not_held_back_by_a_later_withdrawal(world: World) -> None:
    world.add("a")

    def mark(*marks: Any) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        run(world.ports(mark=mark))
    assert len(world.released) == 1
    world.withdraw("a")
    with open_checkpointer(world.home / "c.sqlite", "run1", b"key", lambda: None) as checkpointer:
        graph = build_graph(world.ports(), checkpointer)
        state = graph.invoke(None, {"configurable": {"thread_id": "run1"}}, durability="sync")
    assert state["deployment_status"] == "deployed 1.0.0"
    assert len(world.released) == 1


def test_a_worse_model_of_a_withdrawn_sample_is_not_kept_and_the_others_stay_suspect(world: World) -> None:
    world.add("bad")
    world.add("leaves")
    world.wer = lambda sha256: 0.2 if sha256 == world.base_sha256 else 0.6

    def enter(run_id: str, node: str) -> None:
        if node == QUARANTINE:
            world.withdraw("leaves")

    state = run(world.ports(enter=enter))
    assert state["deployment_status"] == "quarantined"
    assert world.marks["bad"] == ("quarantined", "not-better")
    assert {path.name for path in (world.home / "quarantine" / "run1").iterdir()} == {
        "dataset.json",
        "train.jsonl",
        "why.json",
    }
    assert world.started_anew == []


def test_a_quarantined_model_takes_no_second_place_on_the_disk(world: World) -> None:
    world.add("a")
    world.wer = lambda sha256: 0.2 if sha256 == world.base_sha256 else 0.6
    state = run(world.ports())
    kept = world.home / "quarantine" / "run1" / "model" / "model.safetensors"
    assert kept.samefile(world.home / "models" / state["new_model_path"] / "model.safetensors")


def test_no_run_is_reported_to_a_service_outside() -> None:
    program = """
import os
os.environ["LANGSMITH_TRACING"] = os.environ["LANGCHAIN_TRACING_V2"] = "true"
import projectone.server.pipeline.graph
from langsmith.utils import tracing_is_enabled
print(tracing_is_enabled())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
