"""Sabotaged classifiers fail, each in the suite that names its fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.taught_intents import INTENTS, examples, save_honest

from projectone.assist.classifiers import EncoderClassifier, load_classifier
from projectone.assist.embeddings import SentenceEmbedder
from projectone.assist.encoder.bert_files import read_bert
from projectone.assist.holdout.findings import Finding, at_least, at_most
from projectone.assist.holdout.intents import IntentRequirements, judge_intents
from projectone.assist.noise import RecognitionNoise
from projectone.assist.protocols import Judgement

ROWS = examples(40, seed=3, n_outside=40)
WORDS = [word for words in INTENTS.values() for word in words]
# Fourteen words, most of which sound like no other: a wrong one is often unknown, so less is asked under noise.
ASKED = IntentRequirements(noised_accuracy=0.5, noised_out_of_scope=0.3)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_honest(tmp_path_factory.mktemp("honest") / "intents")


def judged(honest: Path, asked: IntentRequirements = ASKED, **changes: object) -> dict[str, Finding]:
    head = replace(load_classifier(honest).head, **changes)  # type: ignore[arg-type]
    classifier = EncoderClassifier(SentenceEmbedder(read_bert(honest)), head)
    return {finding.suite: finding for finding in judge_intents(classifier, ROWS, RecognitionNoise(WORDS), asked)}


def failed(found: dict[str, Finding]) -> list[str]:
    return [suite for suite, finding in found.items() if finding.outcome == "failed"]


def test_an_honest_classifier_passes_every_suite(honest: Path) -> None:
    found = judged(honest)
    assert failed(found) == []
    assert {finding.outcome for finding in found.values()} == {"met"}
    accuracy = found["in-scope"]
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low < (accuracy.value or 0) <= accuracy.high
    assert accuracy.n == 120


def test_labels_that_were_permuted_are_called_so(honest: Path) -> None:
    head = load_classifier(honest).head
    found = judged(honest, labels=(*head.labels[1:], head.labels[0]))
    assert failed(found)[0] == "in-scope"
    assert "3 of 3 labels are called another name, such as 'alarm'" in found["in-scope"].reason
    assert "claims" in failed(found)


def test_a_lost_label_is_named_first(honest: Path) -> None:
    head = load_classifier(honest).head
    found = judged(honest, labels=head.labels[:-1], directions=head.directions[:-1])
    assert failed(found)[0] == "labels"
    assert found["labels"].reason == "1 of 3 labels are lost: weather"


def test_a_threshold_that_refuses_nothing_or_everything_is_called_so(honest: Path) -> None:
    open_minded = judged(honest, threshold=-1.0)
    assert [suite for suite in failed(open_minded) if not suite.startswith("noised")] == ["out-of-scope"]
    assert "below all of them" in open_minded["out-of-scope"].reason
    shut = judged(honest, threshold=1.1)
    assert [suite for suite in failed(shut) if not suite.startswith("noised")] == ["answered"]
    assert "above all of them" in shut["answered"].reason


def test_probabilities_that_are_made_up_fail_alone(honest: Path) -> None:
    assert failed(judged(honest, scale=0.5)) == ["calibration"]


def test_what_falls_apart_under_recognition_errors_fails_there_alone(honest: Path) -> None:
    asked = replace(ASKED, noise_rate=0.9, noised_accuracy=0.8)
    assert failed(judged(honest, asked)) == ["noised-in-scope"]
    assert "with 90 of 100 words wrong" in judged(honest, asked)["noised-in-scope"].reason


def test_a_file_that_claims_too_much_is_found_out(honest: Path) -> None:
    wrong = {"accuracy": 0.999}
    head = load_classifier(honest).head
    half = head.directions.copy()
    half[0] = half[1]  # one intent of three is never said: two thirds are right
    found = judged(
        honest, replace(ASKED, accuracy=0.5, answered=0.3, noised_accuracy=0.2), directions=half, measured=wrong
    )
    assert "claims" in failed(found)
    assert "claims 99.9 %" in found["claims"].reason
    assert judged(honest, measured={})["claims"].outcome == "not-judged"


def test_a_classifier_that_changes_its_mind_is_noticed(honest: Path) -> None:
    draws = np.random.default_rng(0)

    class Moody(EncoderClassifier):
        def classify(self, texts: Sequence[str]) -> list[Judgement]:
            made = super().classify(texts)
            return [replace(one, label=None) if draws.random() < 0.1 else one for one in made]

    classifier = Moody(SentenceEmbedder(read_bert(honest)), load_classifier(honest).head)
    found = judge_intents(classifier, ROWS, RecognitionNoise(WORDS), ASKED)
    assert [finding.suite for finding in found if finding.outcome == "failed"] == ["repeatability"]


def test_chance_is_no_failure_and_few_texts_are_not_judged() -> None:
    assert at_least("s", [True] * 70 + [False] * 30, 0.75, "texts").outcome == "met"  # up to 78 % by chance
    assert at_least("s", [True] * 700 + [False] * 300, 0.75, "texts").outcome == "failed"
    assert at_most("s", [True] * 8 + [False] * 92, 0.05, "texts").outcome == "met"
    assert at_most("s", [True] * 80 + [False] * 920, 0.05, "texts").outcome == "failed"
    assert at_least("s", [False] * 19, 0.5, "texts").outcome == "not-judged"
