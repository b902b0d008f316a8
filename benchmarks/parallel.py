"""Two processes against one with the same batch: seconds of a training step on this machine, weights at real sizes.

A step is loss, gradients, their sum over the processes, clipping and AdamW, on clips of 4 s in a short context. One
process is timed with one thread and with as many as there are cores; each of two has one. Runs are interleaved; seconds
are those of a clock on the wall, medians, because waiting for the other one is part of it.

    python benchmarks/parallel.py [--quick] [--json] [--size tiny|base|starter]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# The BLAS before mlx, and before `peers`, which is for one thread alone.
import projectone.server.training  # noqa: F401  # isort: skip
import mlx.core as mx  # isort: skip
from peers.turns import conditions
from peers.whispers import SIZES, random_checkpoint
from train import CLIP_NORM, CLIP_S, RATE, WEIGHT_DECAY, Shape, batch_of

from projectone.server.training.adamw import AdamW
from projectone.server.training.batching import frames_of
from projectone.server.training.clipped_step import ClippedAdamW
from projectone.server.training.config import TrainingConfig
from projectone.server.training.engines.methods import open_method
from projectone.server.training.memory import keep_freed_memory
from projectone.server.training.parallel import ProcessGroup
from projectone.server.training.parallel_parts import SharedGradients, share_of
from projectone.server.work.processes import join_run, run_processes

N_CLIPS = 8
TWO, ONE, ONE_WIDE = "two processes", "one process", "one process, a thread for every core"
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
Seconds = dict[str, dict[str, float]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of few steps")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="for likeness with the others: there are none")
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # how many processes
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--process", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker and arguments.worker > 1 and arguments.process is None:
        return run_processes([sys.executable, *sys.argv], arguments.worker)
    if arguments.worker:
        work(join_run(arguments.process), arguments.size, arguments.steps)
        return 0
    n_rounds, n_steps = (1, 2) if arguments.quick else (3, 6)
    found = measure(arguments.size, n_rounds=n_rounds, n_steps=n_steps)
    if not arguments.json:
        for kind, values in found.items():
            print(f"{kind:38} {values['step_s']:.3f} s a step; summing gradients takes {values['exchange_s']:.3f} s")
    print(json.dumps(report(arguments.size, found, n_rounds=n_rounds, n_steps=n_steps)))
    return 0


def report(size: str, found: Seconds, *, n_rounds: int, n_steps: int) -> dict[str, Any]:
    """The last line; a ratio above one means that two processes are faster."""
    more = conditions(size=f"whisper-{size}", n_clips=N_CLIPS, clip_s=CLIP_S, n_rounds=n_rounds, n_steps=n_steps)
    return {
        "name": "parallel",
        "ratios": {kind: round(found[kind]["step_s"] / found[TWO]["step_s"], 2) for kind in (ONE, ONE_WIDE)},
        "wall_s": found,
        "left_out": {},
        "conditions": {
            **more,
            "threads": "one for each process, and in the third row as many as there are cores",
            "n_cores": os.cpu_count(),
            "time": "wall seconds, median of interleaved runs",
        },
    }


def measure(size: str, *, n_rounds: int, n_steps: int) -> Seconds:
    """Median seconds of a step, and of its exchange, of every kind."""
    kinds = {TWO: (2, 1), ONE: (1, 1), ONE_WIDE: (1, os.cpu_count() or 1)}
    told: dict[str, list[dict[str, list[float]]]] = {kind: [] for kind in kinds}
    for _ in range(n_rounds):
        for kind, (n_processes, n_threads) in kinds.items():
            command = [sys.executable, str(Path(__file__)), "--size", size, "--steps", str(n_steps)]
            command += ["--worker", str(n_processes)]
            environment = {**os.environ, **dict.fromkeys(_THREADS, str(n_threads))}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            told[kind].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        kind: {
            name: round(statistics.median(second for told_once in rounds for second in told_once[name]), 4)
            for name in ("step_s", "exchange_s")
        }
        for kind, rounds in told.items()
    }


def work(group: ProcessGroup, size: str, n_steps: int) -> None:
    """Take the steps; the first process prints how long they took."""
    keep_freed_memory()
    dims = SIZES[size]
    way = open_method(random_checkpoint(dims).model, Path("unused"), TrainingConfig(method="full"))
    optimiser = AdamW(weight_decay=WEIGHT_DECAY)
    update, gradients = ClippedAdamW(optimiser, CLIP_NORM), SharedGradients(way.loss_and_gradients, group)
    weights, moments = way.opening, optimiser.zeros(way.opening)
    batch = share_of(batch_of(dims, Shape(N_CLIPS, frames_of(CLIP_S))), rank=group.rank, size=group.size)
    step_s: list[float] = []
    exchange_s: list[float] = []
    for step in range(n_steps + 1):
        begun = time.perf_counter()
        _, made = gradients(weights, batch, step)
        weights, moments, _ = update(weights, made, moments, RATE, step)
        stepped = time.perf_counter()
        mx.eval(group.sum(list(made.values())))
        if step:  # the first one warms up
            step_s.append(stepped - begun)
            exchange_s.append(time.perf_counter() - stepped)
    if group.is_first:
        print(json.dumps({"step_s": step_s, "exchange_s": exchange_s}))


if __name__ == "__main__":
    sys.exit(main())
