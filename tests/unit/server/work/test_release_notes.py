"""What a release says is new in it: figures that anybody may know, and only of what was really compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fakes import tiny_trainer
from tests.fakes.releases import a_manifest

from projectone.contracts.releases import ReleaseNotes
from projectone.contracts.scores import EvaluationReport
from projectone.server.pipeline.ports import Deployment
from projectone.server.work.release_notes import notes_of

BEFORE = a_manifest().model_copy(update={"weights_sha256": "a" * 64, "version": "1.0.0"})


def report(wer: float, name: str) -> EvaluationReport:
    return tiny_trainer.score_by(lambda _: wer)(name * 64)


TRAINED = Deployment(
    run_id="run-1",
    weights_sha256="b" * 64,
    base_sha256="c" * 64,
    version="1.1.0",
    report=report(0.1, "b"),
    production_report=report(0.25, "a"),
    n_clips=420,
    n_new_clips=57,
    audio_s=5400.04,
)


def test_what_was_learned_and_what_it_changed_is_said() -> None:
    assert notes_of(TRAINED, BEFORE) == ReleaseNotes(
        after="1.0.0", n_samples=420, n_new_samples=57, audio_s=5400.0, n_words=100, n_wrong=10, n_wrong_before=25
    )


@pytest.mark.parametrize(
    ("changes", "before"),
    [
        ({"production_report": None}, BEFORE),
        ({}, None),
        ({}, BEFORE.model_copy(update={"weights_sha256": "d" * 64})),
        ({"production_report": report(0.25, "a").model_copy(update={"dataset_sha256": "e" * 64})}, BEFORE),
    ],
    ids=["nothing was there", "no release before", "another model", "another golden set"],
)
def test_a_comparison_that_was_not_made_is_not_told(changes: dict[str, object], before: object) -> None:
    notes = notes_of(replace(TRAINED, **changes), before)  # type: ignore[arg-type]
    assert notes is not None
    assert (notes.after, notes.n_wrong, notes.n_wrong_before) == (None, 10, None)


def test_speech_that_a_model_must_only_not_forget_is_left_out() -> None:
    target = report(0.1, "b").utterances[0]
    general = target.model_copy(update={"domain": "general", "word_errors": 90})
    mixed = report(0.1, "b").model_copy(update={"utterances": (target, general)})
    notes = notes_of(replace(TRAINED, report=mixed), BEFORE)
    assert notes is not None and (notes.n_words, notes.n_wrong) == (100, 10)


def test_a_model_that_was_not_scored_has_no_notes() -> None:
    assert notes_of(replace(TRAINED, report=None), BEFORE) is None
    assert notes_of(replace(TRAINED, report=report(0.1, "b").model_copy(update={"utterances": ()})), BEFORE) is None
