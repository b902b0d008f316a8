from pathlib import Path

import numpy as np
import pytest
from tests.fakes.pipeline_ports import World

from projectone.errors import DigestMismatchError
from projectone.server.evaluation.golden import pcm_digest
from projectone.server.pipeline.ingest import ingest, read_sealed
from projectone.server.pipeline.state import TrainingGraphState

START: TrainingGraphState = {"run_id": "run1", "graph_version": 1}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


def test_each_discard_has_its_reason(world: World) -> None:
    world.add("good")
    world.clips[world.add("silent").clip_sha256][:] = 0
    world.add("empty", text=" ... ")
    world.add("control", text="red\x07")
    del world.clips[world.add("missing").clip_sha256]
    damaged = world.add("damaged")
    golden = world.add("golden")
    world.golden = frozenset({pcm_digest(world.clips[golden.clip_sha256])})
    ports = world.ports()

    def read_clip(sha256: str) -> np.ndarray:
        if sha256 == damaged.clip_sha256:
            raise DigestMismatchError("blob", expected=sha256, actual="0" * 64)
        return ports.read_clip(sha256)

    ingest(START, world.ports(read_clip=read_clip))
    assert {name: reason for name, (outcome, reason) in world.marks.items() if outcome == "discarded"} == {
        "silent": "silence",
        "empty": "text-empty",
        "control": "text-characters",
        "missing": "clip-missing",
        "damaged": "clip-damaged",
        "golden": "golden-overlap",
    }
    assert world.row["n_discarded"] == 6
    assert world.row["n_new"] == 1


def test_a_golden_recording_is_found_in_another_container(world: World) -> None:
    sample = world.add("copy")
    samples = world.clips[sample.clip_sha256]
    rounded = np.rint(samples * 32768.0) / 32768.0  # as 16-bit PCM gives it back
    world.golden = frozenset({pcm_digest(rounded.astype(np.float32))})
    assert ingest(START, world.ports())["deployment_status"] == "no-data"
    assert world.marks == {"copy": ("discarded", "golden-overlap")}


def test_one_contributor_cannot_fill_a_release_and_the_rest_go_on_waiting(world: World) -> None:
    world.cap = 2
    for number in range(5):
        world.add(f"mallory{number}", contributor="mallory")
    world.add("ada0", contributor="ada")
    state = ingest(START, world.ports())
    names = [entry.sample_id for entry in world.datasets[state["processed_data_path"]]]
    assert names == ["ada0", "mallory0", "mallory1"]
    assert world.marks == {}


def test_a_repeated_node_sees_the_batch_of_its_first_try(world: World) -> None:
    world.add("a")
    first = ingest(START, world.ports())
    world.add("late")
    assert ingest(START, world.ports()) == first


def test_the_dataset_is_cumulative_and_says_what_is_new(world: World) -> None:
    world.add("old", is_new=False)
    world.add("new")
    state = ingest(START, world.ports())
    entries = world.datasets[state["processed_data_path"]]
    assert {entry.sample_id: entry.is_new for entry in entries} == {"new": True, "old": False}
    sealed = read_sealed("run1", world.ports())
    assert sealed is not None
    assert (sealed.new, sealed.n_items, sealed.audio_s) == (("new",), 2, 2.0)


def test_a_clip_that_joined_the_golden_set_later_leaves_the_training_data(world: World) -> None:
    old = world.add("old", is_new=False)
    world.add("new")
    world.golden = frozenset({pcm_digest(world.clips[old.clip_sha256])})
    state = ingest(START, world.ports())
    assert [entry.sample_id for entry in world.datasets[state["processed_data_path"]]] == ["new"]
    assert world.marks == {}


def test_a_dataset_names_nobody(world: World) -> None:
    world.add("a", contributor="ada-lovelace")
    world.add("b", contributor="ada-lovelace")
    world.add("c", contributor="grace")
    state = ingest(START, world.ports())
    speakers = [entry.speaker for entry in world.datasets[state["processed_data_path"]]]
    assert speakers[0] == speakers[1] != speakers[2]
    assert "lovelace" not in "".join(speakers)
