"""Short runs of any engine over a language of tones, and what they left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tests.fakes.tiny_whisper import WORDS, say

from projectone.server.training import TrainingClip, TrainingConfig
from projectone.speech.checkpoint import load_checkpoint, model_tensors

# One checkpoint on the way, two judgements, one share besides the whole: every part of a run, in six steps.
QUICK = TrainingConfig(
    max_steps=6,
    batch_size=4,
    checkpoint_every_steps=2,
    dev_share=0.3,
    evaluate_times=2,
    alphas=(0.5, 1.0),
    learning_rate=3e-3,
)


def clips(n: int) -> list[TrainingClip]:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list(WORDS), size=random.integers(1, 4))) for _ in range(n)]
    return [TrainingClip(f"c{i}", say(text, seed=i), text, f"s{i % 3}") for i, text in enumerate(texts)]


def events_of(work: Path, kind: str) -> list[dict[str, object]]:
    """What the log of a run says of one kind."""
    lines = [json.loads(line) for line in (work / "training.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["event"] == kind]


def losses_of(work: Path) -> list[float]:
    """Of every step."""
    return [float(str(event["loss"])) for event in events_of(work, "step")]


def tensors_of(folder: Path) -> dict[str, np.ndarray]:
    """Every tensor of a model, by our name."""
    return {name: np.array(tensor) for name, tensor in model_tensors(load_checkpoint(folder).model).items()}
