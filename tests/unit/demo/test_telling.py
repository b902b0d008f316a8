import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.story import STORY

from projectone.contracts.scores import UtteranceScore
from projectone.demo.backend import Backend, InProduction
from projectone.demo.materials import Person, Spoken
from projectone.demo.people import Participant
from projectone.demo.telling import Facts, describe_run, percent, progress_line, tell
from projectone.server.runs import RunRow

NOW = datetime(2026, 11, 1, tzinfo=UTC)
RUN = RunRow(
    number=1, run_id="run-1", family="speech", state="running", trigger="on-demand", graph_version=1, node=None,
    attempts=1,
    progress_step=None, progress_total=None, progress_loss=None, progress_message=None, dataset_sha256=None,
    n_items=40, n_new=40, n_discarded=1, candidate_sha256="c" * 64, verdict=None, version=None, reason=None,
    log_path=None, requested_at=NOW, started_at=NOW + timedelta(seconds=2), finished_at=NOW + timedelta(seconds=60),
)  # fmt: skip
VERDICT = {"decision": "promote", "reasons": ["better"], "gain": 0.1, "gain_low": 0.05, "gain_high": 0.15}


class FakeBackend:
    """What the server would answer."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def discarded(self, run_id: str) -> dict[str, int]:
        return {"silence": 1}

    def notification(self, run_id: str) -> str | None:
        return f"about {run_id}"

    def hub_tags(self) -> dict[str, str]:
        return {"v1.0.0": "0" * 40, "v1.1.0": "1" * 40}

    def report_on(self, weights_sha256: str) -> Any:
        value = {"a": 0.3, "b": 0.1, "c": 0.5}[weights_sha256[0]]
        return SimpleNamespace(wer=STORY.golden_before.model_copy(update={"value": value}))


def backend(home: Path) -> Backend:
    return cast(Backend, FakeBackend(home))


def heard(errors: int, text: str, *, slice_: str) -> UtteranceScore:
    return UtteranceScore(
        clip_id=text, speaker="x", slice=slice_, word_errors=errors, n_words=2, character_errors=errors,
        n_characters=8, hypothesis=text,
    )  # fmt: skip


def participant(name: str, before: list[int], after: list[int]) -> Participant:
    spoken = Spoken("clip", name, "tones", "one two", b"", 1.0)
    status = SimpleNamespace(model_version="1.1.0")
    return Participant(
        Person(name=name, accent="tones", has_consented=True, to_correct=(), kept_back=()),
        cast(Any, SimpleNamespace(status=lambda: status)),
        kept_back=[("id", spoken)] * len(before),
        before=[heard(errors, f"before {place}", slice_=name) for place, errors in enumerate(before)],
        after=[heard(errors, f"after {place}", slice_=name) for place, errors in enumerate(after)],
    )


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    (tmp_path / "server").mkdir()
    return Facts(
        corpus="tones",
        seed=1,
        model="some/where/starter",
        out=tmp_path,
        wall_s=9.0,
        acts=(),
        people=[participant("ann", [2, 2, 1, 0, 2], [0, 1, 1, 2, 0]), participant("ben", [1, 1], [0, 1])],
        first_version="1.0.0",
        first_sha256="a" * 64,
        learning=replace(STORY.learning, candidate_sha256="b" * 64),
        learned=InProduction("1.1.0", "b" * 64),
        poisoned=replace(STORY.poisoned, candidate_sha256="c" * 64),
        n_poisoned=60,
        production=InProduction("1.1.0", "b" * 64),
        withheld=STORY.withheld,
    )


def test_the_numbers_are_over_all_people_and_per_slice(facts: Facts) -> None:
    story = tell(facts, backend(facts.out / "server"))
    assert (story.target_before.value, story.target_before.n_units) == (9 / 14, 14)
    assert story.target_after.value == 5 / 14
    assert {name: (one.value, two.value) for name, (one, two) in story.slices.items()} == {
        "ann": (0.7, 0.4),
        "ben": (0.5, 0.25),
    }
    assert [user.after.value for user in story.users] == [0.4, 0.25]


def test_each_version_has_its_own_score_and_only_released_ones_a_tag(facts: Facts) -> None:
    story = tell(facts, backend(facts.out / "server"))
    assert [(v.golden.value, v.is_released, v.tag, v.commit) for v in story.versions] == [
        (0.3, True, "v1.0.0", "0" * 40),
        (0.1, True, "v1.1.0", "1" * 40),
        (0.5, False, None, None),
    ]
    assert (story.golden_before.value, story.golden_after.value) == (0.3, 0.1)


def test_if_nothing_better_came_out_the_golden_number_stays(facts: Facts) -> None:
    refused = replace(
        facts, learning=replace(facts.learning, status="quarantined"), learned=InProduction("1.0.0", "a" * 64)
    )
    story = tell(refused, backend(facts.out / "server"))
    assert (story.golden_before.value, story.golden_after.value) == (0.3, 0.3)
    assert [version.is_released for version in story.versions] == [True, False, False]


def test_examples_show_what_became_worse_too(facts: Facts) -> None:
    examples = tell(facts, backend(facts.out / "server")).examples
    assert [(example.before, example.after) for example in examples if example.user == "ann"][:2] == [
        ("before 0", "after 0"),
        ("before 3", "after 3"),
    ]
    assert {example.user for example in examples} == {"ann", "ben"}


def test_a_run_is_described_by_its_row_and_its_log(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "run-1"
    folder.mkdir(parents=True)
    events = [{"event": "start"}, {"event": "step", "step": 1, "loss": 2.5}, {"event": "step", "step": 2, "loss": 1.5}]
    (folder / "train.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (folder / "sealed.json").write_text(json.dumps({"audio_s": 12.5}))
    run = describe_run(replace(RUN, state="succeeded", verdict=VERDICT), backend(tmp_path))
    assert (run.status, run.losses, run.audio_s, run.wall_s) == ("deployed", ((1, 2.5), (2, 1.5)), 12.5, 58.0)
    assert run.verdict is not None
    assert run.verdict.is_new_model_better
    assert (run.discarded, run.notification) == ({"silence": 1}, "about run-1")


def test_a_run_without_data_is_described_too(tmp_path: Path) -> None:
    run = describe_run(replace(RUN, state="no-data", n_items=0, candidate_sha256=None), backend(tmp_path))
    assert (run.status, run.losses, run.notification, run.verdict) == ("no-data", (), None, None)


def test_the_moving_line_shows_how_far_training_is() -> None:
    training = replace(
        RUN, node="model_fine_tuning", progress_step=50, progress_total=100, progress_message="train 50/100"
    )
    assert progress_line(training).count("█") == 10
    assert progress_line(training).endswith("train 50/100")
    assert progress_line(RUN) == "waiting for the worker …"
    assert "golden set" in progress_line(replace(RUN, node="model_evaluation"))


def test_a_rate_is_shown_with_its_interval() -> None:
    assert percent(STORY.target_before) == "34.0 % (31.0 to 38.0)"
