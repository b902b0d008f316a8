"""One training run as a process: `training_run.py BASE WORK OUT METHOD [PLACE]`; it kills itself at that place."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.fakes.tiny_whisper import WORDS, say

import projectone.server.training.engines.run as engine
from projectone.server.training import TrainingClip, TrainingConfig, TrainingProgress, finetune
from projectone.server.training.config import LoraConfig, RolloutConfig
from projectone.server.training.engines.methods import LoraTraining
from projectone.server.training.state import StateFolder, TrainingState

FULL = TrainingConfig(epochs=2, checkpoint_every_steps=3, evaluate_times=2, alphas=(0.5, 1.0), learning_rate=1e-3)
# With everything that could go on otherwise after a kill: dropout, and encoder outputs that are on disk or not.
LORA = replace(FULL, method="lora", lora=LoraConfig(dropout=0.1), trainable="decoder", encoded_epochs=1)
SEQUENCE = replace(FULL, sequence="grpo", rollouts=RolloutConfig(n_hypotheses=3, max_steps=7))


def clips() -> list[TrainingClip]:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list(WORDS), size=random.integers(1, 4))) for _ in range(90)]
    return [TrainingClip(f"c{i}", say(text, seed=i), text, f"s{i % 3}") for i, text in enumerate(texts)]


def say_where(progress: TrainingProgress, place: str) -> None:
    here = f"{progress.phase} {progress.step}"
    print(here, flush=True)
    if here == place:
        kill_self()


def forget_the_moments() -> None:
    """Go on from weights alone, as a run does that keeps nothing of its optimiser."""
    read = StateFolder._read

    def without_moments(folder: StateFolder, path: Path) -> TrainingState:
        state = read(folder, path)
        first, second = state.moments
        forgotten = [{name: array * 0 for name, array in part.items()} for part in (first, second)]
        return replace(state, moments=(forgotten[0], forgotten[1]))

    StateFolder._read = without_moments  # type: ignore[method-assign]


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    base, work, out = (Path(argument) for argument in sys.argv[1:4])
    config = {"full": FULL, "lora": LORA, "sequence": SEQUENCE}[sys.argv[4]]
    place = "".join(sys.argv[5:])
    if place == "forgetful":
        forget_the_moments()
    if place == "before the note":
        engine.write_atomically = lambda *_: kill_self()  # type: ignore[attr-defined]  # it writes nothing else
    if place == "before the adapter":
        LoraTraining.save_beside = lambda *_: kill_self()  # type: ignore[method-assign]
    result = finetune(
        base, clips(), config, work_folder=work, out=out, on_progress=lambda progress: say_where(progress, place)
    )
    print("done", result.weights_sha256, flush=True)
