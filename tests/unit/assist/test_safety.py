"""A classifier that raises an alarm."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.calibration import Alarm, choose_alarm, interval
from projectone.assist.classifiers import CLASSIFIER, EncoderClassifier, Head, load_classifier, save_classifier
from projectone.assist.embeddings import SentenceEmbedder
from projectone.assist.safety import SafetyGuard, load_safety
from projectone.errors import ArtifactError

ALARM = Alarm("rude", 0.6, 0.8, 0.05, 40, 60)


def head() -> Head:
    directions = SentenceEmbedder(tiny_bert()).embed(["play some song", "is it warm weather"])
    return Head(("fine", "rude"), directions, 8.0, -1.0, {}, ALARM)


def test_the_threshold_keeps_false_alarms_within_the_stated_rate() -> None:
    draw = np.random.default_rng(0)
    shares = np.concatenate([draw.beta(2, 5, 400), draw.beta(5, 2, 300)])
    is_bad = np.arange(700) >= 400
    for rate in (0.0, 0.01, 0.05, 0.2):
        alarm = choose_alarm("rude", shares, is_bad, most_false_alarms=rate)
        assert alarm.false_alarm_rate == pytest.approx(rate, abs=1e-9)
        assert alarm.recall == pytest.approx(float((shares[400:] >= alarm.threshold).mean()))
    assert (alarm.n_with, alarm.n_without) == (300, 400)
    tied = choose_alarm("rude", np.array([0.5, 0.5, 0.5, 0.9]), np.array([False, False, False, True]))
    assert (tied.recall, tied.false_alarm_rate) == (1.0, 0.0)
    with pytest.raises(ValueError, match="without it"):
        choose_alarm("rude", shares[400:], is_bad[400:])


def test_the_interval_holds_the_share_and_narrows() -> None:
    assert interval(0, 0) == (0.0, 1.0)
    low, high = interval(90, 100)
    assert low == pytest.approx(0.826, abs=1e-3)  # Wilson, by hand
    assert high == pytest.approx(0.945, abs=1e-3)
    assert interval(900, 1000)[0] > low


def test_a_text_raises_the_alarm_from_the_threshold_on(tmp_path: Path) -> None:
    classifier = EncoderClassifier(SentenceEmbedder(tiny_bert()), head())
    texts = ["play some song", "is it warm weather", "rain"]
    share = float(classifier.probability_of("rude", texts)[2])
    for threshold, is_flagged in ((share, True), (float(np.nextafter(share, 2)), False)):
        guard = SafetyGuard(
            EncoderClassifier(SentenceEmbedder(tiny_bert()), replace(head(), alarm=replace(ALARM, threshold=threshold)))
        )
        assert guard.judge(texts)[2].is_flagged is is_flagged
    assert guard.judge([]) == []
    sure = SafetyGuard(classifier)
    assert [sure.flags(text) for text in texts[:2]] == [False, True]
    save_classifier(tmp_path / "safety", tiny_bert(), head())
    read = load_safety(tmp_path / "safety")
    assert read.alarm == ALARM
    assert read.judge(texts[1:2])[0].probability == pytest.approx(sure.judge(texts[1:2])[0].probability, abs=1e-6)


def test_a_classifier_without_an_alarm_guards_nothing(tmp_path: Path) -> None:
    save_classifier(tmp_path / "intents", tiny_bert(), replace(head(), alarm=None))
    assert load_classifier(tmp_path / "intents").head.alarm is None
    with pytest.raises(ArtifactError, match="--alarm"):
        load_safety(tmp_path / "intents")


@pytest.mark.parametrize(
    "change", [{"label": "loud"}, {"threshold": float("nan")}, {"recall": "all"}, {"more": 1}, None]
)
def test_an_alarm_that_cannot_be_is_refused(change: dict[str, object] | None, tmp_path: Path) -> None:
    save_classifier(tmp_path / "safety", tiny_bert(), head())
    path = tmp_path / "safety" / CLASSIFIER
    raw = json.loads(path.read_text())
    raw["alarm"] = raw["alarm"] | change if change else "loud"
    path.write_text(json.dumps(raw))
    with pytest.raises(ArtifactError, match="alarm"):
        load_safety(tmp_path / "safety")
