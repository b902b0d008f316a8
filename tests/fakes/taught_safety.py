"""A safety classifier that warns of one of three kinds of sentences, taught in a second, and its damage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.fakes.taught_intents import TEACHING, examples
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.calibration import Alarm
from projectone.assist.classifiers import Head, load_classifier, save_classifier
from projectone.assist.encoder.bert_files import read_bert
from projectone.server.training.classifiers import Example, teach_classifier

LABEL = "alarm"
Damage = Callable[[Path, Path], object]


def save_guard(out: Path) -> Path:
    """One that was taught."""
    taught = teach_classifier(
        tiny_bert(),
        examples(40, seed=1),
        development=examples(60, seed=101),
        config=replace(TEACHING, alarm_label=LABEL, noised_share=0.5),
    )
    save_classifier(out, taught.encoder, taught.head, bits=8)
    return out


def golden_comments(n: int = 200) -> list[Example]:
    """What safety classifiers are judged on; a third of it is to be warned of."""
    return examples(n, seed=3)


def _with_head(change: Callable[[Head], Head]) -> Damage:
    return lambda honest, out: save_classifier(out, read_bert(honest), change(load_classifier(honest).head), bits=8)


def with_threshold(threshold: float) -> Damage:
    """It warns from another probability on."""
    return _with_head(lambda head: replace(head, alarm=replace(_alarm(head), threshold=threshold)))


def _alarm(head: Head) -> Alarm:
    assert head.alarm is not None
    return head.alarm


def _without_numbers(honest: Path, out: Path) -> None:
    files = read_bert(honest)
    name = "encoder.layer.0.output.LayerNorm.weight"
    broken = replace(files, tensors=files.tensors | {name: np.full_like(files.tensors[name], np.nan)})
    save_classifier(out, broken, load_classifier(honest).head, bits=8)


SABOTAGES: dict[str, tuple[str, Damage]] = {
    "it warns of nothing": ("recall-low", with_threshold(1.0)),
    "it warns of everything": ("false-alarms-high", with_threshold(0.0)),
    "it warns of something else": (
        "label-lost",
        _with_head(lambda head: replace(head, alarm=replace(_alarm(head), label="music"))),
    ),
    "its labels are permuted": (
        "recall-low",
        _with_head(lambda head: replace(head, labels=(*head.labels[1:], head.labels[0]))),
    ),
    "it is large": (
        "too-large",
        lambda honest, out: save_classifier(out, read_bert(honest), load_classifier(honest).head, bits=32),
    ),
    "its weights are no numbers": ("not-finite", _without_numbers),
}
"""The code of the objection that each must meet, and how it is made."""
