"""Teaching a small classifier from a few examples of each label: an encoder, and a direction for each label.

The directions begin as the means of their examples, so that the first step already knows the labels; then they and the
encoder's layers are tuned together, by cross-entropy of scaled cosines. The table of words is left alone: it is half
of the weights, and few examples touch few of its rows. Half of the examples of an epoch are shown as a recogniser would
have written them, each time with other errors. How many epochs, how sure the probabilities are and where
"none of these" begins is measured on texts that were not learned from.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from projectone.assist.calibration import (
    Alarm,
    calibration_error,
    choose_alarm,
    choose_scale,
    choose_threshold,
    probabilities,
)
from projectone.assist.classifiers import Head
from projectone.assist.encoder.bert import padded, sentence_vectors
from projectone.assist.encoder.bert_files import BertFiles
from projectone.assist.encoder.wordpiece import WordPiece, whole_words
from projectone.assist.noise import RecognitionNoise
from projectone.errors import TrainingError
from projectone.server.training.adamw import Tensors
from projectone.server.training.course_states import CourseState, CourseStates, fingerprint_of
from projectone.server.training.course_steps import DIRECTIONS, Steps
from projectone.speech import ops

Example = tuple[str, str | None]
Indices = npt.NDArray[np.int64]
_FROZEN = ("embeddings.", "pooler.")
_SMALLEST_LENGTH = 1e-12


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """How a classifier is taught.

    Attributes:
        max_epochs: The best of them, by the development texts, is kept; 0 leaves the encoder as it is.
        batch_size: Texts of a step.
        learning_rate: The highest, of the encoder.
        direction_rate: The highest, of the directions.
        training_scale: What cosines are multiplied with in the loss.
        warmup_share: Share of the steps in which the rates rise.
        held_out: Share of each label that is held out where no development texts are given.
        most_judged: Development texts that choose the epoch; all of them set temperature and threshold.
        noised_share: Share of the examples that an epoch shows with recognition errors; 0 for none.
        noise_rate: Word error rate of those.
        alarm_label: A label that is to be warned of; none by default.
        most_false_alarms: Share of the texts without that label that may raise the alarm.
        seed: Of the order.
    """

    max_epochs: int = 4
    batch_size: int = 32
    learning_rate: float = 2e-4
    direction_rate: float = 1e-3
    training_scale: float = 16.0
    warmup_share: float = 0.1
    held_out: float = 0.2
    most_judged: int = 1000
    noised_share: float = 0.5
    noise_rate: float = 0.15
    alarm_label: str | None = None
    most_false_alarms: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_epochs < 0 or self.batch_size < 1 or self.most_judged < 1:
            raise ValueError("expected max_epochs of 0 or more, batch_size and most_judged of 1 or more")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out: expected 0 < held_out < 1, got {self.held_out!r}")
        if not (0 <= self.noised_share <= 1 and 0 <= self.noise_rate <= 1):
            raise ValueError("noised_share, noise_rate: expected shares within 0 and 1")
        if not 0 <= self.most_false_alarms < 1:
            raise ValueError(f"most_false_alarms: expected 0 <= rate < 1, got {self.most_false_alarms!r}")


@dataclass(frozen=True)
class Taught:
    """A classifier, as `assist.classifiers` saves one."""

    encoder: BertFiles
    head: Head


def teach_classifier(
    base: BertFiles,
    examples: Sequence[Example],
    *,
    development: Sequence[Example] = (),
    config: ClassifierConfig | None = None,
    on_progress: Callable[[int, int, float], None] | None = None,
    work_folder: Path | None = None,
) -> Taught:
    """Teach from examples; those without a label only help to find the threshold.

    Where no development texts are given, a share of the examples is held out to measure on, and then everything is
    learned anew, for as many epochs as were best.

    Args:
        base: The encoder to begin with.
        examples: Texts and labels.
        development: Texts and labels that are not learned from.
        config: How.
        on_progress: Gets steps done, steps in all, and the loss.
        work_folder: Where each epoch is kept until everything is learned, so that a teaching that was ended is gone
            on with and ends in the same bits. Whoever saves the classifier removes it.

    Raises:
        StorageError: if an epoch cannot be kept.
        TrainingError: if there are fewer than two labels, a label has too few examples to hold one out, the
            development texts have a label that no example has or none at all, or the loss is not finite.
    """
    config = config or ClassifierConfig()
    outside = [row for row in examples if row[1] is None]
    labelled = [row for row in examples if row[1] is not None]
    learned, judged = (labelled, [*development, *outside]) if development else _hold_out(labelled, outside, config)
    labels = tuple(sorted({str(label) for _, label in learned}))
    _check(labels, judged, config)
    course = _Course(base, labels, config, on_progress)
    states = (
        None
        if work_folder is None
        else CourseStates(work_folder, fingerprint_of(base, learned, judged, asdict(config)))
    )
    weights, n_epochs, curve = course.run(learned, judged, states=states and states.part("first"))
    head = _measured_head(course, weights, judged, {"accuracy_by_epoch": curve, "n_epochs": n_epochs})
    if config.alarm_label is not None:
        head = replace(head, alarm=_alarm(course, weights, judged, head.scale))
    if not development:
        weights, _, _ = course.run(labelled, (), n_epochs=n_epochs, states=states and states.part("again"))
        head = replace(head, directions=np.array(_unit(weights[DIRECTIONS])))
    tuned = {name: np.array(weights[name]) for name in base.tensors}
    return Taught(replace(base, tensors=tuned), head)


class _Course:
    """One encoder, one set of labels."""

    def __init__(
        self,
        base: BertFiles,
        labels: tuple[str, ...],
        config: ClassifierConfig,
        on_progress: Callable[[int, int, float], None] | None,
    ) -> None:
        self.labels, self.config, self._sizes = labels, config, base.config
        self._base = {name: mx.array(tensor) for name, tensor in base.tensors.items()}
        self._wordpiece = WordPiece(
            base.tokenizer, n_vocabulary=base.config.vocab_size, max_places=base.config.max_position_embeddings
        )
        self._noise = RecognitionNoise(whole_words(base.tokenizer)) if config.noised_share else None
        self._on_progress = on_progress

    def run(
        self,
        learned: Sequence[Example],
        judged: Sequence[Example],
        *,
        n_epochs: int | None = None,
        states: CourseStates | None = None,
    ) -> tuple[Tensors, int, list[float]]:
        """Weights with directions after the best epoch, which that was, and the accuracy after each, 0 first.

        Without development texts it is the last.
        """
        config, n_all = self.config, self.config.max_epochs
        tokens = self._wordpiece.tokens([text for text, _ in learned])
        wanted = np.array([self.labels.index(str(label)) for _, label in learned])
        inside = [row for row in judged if row[1] is not None]
        sample = random.Random(config.seed).sample(inside, min(len(inside), config.most_judged))
        steps = Steps(config, -(-len(tokens) // config.batch_size) * n_all)
        kept = states.latest() if states else None
        if kept is not None:
            weights, best, best_epoch, curve = kept.weights, kept.best, kept.best_epoch, list(kept.curve)
            steps.go_on(kept.n_steps, kept.moments)
        else:
            weights = self._base | {DIRECTIONS: self._means(tokens, wanted)}
            best, best_epoch = weights, 0
            curve = [self._accuracy(weights, sample)] if judged else []
        for epoch in range(kept.epoch + 1 if kept else 1, (n_all if n_epochs is None else n_epochs) + 1):
            shown = self._wordpiece.tokens(self._heard([text for text, _ in learned], epoch))
            for batch in self._batches(tokens, epoch):
                loss, weights = steps.take(self._gradients(weights, [shown[i] for i in batch], wanted[batch]), weights)
                if self._on_progress:
                    self._on_progress(steps.n_done, steps.n_all, loss)
            if judged:
                curve.append(self._accuracy(weights, sample))
            if not judged or curve[-1] > max(curve[:-1]):
                best, best_epoch = weights, epoch
            if states:
                state = CourseState(
                    epoch=epoch,
                    n_steps=steps.n_done,
                    weights=weights,
                    moments=steps.moments(),
                    best=best,
                    best_epoch=best_epoch,
                    curve=tuple(curve),
                )
                states.save(state)
        return best, best_epoch, curve

    def vectors(self, weights: Mapping[str, mx.array], texts: Sequence[str]) -> mx.array:
        """(texts, width)."""
        return self._vectors(weights, self._wordpiece.tokens(texts))

    def _vectors(self, weights: Mapping[str, mx.array], tokens: Sequence[Sequence[int]]) -> mx.array:
        # Sorted by length: the shorter the padding.
        order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        made: list[mx.array] = []
        for start in range(0, len(order), 64):
            batch = padded([tokens[index] for index in order[start : start + 64]])
            made.append(sentence_vectors(weights, self._sizes, *batch))
            mx.eval(made[-1])
        return mx.concatenate(made)[mx.array(np.argsort(order))]

    def _means(self, tokens: Sequence[Sequence[int]], wanted: Indices) -> mx.array:
        vectors = np.array(self._vectors(self._base, tokens))
        return mx.array(np.stack([vectors[wanted == number].mean(axis=0) for number in range(len(self.labels))]))

    def _heard(self, texts: Sequence[str], epoch: int) -> list[str]:
        if self._noise is None:
            return list(texts)
        chance, seed = random.Random(f"{self.config.seed}-{epoch}-heard"), f"{self.config.seed}-{epoch}"
        return [
            self._noise.distort(text, rate=self.config.noise_rate, seed=seed)
            if chance.random() < self.config.noised_share
            else text
            for text in texts
        ]

    def _batches(self, tokens: Sequence[Sequence[int]], epoch: int) -> Iterator[list[int]]:
        order = list(range(len(tokens)))
        random.Random(f"{self.config.seed}-{epoch}").shuffle(order)
        for start in range(0, len(order), self.config.batch_size):
            yield order[start : start + self.config.batch_size]

    def _gradients(
        self,
        weights: Tensors,
        sentences: Sequence[Sequence[int]],
        wanted: Indices,
    ) -> tuple[mx.array, Tensors]:
        batch, targets = padded(sentences), mx.array(wanted)
        frozen = {name: weight for name, weight in weights.items() if name.startswith(_FROZEN)}

        def loss(tuned: Tensors) -> mx.array:
            vectors = sentence_vectors(frozen | tuned, self._sizes, *batch)
            cosines = vectors @ _unit(tuned[DIRECTIONS]).T
            return ops.cross_entropy(cosines * self.config.training_scale, targets).mean()

        made: tuple[mx.array, Tensors] = mx.value_and_grad(loss)(
            {name: weight for name, weight in weights.items() if name not in frozen}
        )
        return made

    def _accuracy(self, weights: Mapping[str, mx.array], rows: Sequence[Example]) -> float:
        vectors = self.vectors(weights, [text for text, _ in rows])
        nearest = np.array(mx.argmax(vectors @ _unit(weights[DIRECTIONS]).T, axis=1))
        return float(np.mean([self.labels[i] == label for i, (_, label) in zip(nearest, rows, strict=True)]))


def _measured_head(
    course: _Course, weights: Mapping[str, mx.array], judged: Sequence[Example], record: Mapping[str, object]
) -> Head:
    directions = np.array(_unit(weights[DIRECTIONS]))
    cosines = np.array(course.vectors(weights, [text for text, _ in judged])) @ directions.T
    is_inside = np.array([label is not None for _, label in judged])
    wanted = np.array([course.labels.index(label) if label is not None else -1 for _, label in judged])
    # Temperature on one half, what is left of the error on the other: a fit looks best where it was made.
    inside = np.flatnonzero(is_inside)
    scale = choose_scale(cosines[inside[::2]], wanted[inside[::2]])
    checked = inside[1::2]
    confidences = probabilities(cosines[checked], scale).max(axis=1)
    best = cosines.argmax(axis=1)
    threshold = choose_threshold(cosines.max(axis=1), best == wanted, is_inside)
    measured = dict(record) | {
        "accuracy": float((best == wanted)[is_inside].mean()),
        "calibration_error": calibration_error(confidences, (best == wanted)[checked]) if len(checked) else None,
        "answered_accuracy": threshold.in_scope_accuracy,
        "out_of_scope_recall": threshold.out_of_scope_recall,
        "n_in_scope": threshold.n_in_scope,
        "n_out_of_scope": threshold.n_out_of_scope,
    }
    return Head(course.labels, directions, scale, threshold.value, measured)


def _alarm(course: _Course, weights: Mapping[str, mx.array], judged: Sequence[Example], scale: float) -> Alarm:
    cosines = np.array(course.vectors(weights, [text for text, _ in judged])) @ np.array(_unit(weights[DIRECTIONS])).T
    label = str(course.config.alarm_label)
    shares = probabilities(cosines, scale)[:, course.labels.index(label)]
    has_label = [own == label for _, own in judged]
    return choose_alarm(label, shares, has_label, most_false_alarms=course.config.most_false_alarms)


def _unit(directions: mx.array) -> mx.array:
    return directions / mx.maximum(mx.linalg.norm(directions, axis=-1, keepdims=True), _SMALLEST_LENGTH)


def _hold_out(
    labelled: Sequence[Example], outside: Sequence[Example], config: ClassifierConfig
) -> tuple[list[Example], list[Example]]:
    groups: dict[str, list[Example]] = defaultdict(list)
    for row in labelled:
        groups[str(row[1])].append(row)
    learned: list[Example] = []
    judged = list(outside)
    for label, rows in sorted(groups.items()):
        if len(rows) < 2:
            raise TrainingError(f"label {label!r}: expected 2 examples or more, one of them to measure on, got 1")
        random.Random(f"{config.seed}-{label}").shuffle(rows)
        n_held = min(len(rows) - 1, max(1, round(len(rows) * config.held_out)))
        learned += rows[n_held:]
        judged += rows[:n_held]
    return learned, judged


def _check(labels: tuple[str, ...], judged: Sequence[Example], config: ClassifierConfig) -> None:
    if len(labels) < 2:
        raise TrainingError(f"expected examples of two labels or more, got {len(labels)}")
    strangers = sorted({label for _, label in judged if label is not None} - set(labels))
    if strangers:
        raise TrainingError(f"development texts: no example has the label {strangers[0]!r}")
    if all(label is None for _, label in judged):
        raise TrainingError("expected development texts with a label, got none")
    if config.alarm_label is not None and config.alarm_label not in labels:
        raise TrainingError(f"alarm: expected one of the labels, got {config.alarm_label!r}")
