"""One process of a training run that several share: `parallel_run.py BASE FOLDER METHOD TROUBLE --process PLACE`.

TROUBLE is nothing, or what happens in a process in a step (counted from zero): `kill RANK/STEP` kills the process,
`orphan` kills the one that started all, `interrupt` is a Ctrl-C there, and `drift` takes a larger step than the others.
The last two arguments come from `run_processes`.
"""

import projectone.speech  # noqa: F401 - the fast BLAS, before mlx

# isort: split

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
from tests.fakes.tiny_whisper import WORDS, say

import projectone.server.training.engines.run as engine
from projectone.errors import LostProcessError, ProjectOneError
from projectone.server.training import TrainingClip, TrainingConfig
from projectone.server.training.adamw import Tensors
from projectone.server.training.config import LoraConfig, RolloutConfig
from projectone.server.training.loss import Batch
from projectone.server.training.state import TrainingState
from projectone.server.training.trainer import LoopParts, train
from projectone.server.work.processes import EXIT_LEFT, join_run

_SIGNALS = {
    "kill": (os.getpid, signal.SIGKILL),
    "orphan": (os.getppid, signal.SIGKILL),
    "interrupt": (os.getppid, signal.SIGINT),
}
Train = Callable[..., TrainingState]
FULL = TrainingConfig(
    epochs=1,
    max_steps=6,
    batch_seconds=6.0,  # 2 * 3: of two processes, each takes about as much as one alone would at half of it
    batch_size=7,  # which no two processes can share evenly
    checkpoint_every_steps=2,
    evaluate_times=2,
    alphas=(0.5, 1.0),
    learning_rate=1e-3,
)
CONFIGS = {
    "full": FULL,
    "lora": replace(FULL, method="lora", learning_rate=4e-3, trainable="decoder", encoded_epochs=1, epochs=2),
    "dropout": replace(FULL, method="lora", lora=LoraConfig(dropout=0.2)),
    "sequence": replace(FULL, sequence="mwer", rollouts=RolloutConfig(n_hypotheses=2, max_steps=2)),
}


def clips() -> list[TrainingClip]:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list(WORDS), size=random.integers(1, 4))) for _ in range(50)]
    return [TrainingClip(f"c{i}", say(text, seed=i), text, f"s{i % 3}") for i, text in enumerate(texts)]


def watch(rank: int, file: Path, trouble: str = "") -> Train:
    """The loop of this process, which meets with the trouble, and leaves its last weights in a file."""
    kind, _, place = trouble.partition(" ")
    step = int(place.partition("/")[2]) if place.startswith(f"{rank}/") else -1

    def watched(
        state: TrainingState, parts: LoopParts, config: TrainingConfig, *, n_steps: int, rate: float
    ) -> TrainingState:
        def batch_of(number: int) -> Batch:
            if kind in _SIGNALS and number == step:
                whose, how = _SIGNALS[kind]
                os.kill(whose(), how)
                time.sleep(600)  # until the end of this process, which must not be the test's to bring about
            return parts.batch_of(number)

        def update(
            weights: Tensors, gradients: Tensors, moments: tuple[Tensors, Tensors], rate: float, n_done: int
        ) -> tuple[Tensors, tuple[Tensors, Tensors], mx.array]:
            return parts.update(weights, gradients, moments, rate * (1 + (kind == "drift" and n_done == step)), n_done)

        state = train(state, replace(parts, batch_of=batch_of, update=update), config, n_steps=n_steps, rate=rate)
        mx.save_safetensors(str(file), state.weights)
        return state

    return watched


if __name__ == "__main__":
    base, folder = Path(sys.argv[1]), Path(sys.argv[2])
    group = join_run(sys.argv[-1])
    engine.train = watch(group.rank, folder / f"weights-{group.rank}.safetensors", sys.argv[4])  # type: ignore[attr-defined]
    try:
        result = engine.finetune(
            base, clips(), CONFIGS[sys.argv[3]], work_folder=folder / "work", out=folder / "out", group=group
        )
    except LostProcessError as error:
        if group.rank:
            sys.exit(EXIT_LEFT)
        sys.exit(f"process 0 says: {error}")
    except ProjectOneError as error:
        sys.exit(f"process {group.rank} says: {error}")
    except KeyboardInterrupt:
        sys.stderr.write(f"process {group.rank} was interrupted\n")
        sys.exit(130)
    (folder / f"digest-{group.rank}").write_text(result.weights_sha256)
