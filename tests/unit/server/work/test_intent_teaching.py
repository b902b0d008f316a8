"""The training of a run of classifiers: what it is taught from, and what a kill costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
from tests.fakes.taught_intents import TEACHING, examples
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.classifiers import load_classifier
from projectone.assist.encoder.bert_files import write_bert
from projectone.contracts.assist import as_target, label_of
from projectone.errors import TrainingError
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import DatasetEntry, Progress, TrainingRequest
from projectone.server.pipeline.runner import WorkStoppedError
from projectone.server.training.classifiers import Example
from projectone.server.work.intent_samples import IntentSamples
from projectone.server.work.intent_teaching import IntentTeacher


class Sentences:
    """A corpus whose digests are the sentences themselves."""

    def examples(self, entries: Sequence[tuple[str, str]]) -> list[Example]:
        return [(sentence, label_of(target)) for sentence, target in entries]


class School:
    """An encoder, what is taught in every run, and the corrections of one."""

    def __init__(self, folder: Path, *, lines: Sequence[dict[str, object]] | None = None) -> None:
        self.folder = folder
        (folder / "encoder").mkdir()
        write_bert(folder / "encoder", tiny_bert())
        (folder / "encoder" / "config.json").write_text(json.dumps(tiny_bert().config.to_json()))
        models = ModelFolders(folder / "models")
        self.base = models.keep_copy(folder / "encoder")
        rows = [{"text": text, "label": label} for text, label in examples(6, seed=1)]
        held = [{"text": text, "label": label, "split": "dev"} for text, label in examples(6, seed=2, n_outside=6)]
        data = folder / "intents.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in (lines or [*rows, *held])))
        self.teacher = IntentTeacher(cast(IntentSamples, Sentences()), models, TEACHING, data)

    def teach(
        self, name: str, corrected: Sequence[Example], on_progress: Callable[[Progress], None] = lambda progress: None
    ) -> str:
        entries = [
            DatasetEntry(
                sample_id=f"s{number}",
                clip_sha256=text,
                text=as_target(label),
                speaker="ada",
                duration_s=0.0,
                is_new=True,
                split="dev" if number % 5 == 4 else "train",
            )
            for number, (text, label) in enumerate(corrected)
        ]
        return self.teacher.train(
            TrainingRequest(
                base_sha256=self.base,
                entries=entries,
                work_folder=self.folder / f"work-{name}",
                out=self.folder / name,
                log_path=self.folder / f"{name}.jsonl",
                on_progress=on_progress,
            )
        )


def test_a_run_that_was_ended_goes_on_from_its_last_epoch_and_comes_to_the_same_bits(tmp_path: Path) -> None:
    school, corrected, seen = School(tmp_path), examples(3, seed=3), list[int]()
    whole = school.teach("whole", corrected, lambda progress: seen.append(progress.step))
    n_all = seen[-1]

    def stop(progress: Progress) -> None:
        if progress.step > n_all // 2:
            raise WorkStoppedError("asked to stop")

    with pytest.raises(WorkStoppedError):
        school.teach("ended", [*corrected, ("rain", "weather")], stop)
    steps: list[int] = []
    ended = school.teach("ended", [*corrected, ("rain", "weather")], lambda progress: steps.append(progress.step))
    assert steps[0] > 1  # not from the beginning
    again = school.teach("again", [*corrected, ("rain", "weather")])
    assert ended == again != whole


def test_labels_that_were_corrected_to_are_learned_beside_those_taught_in_every_run(tmp_path: Path) -> None:
    school = School(tmp_path)
    school.teach("made", [*examples(2, seed=3), ("it it", "small-talk"), ("it is", "small-talk"), ("zebra", None)])
    assert load_classifier(tmp_path / "made").head.labels == ("alarm", "music", "small-talk", "weather")
    log = [json.loads(line) for line in (tmp_path / "made.jsonl").read_text().splitlines()]
    assert (log[0]["event"], log[0]["n_original"], log[0]["n_corrected"]) == ("start", 18, 8)
    assert log[-1]["event"] == "finish"
    assert "zebra" not in str(log)  # no sentence of a person


def test_data_that_cannot_be_read_ends_the_training_in_words(tmp_path: Path) -> None:
    school = School(tmp_path, lines=[{"text": "rain"}])
    with pytest.raises(TrainingError, match=r"INTENTS_DATA: intents\.jsonl, line 1"):
        school.teach("made", [])
