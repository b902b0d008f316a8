"""A tiny BERT learns three intents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.classifiers import EncoderClassifier
from projectone.assist.embeddings import SentenceEmbedder
from projectone.assist.noise import RecognitionNoise
from projectone.errors import TrainingError
from projectone.server.training.classifiers import ClassifierConfig, Example, Taught, teach_classifier

EXAMPLES: list[Example] = [
    (text, label)
    for label, texts in {
        "music": ["play music", "play some music", "play the song", "some songs", "the music is some song"],
        "weather": ["is it warm", "rain", "the weather", "is the weather warm", "some rain is it"],
        "alarm": ["set the alarm", "wake", "alarm", "set some alarm", "the alarm is set"],
    }.items()
    for text in texts
]
NONE: list[Example] = [("zebra quantum", None), ("zebra zebra zebra", None)]
CONFIG = ClassifierConfig(max_epochs=3, batch_size=4, learning_rate=3e-3, direction_rate=1e-2)


def accuracy(taught: Taught) -> float:
    classifier = EncoderClassifier(SentenceEmbedder(taught.encoder), taught.head)
    judged = classifier.classify([text for text, _ in EXAMPLES])
    return float(np.mean([made.nearest == label for made, (_, label) in zip(judged, EXAMPLES, strict=True)]))


@pytest.fixture(scope="module")
def taught() -> Taught:
    return teach_classifier(tiny_bert(), EXAMPLES + NONE, config=CONFIG)


def test_it_learns_what_the_encoder_did_not_know() -> None:
    config = replace(CONFIG, max_epochs=12)
    frozen = teach_classifier(tiny_bert(), EXAMPLES, development=EXAMPLES, config=replace(config, max_epochs=0))
    tuned = teach_classifier(tiny_bert(), EXAMPLES, development=EXAMPLES, config=config)
    assert accuracy(tuned) >= 0.9 > accuracy(frozen)
    name = "encoder.layer.0.output.dense.weight"
    assert (frozen.encoder.tensors[name] == tiny_bert().tensors[name]).all()
    assert (tuned.encoder.tensors[name] != tiny_bert().tensors[name]).any()
    curve = tuned.head.measured["accuracy_by_epoch"]
    assert len(curve) == 13
    assert curve[tuned.head.measured["n_epochs"]] == max(curve) == accuracy(tuned)


def test_a_fifth_of_each_label_is_held_out_to_measure_on(taught: Taught) -> None:
    assert taught.head.labels == ("alarm", "music", "weather")
    assert (taught.head.measured["n_in_scope"], taught.head.measured["n_out_of_scope"]) == (3, 2)
    assert len(taught.head.measured["accuracy_by_epoch"]) == 4


def test_the_table_of_words_stays_and_the_same_seed_gives_the_same_bits(taught: Taught) -> None:
    again = teach_classifier(tiny_bert(), EXAMPLES + NONE, config=CONFIG)
    base = tiny_bert().tensors
    for name, tensor in taught.encoder.tensors.items():
        assert (tensor == again.encoder.tensors[name]).all(), name
        if name.startswith(("embeddings.", "pooler.")):
            assert (tensor == base[name]).all(), name
    assert (taught.head.directions == again.head.directions).all()
    assert (taught.head.scale, taught.head.threshold) == (again.head.scale, again.head.threshold)


def test_given_development_texts_choose_the_epoch_and_are_not_learned_from() -> None:
    wrong: list[Example] = [(text, "music" if label == "alarm" else "alarm") for text, label in EXAMPLES[-2:]]
    made = teach_classifier(tiny_bert(), EXAMPLES, development=wrong, config=CONFIG)
    assert made.head.measured["n_epochs"] <= CONFIG.max_epochs
    assert made.head.measured["n_in_scope"] == 2


@pytest.mark.parametrize(
    ("examples", "development", "named"),
    [
        ([("a", "x"), ("b", "x")], [], "two labels"),
        ([("a", "x"), ("b", "x"), ("c", "y")], [], "'y': expected 2 examples"),
        (EXAMPLES, [("rain", "news")], "'news'"),
        (EXAMPLES, NONE, "with a label"),
    ],
)
def test_what_cannot_be_taught_is_refused(examples: list[Example], development: list[Example], named: str) -> None:
    with pytest.raises(TrainingError, match=named):
        teach_classifier(tiny_bert(), examples, development=development, config=CONFIG)


def test_a_loss_that_is_not_finite_stops_it() -> None:
    with pytest.raises(TrainingError, match="not finite"):
        teach_classifier(tiny_bert(), EXAMPLES, config=ClassifierConfig(max_epochs=1, training_scale=float("nan")))


def test_half_of_an_epoch_is_shown_as_it_would_be_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, str]] = []
    distort = RecognitionNoise.distort

    def noted(noise: RecognitionNoise, text: str, *, rate: float, seed: str | int) -> str:
        made = distort(noise, text, rate=rate, seed=seed)
        heard.append((text, made))
        return made

    monkeypatch.setattr(RecognitionNoise, "distort", noted)
    config = replace(CONFIG, noised_share=0.5, noise_rate=0.5)
    noised = teach_classifier(tiny_bert(), EXAMPLES, development=EXAMPLES, config=config)
    assert 0.3 * 45 < len(heard) < 0.7 * 45  # three epochs of fifteen examples
    assert any(said != made for said, made in heard)
    plain = teach_classifier(tiny_bert(), EXAMPLES, development=EXAMPLES, config=replace(CONFIG, noised_share=0.0))
    assert (noised.head.directions != plain.head.directions).any()


def test_an_alarm_is_set_on_texts_that_were_not_learned_from() -> None:
    config = replace(CONFIG, alarm_label="alarm", most_false_alarms=0.5, max_epochs=1)
    alarm = teach_classifier(tiny_bert(), EXAMPLES + NONE, config=config).head.alarm
    assert alarm is not None
    assert (alarm.label, alarm.n_with, alarm.n_without) == ("alarm", 1, 4)  # one of each label, and what has none
    assert alarm.false_alarm_rate <= 0.5
    with pytest.raises(TrainingError, match="'loud'"):
        teach_classifier(tiny_bert(), EXAMPLES, config=replace(config, alarm_label="loud"))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="held_out"):
        ClassifierConfig(held_out=1.0)
    with pytest.raises(ValueError, match="batch_size"):
        ClassifierConfig(batch_size=0)
    with pytest.raises(ValueError, match="noise_rate"):
        ClassifierConfig(noise_rate=2.0)
    with pytest.raises(ValueError, match="most_false_alarms"):
        ClassifierConfig(most_false_alarms=1.0)


@pytest.mark.parametrize("n_done", [1, 5, 9, 11])
def test_a_teaching_that_is_ended_anywhere_and_gone_on_with_ends_in_the_same_bits(
    taught: Taught, tmp_path: Path, n_done: int
) -> None:
    def end(n: int, n_all: int, loss: float) -> None:
        nonlocal n_left
        n_left -= 1
        if n_left == 0:
            raise KeyboardInterrupt

    n_left = n_done
    with pytest.raises(KeyboardInterrupt):
        teach_classifier(tiny_bert(), EXAMPLES + NONE, config=CONFIG, on_progress=end, work_folder=tmp_path / "work")
    n_steps = 0

    def count(n: int, n_all: int, loss: float) -> None:
        nonlocal n_steps
        n_steps += 1

    again = teach_classifier(
        tiny_bert(), EXAMPLES + NONE, config=CONFIG, on_progress=count, work_folder=tmp_path / "work"
    )
    assert again.head.measured == taught.head.measured
    assert np.array_equal(again.head.directions, taught.head.directions)
    for name, tensor in taught.encoder.tensors.items():
        assert np.array_equal(again.encoder.tensors[name], tensor), name
    if n_done > 4:
        assert n_steps < 13  # whole epochs are not taught twice


def test_states_of_another_teaching_are_refused_and_damaged_ones_are_left_out(taught: Taught, tmp_path: Path) -> None:
    work = tmp_path / "work"
    teach_classifier(tiny_bert(), EXAMPLES + NONE, config=CONFIG, work_folder=work)
    with pytest.raises(TrainingError, match="other examples, settings or encoder"):
        teach_classifier(tiny_bert(), EXAMPLES, config=CONFIG, work_folder=work)
    for path in work.rglob("tensors.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    again = teach_classifier(tiny_bert(), EXAMPLES + NONE, config=CONFIG, work_folder=work)
    assert np.array_equal(again.head.directions, taught.head.directions)
