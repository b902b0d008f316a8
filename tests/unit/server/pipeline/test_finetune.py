from pathlib import Path

import pytest
from tests.fakes import tiny_trainer
from tests.fakes.pipeline_ports import World

from projectone.errors import TrainingError
from projectone.server.pipeline.finetune import finetune
from projectone.server.pipeline.ingest import ingest
from projectone.server.pipeline.ports import TrainingRequest
from projectone.server.pipeline.state import TrainingGraphState


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


def ingested(world: World) -> TrainingGraphState:
    start: TrainingGraphState = {"run_id": "run1", "graph_version": 1}
    return {**start, **ingest(start, world.ports())}


def test_a_sample_withdrawn_before_training_is_not_trained_on(world: World) -> None:
    world.add("stays")
    world.add("leaves", text="gone")
    state = ingested(world)
    world.withdraw("leaves")
    seen: list[str] = []

    def train(request: TrainingRequest) -> str:
        seen.extend(entry.sample_id for entry in request.entries)
        return tiny_trainer.train(request)

    trained = finetune(state, world.ports(train=train))
    assert seen == ["stays"]
    assert trained["processed_data_path"] != state["processed_data_path"]
    assert [entry.sample_id for entry in world.datasets[trained["processed_data_path"]]] == ["stays"]


def test_checkpoints_of_a_dataset_with_a_withdrawn_sample_are_not_taken_up(world: World) -> None:
    world.add("stays")
    world.add("leaves")
    state = ingested(world)

    def killed(run_id: str, progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(state, world.ports(progress=killed))
    world.withdraw("leaves")
    steps: list[int] = []
    trained = finetune(state, world.ports(progress=lambda run_id, progress: steps.append(progress.step)))
    assert steps == [1, 2, 3, 4, 5, 6]
    alone = World(world.home / "alone")
    alone.add("stays")
    assert finetune(ingested(alone), alone.ports())["new_model_path"] == trained["new_model_path"]


def test_what_a_killed_worker_left_half_made_is_gone_when_the_run_goes_on(world: World) -> None:
    world.add("a")
    state = ingested(world)
    half = world.home / "runs" / "run1" / ".tmp-candidate-0-0"
    half.mkdir()
    finetune(state, world.ports())
    assert not half.exists()


def test_nothing_is_trained_when_every_new_sample_was_withdrawn(world: World) -> None:
    world.add("old", is_new=False)
    world.add("leaves")
    state = ingested(world)
    world.withdraw("leaves")
    with pytest.raises(TrainingError, match="withdrawn"):
        finetune(state, world.ports())


def test_a_repeated_node_trains_nothing_twice(world: World) -> None:
    world.add("a")
    state = ingested(world)
    first = finetune(state, world.ports())

    def train(request: TrainingRequest) -> str:
        raise AssertionError("trained again")

    assert finetune(state, world.ports(train=train)) == first


def test_training_starts_from_the_base_and_not_from_production(world: World) -> None:
    world.add("a")
    bases: list[str] = []

    def train(request: TrainingRequest) -> str:
        bases.append(request.base_sha256)
        return tiny_trainer.train(request)

    state = finetune(ingested(world), world.ports(train=train))
    assert bases == [world.base_sha256] == [state["base_model_version"]]


def test_the_log_is_kept_and_the_checkpoints_are_not(world: World) -> None:
    world.add("a")
    state = finetune(ingested(world), world.ports())
    assert (world.home / state["training_log_path"]).read_text().count("step") >= 6
    assert [path.name for path in (world.home / "runs" / "run1").iterdir() if path.is_dir()] == []
