"""One training run as a process that a test can kill: `python training_run.py BASE WORK OUT`."""

import sys
from pathlib import Path

import numpy as np
from tests.fakes.tiny_whisper import WORDS, say

from projectone.server.training import TrainingClip, TrainingConfig, TrainingProgress, finetune

CONFIG = TrainingConfig(epochs=2, checkpoint_every_steps=3, evaluate_times=2, alphas=(0.5, 1.0), learning_rate=1e-3)


def clips() -> list[TrainingClip]:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list(WORDS), size=random.integers(1, 4))) for _ in range(90)]
    return [TrainingClip(f"c{i}", say(text, seed=i), text, f"s{i % 3}") for i, text in enumerate(texts)]


def say_where(progress: TrainingProgress) -> None:
    print(progress.phase, progress.step, flush=True)


if __name__ == "__main__":
    base, work, out = (Path(argument) for argument in sys.argv[1:])
    result = finetune(base, clips(), CONFIG, work_folder=work, out=out, on_progress=say_where)
    print("done", result.weights_sha256, flush=True)
