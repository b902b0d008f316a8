"""CLINC150 with a few examples per class, and what others make of it: SetFit, sentence-transformers, ONNX Runtime.

Needs the `parity` extra (torch) and the folder of MiniLM's weights.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Rows = list[tuple[str, str | None]]


@dataclass(frozen=True)
class Intents:
    """Texts with their intent; None where none of the intents is meant."""

    train: Rows
    development: Rows
    test: Rows


def read_clinc150(data: Path, *, n_per_class: int, seed: int) -> Intents:
    """The published splits; of `train`, so many of every class, drawn by a seed of their own."""
    raw = json.loads((data / "text" / "clinc150" / "data_full.json").read_text())
    texts = defaultdict(list)
    for text, intent in raw["train"]:
        texts[intent].append(text)
    drawn = [
        (text, intent)
        for intent in sorted(texts)
        for text in random.Random(f"{seed}-{intent}").sample(sorted(texts[intent]), n_per_class)
    ]
    random.Random(seed).shuffle(drawn)
    plain = {
        name: [(text, None if intent == "oos" else intent) for text, intent in raw[name] + raw[f"oos_{name}"]]
        for name in ("val", "test")
    }
    return Intents(drawn, plain["val"], plain["test"])


def setfit_probabilities(
    intents: Intents, folder: Path, n_iterations: int, seed: int, work: Path
) -> tuple[list[str], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """SetFit's own trainer with its own settings, and logistic regression as its head.

    Args:
        intents: Only `train` is learned from.
        folder: Weights to begin with.
        n_iterations: Pairs of either kind for every text (`num_iterations`; 20 in the paper).
        seed: Of its sampling.
        work: Where its trainer writes.

    Returns:
        Intents, and their probabilities for the development and the test texts.
    """
    import datasets
    from setfit import SetFitModel, Trainer, TrainingArguments

    names = sorted({str(intent) for _, intent in intents.train})
    model = SetFitModel.from_pretrained(str(folder), labels=names)
    settings = TrainingArguments(
        output_dir=str(work), num_iterations=n_iterations, num_epochs=1, seed=seed, report_to="none", save_strategy="no"
    )
    columns = {"text": [text for text, _ in intents.train], "label": [names.index(str(i)) for _, i in intents.train]}
    Trainer(model=model, args=settings, train_dataset=datasets.Dataset.from_dict(columns)).train()

    def probabilities(rows: Sequence[tuple[str, str | None]]) -> np.ndarray[Any, Any]:
        return np.asarray(model.predict_proba([text for text, _ in rows], as_numpy=True))

    return names, probabilities(intents.development), probabilities(intents.test)
