"""An alarm that is deaf, or cries wolf, fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.fakes.taught_intents import INTENTS, TEACHING, examples
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.classifiers import EncoderClassifier
from projectone.assist.embeddings import SentenceEmbedder
from projectone.assist.holdout.toxicity import judge_safety
from projectone.assist.noise import RecognitionNoise
from projectone.assist.safety import SafetyGuard
from projectone.server.training.classifiers import Taught, teach_classifier

ROWS = examples(40, seed=3)
NOISE = RecognitionNoise([word for words in INTENTS.values() for word in words])


@pytest.fixture(scope="module")
def taught() -> Taught:
    config = replace(TEACHING, alarm_label="alarm", noised_share=0.0)
    return teach_classifier(tiny_bert(), examples(40, seed=1), development=examples(20, seed=2), config=config)


def failed(taught: Taught, threshold: float) -> list[str]:
    assert taught.head.alarm is not None
    head = replace(taught.head, alarm=replace(taught.head.alarm, threshold=threshold))
    guard = SafetyGuard(EncoderClassifier(SentenceEmbedder(taught.encoder), head))
    return [finding.suite for finding in judge_safety(guard, ROWS, NOISE) if finding.outcome == "failed"]


def test_an_alarm_is_judged_by_what_it_hears_and_by_what_it_should_not(taught: Taught) -> None:
    assert taught.head.alarm is not None
    assert failed(taught, taught.head.alarm.threshold) == []
    assert failed(taught, 1.1) == ["toxicity", "noised-toxicity"]
    assert failed(taught, 0.0) == ["toxicity-false-alarms", "noised-toxicity-false-alarms"]


def test_a_guard_that_changes_its_mind_is_noticed(taught: Taught) -> None:
    draws = np.random.default_rng(0)

    class Moody(EncoderClassifier):
        def probability_of(self, label, texts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return np.clip(super().probability_of(label, texts) + draws.normal(0, 0.3, len(texts)), 0, 1)

    guard = SafetyGuard(Moody(SentenceEmbedder(taught.encoder), taught.head))
    found = {finding.suite: finding for finding in judge_safety(guard, ROWS, NOISE)}
    assert found["repeatability"].outcome == "failed"
