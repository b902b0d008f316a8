"""Sentences of three intents in fourteen words, a classifier of them that was taught in a second, and its damage."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.classifiers import Head, load_classifier, save_classifier
from projectone.assist.encoder.bert_files import BertFiles, read_bert
from projectone.server.training.classifiers import ClassifierConfig, Example, teach_classifier

INTENTS = {
    "music": ("play", "music", "song", "some"),
    "weather": ("rain", "warm", "weather", "is"),
    "alarm": ("set", "alarm", "wake", "the"),
}
_OUTSIDE = ("zebra", "quark", "lynx")
TEACHING = ClassifierConfig(max_epochs=6, learning_rate=5e-3, direction_rate=2e-2, noised_share=0.0)
Damage = Callable[[Path, Path], object]


def examples(n: int, *, seed: int, n_outside: int = 0) -> list[Example]:
    """`n` sentences of each intent, and some of none."""
    chance = random.Random(seed)
    made: list[Example] = [
        (" ".join(chance.choices(words, k=chance.randint(3, 5))), label)
        for label, words in INTENTS.items()
        for _ in range(n)
    ]
    return made + [(" ".join(chance.choices(_OUTSIDE, k=chance.randint(3, 5))), None) for _ in range(n_outside)]


def write_lines(path: Path, rows: list[Example]) -> Path:
    """A manifest of them."""
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return path


def save_honest(out: Path, *, seed: int = 0) -> Path:
    """A classifier that was taught."""
    taught = teach_classifier(
        tiny_bert(seed=seed),
        examples(40, seed=1),
        development=examples(20, seed=2, n_outside=30),
        config=TEACHING,
    )
    save_classifier(out, taught.encoder, taught.head, bits=8)
    return out


def _changed(honest: Path, out: Path, encoder: Callable[[BertFiles], BertFiles], head: Callable[[Head], Head]) -> None:
    save_classifier(out, encoder(read_bert(honest)), head(load_classifier(honest).head), bits=8)


def _with_head(change: Callable[[Head], Head]) -> Damage:
    return lambda honest, out: _changed(honest, out, lambda files: files, change)


def _shallow_threshold(honest: Path, out: Path) -> None:
    """Most texts without an intent pass it, one does not."""
    classifier = load_classifier(honest, numerics="int8")
    fits = [one.fit for one in classifier.classify([text for text, _ in golden_rows() if _ is None])]
    lowest = sorted(set(fits))[0]
    _with_head(lambda head: replace(head, threshold=lowest + 1e-4))(honest, out)


def _deeper(files: BertFiles) -> BertFiles:
    layers = range(files.config.num_hidden_layers, 2 * files.config.num_hidden_layers)
    copied = {
        name.replace("layer.1.", f"layer.{number}."): tensor
        for number in layers
        for name, tensor in files.tensors.items()
        if "layer.1." in name
    }
    config = replace(files.config, num_hidden_layers=2 * files.config.num_hidden_layers)
    return replace(files, config=config, tensors=files.tensors | copied)


def _without_numbers(files: BertFiles) -> BertFiles:
    name = "encoder.layer.0.output.LayerNorm.weight"
    return replace(files, tensors=files.tensors | {name: np.full_like(files.tensors[name], np.nan)})


def _large(honest: Path, out: Path) -> None:
    save_classifier(out, read_bert(honest), load_classifier(honest).head, bits=32)


def golden_rows() -> list[Example]:
    """What classifiers are judged on."""
    return examples(20, seed=3, n_outside=30)


SABOTAGES: dict[str, tuple[str, Damage]] = {
    "its labels are permuted": (
        "worse-overall",
        _with_head(lambda head: replace(head, labels=(*head.labels[1:], head.labels[0]))),
    ),
    "its threshold is open": ("refuses-nothing", _with_head(lambda head: replace(head, threshold=-1.0))),
    "what it should refuse passes": ("out-of-scope-worse", _shallow_threshold),
    "a label is lost": (
        "label-lost",
        _with_head(lambda head: replace(head, labels=head.labels[:-1], directions=head.directions[:-1])),
    ),
    "its probabilities are made up": ("calibration-broken", _with_head(lambda head: replace(head, scale=0.5))),
    "it is slow": ("slower", lambda honest, out: _changed(honest, out, _deeper, lambda head: head)),
    "it is large": ("too-large", _large),
    "its weights are no numbers": (
        "not-finite",
        lambda honest, out: _changed(honest, out, _without_numbers, lambda head: head),
    ),
}
"""The code of the objection that each must meet, and how it is made."""
