from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.copied_clips import copy_of
from tests.fakes.pipeline_ports import World
from tests.fakes.tiny_whisper import say

from projectone.server.corpus.datasets import speaker_of
from projectone.server.corpus.validation import Findings
from projectone.server.evaluation.golden import sound_key, to_pcm16
from projectone.server.pipeline import ingest as node
from projectone.server.pipeline.ingest import ingest, read_sealed, seal_batch
from projectone.server.pipeline.ports import Look, PipelineSample
from projectone.server.pipeline.state import TrainingGraphState

START: TrainingGraphState = {"run_id": "run1", "graph_version": 1}
MINUTE = timedelta(minutes=1)


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
    world.golden = frozenset({sound_key(to_pcm16(world.clips[golden.clip_sha256]))})

    def look(samples: Sequence[PipelineSample]) -> list[Look]:
        return [Look(Findings("clip-damaged")) if sample is damaged else world.look(sample) for sample in samples]

    ingest(START, world.ports(look=look))
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
    world.golden = frozenset({sound_key(to_pcm16(rounded.astype(np.float32)))})
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
    world.golden = frozenset({sound_key(to_pcm16(world.clips[old.clip_sha256]))})
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


def correct_twice(world: World) -> None:
    world.add("learned-wrong", text="red", is_new=False)
    world.add("wrong", text="green")
    world.add("alone", text="black")
    world.add_again("right", of="wrong", text="blue")
    world.add_again("learned-right", of="learned-wrong", text="black")


def trained_texts(world: World, state: TrainingGraphState) -> dict[str, str]:
    return {entry.sample_id: entry.text for entry in world.datasets[state["processed_data_path"]]}


def test_of_a_recording_corrected_twice_only_the_newest_text_is_trained(world: World) -> None:
    correct_twice(world)
    state = ingest(START, world.ports())
    assert trained_texts(world, state) == {"alone": "black", "right": "blue", "learned-right": "black"}
    assert world.marks == {name: ("discarded", "superseded") for name in ("wrong", "learned-wrong")}
    assert (world.row["n_discarded"], world.row["n_new"]) == (1, 3)
    assert ingest(START, world.ports()) == state, "a repeated node finds the same"
    assert world.row["n_discarded"] == 1


def test_control_without_the_look_for_newer_texts_both_are_trained(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "superseded", lambda samples: {})
    correct_twice(world)
    state = ingest(START, world.ports(copies=lambda samples: {}))
    assert {"wrong": "green", "right": "blue"}.items() <= trained_texts(world, state).items()
    assert world.marks == {}


def test_the_newest_text_is_the_last_given_not_the_last_that_came(world: World) -> None:
    """A phone that was offline delivers an old correction late."""
    newest = world.add("newest", text="red")
    world.samples["late"] = replace(newest, sample_id="late", text="blue", recorded_at=newest.recorded_at - MINUTE)
    state = ingest(START, world.ports())
    assert trained_texts(world, state) == {"newest": "red"}


def test_nobody_supersedes_somebody_elses_text_nor_with_one_that_cannot_be_learned(world: World) -> None:
    world.add("ada", text="red")
    world.add_again("empty", of="ada", text=" ... ")
    mallory = world.add_again("mallory", of="ada", text="blue")
    world.samples["mallory"] = replace(mallory, contributor_id="mallory")
    ingest(START, world.ports())
    assert world.marks == {"empty": ("discarded", "text-empty"), "mallory": ("discarded", "text-conflict")}


def flood(world: World, *, n: int) -> None:
    """Another person for every copy, so that no cap on one person helps."""
    random = np.random.default_rng(5)
    clip = say("red green", seed=1, is_lively=True)
    world.add("original", text="red green", clip=clip)
    for number in range(n):
        text = ("red green", "blue blue")[number % 2]
        world.add(f"copy{number}", text=text, contributor=f"sybil{number}", clip=copy_of(clip, random))
    world.add("other", text="red green", clip=say("red green", seed=2, is_lively=True))


def test_of_a_flood_of_copies_one_is_trained_and_the_others_say_which(world: World) -> None:
    flood(world, n=30)
    state = ingest(START, world.ports())
    assert set(trained_texts(world, state)) == {"original", "other"}
    assert world.originals == {f"copy{number}": "original" for number in range(30)}
    assert world.marks["copy0"] == ("discarded", "near-duplicate")
    assert world.marks["copy1"] == ("discarded", "text-conflict")
    assert (world.row["n_discarded"], world.row["n_new"]) == (30, 2)


def test_control_without_the_collapse_the_flood_is_trained(world: World) -> None:
    flood(world, n=30)
    state = ingest(START, world.ports(copies=lambda samples: {}))
    assert len(trained_texts(world, state)) == 32


def test_a_copy_of_what_was_learned_from_before_teaches_nothing_again(world: World) -> None:
    clip = say("red", seed=1, is_lively=True)
    world.add("old", clip=clip, is_new=False)
    world.add("again", clip=0.3 * clip, contributor="grace")
    world.add("new")
    state = ingest(START, world.ports())
    assert set(trained_texts(world, state)) == {"old", "new"}
    assert world.originals == {"again": "old"}


def contaminate(world: World, *, n: int) -> None:
    random = np.random.default_rng(6)
    world.golden_recordings = [say("red green", seed=seed, is_lively=True) for seed in range(n)]
    for number, clip in enumerate(world.golden_recordings):
        copy = copy_of(clip, random, most_speed=0.05)
        world.add(f"copy{number}", text="red green", contributor=f"person{number}", clip=copy)
    world.add("other", text="red green", clip=say("red green", seed=n, is_lively=True))


def test_copies_of_golden_recordings_are_not_trained_on(world: World) -> None:
    contaminate(world, n=30)
    state = ingest(START, world.ports())
    refused = [name for name, mark in world.marks.items() if mark == ("discarded", "golden-overlap")]
    assert len(refused) >= 29
    assert "other" in trained_texts(world, state)


def test_control_without_the_look_at_golden_recordings_their_copies_are_trained_on(world: World) -> None:
    contaminate(world, n=30)
    state = ingest(START, world.ports(near_golden=lambda samples: frozenset()))
    assert len(trained_texts(world, state)) == 31


def test_what_was_learned_from_before_leaves_when_its_like_becomes_golden(world: World) -> None:
    clip = say("red", seed=1, is_lively=True)
    world.add("old", clip=clip, is_new=False)
    world.add("new")
    world.golden_recordings = [0.5 * clip]
    state = ingest(START, world.ports())
    assert set(trained_texts(world, state)) == {"new"}
    assert world.marks == {}


@pytest.mark.parametrize("name", ["ada", speaker_of("ada")])
def test_nobody_is_judged_by_and_learned_from_at_once(world: World, name: str) -> None:
    world.add("theirs", contributor="ada")
    world.add("learned", contributor="ada", is_new=False)
    world.add("other", contributor="grace")
    world.judges = frozenset({name, "somebody"})
    assert set(trained_texts(world, ingest(START, world.ports()))) == {"other"}
    assert world.marks == {"theirs": ("discarded", "golden-contributor")}


def test_control_without_names_of_who_is_judged_by_they_are_learned_from(world: World) -> None:
    world.add("theirs", contributor="ada")
    assert set(trained_texts(world, ingest(START, world.ports()))) == {"theirs"}


def test_what_is_odd_is_held_for_a_person_who_is_told_and_nothing_learns_from_it(world: World) -> None:
    world.add("good")
    world.add("odd")
    world.doubts["odd"] = ("foreign-letters",)
    state = ingest(START, world.ports())
    assert [entry.sample_id for entry in world.datasets[state["processed_data_path"]]] == ["good"]
    assert world.marks == {"odd": ("held", "foreign-letters")}
    assert world.row["n_discarded"] == 0
    assert [message.subject for message in world.messages.values()] == ["1 new samples wait for a review"]
    assert ingest(START, world.ports()) == state, "a repeated node holds, tells and seals the same"
    assert (world.row["n_discarded"], len(world.messages)) == (0, 1)


def test_what_a_person_accepted_is_not_held_for_the_same_reason_again(world: World) -> None:
    sample = world.add("odd")
    world.samples["odd"] = replace(sample, accepted=frozenset({"foreign-letters"}))
    world.doubts["odd"] = ("foreign-letters",)
    assert ingest(START, world.ports())["processed_data_path"] in world.datasets
    world.doubts["odd"] = ("foreign-letters", "personal-card")
    assert ingest({**START, "run_id": "run2"}, world.ports())["deployment_status"] == "no-data"


@pytest.mark.parametrize("reason", ["look-failed", "not-looked-at"])
def test_what_nobody_could_look_at_is_not_learned_from_whoever_accepted_it(world: World, reason: str) -> None:
    sample = world.add("unseen")
    world.samples["unseen"] = replace(sample, accepted=frozenset({reason, "foreign-letters"}))
    world.doubts["unseen"] = ("foreign-letters", reason)
    assert ingest(START, world.ports())["deployment_status"] == "no-data"
    assert world.marks == {"unseen": ("held", reason)}


def test_of_copies_that_wait_again_in_the_middle_of_a_run_one_is_sealed(world: World) -> None:
    flood(world, n=5)
    ingest(START, world.ports())
    for name in world.originals:  # as a withdrawal of the original leaves them
        del world.marks[name]
    world.withdraw("original")
    sealed = seal_batch("run1", world.ports())
    assert sealed is not None
    assert set(sealed.new) == {"copy0", "other"}
    assert world.marks == {}
