"""What a second of speech costs in training: alone in a window, packed with others into one, or in a short context.

Clips of 4 s, one step of loss and gradients on one thread, random weights at real sizes. FLOPs are those of the matrix
products, counted by hand, three times the forward ones; CPU seconds are medians of interleaved runs, and only their
ratios mean something on another machine.

    python benchmarks/packing.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from dataclasses import dataclass

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded

import projectone.server.training  # noqa: E402, F401  # isort: skip
import mlx.core as mx  # noqa: E402  # isort: skip
import numpy as np  # noqa: E402
from mlx.utils import tree_flatten, tree_unflatten  # noqa: E402

from projectone.server.training.batching import frames_of, stream  # noqa: E402
from projectone.server.training.loss import Batch, Target, collate_targets, mean_cross_entropy  # noqa: E402
from projectone.server.training.memory import keep_freed_memory  # noqa: E402
from projectone.server.training.packing import pack  # noqa: E402
from projectone.speech.blas import load_blas  # noqa: E402
from projectone.speech.whisper import ModelDimensions, Whisper  # noqa: E402

SIZES = {
    "whisper-tiny": ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4),
    "whisper-base": ModelDimensions(80, 1500, 512, 8, 6, 51865, 448, 512, 8, 6),
}
CLIP_S, N_TEXT, N_GIVEN, N_PACKED = 4.0, 12, 4, 7
WINDOW_FRAMES = 3000
N_PLANNED = 1000  # clips whose packing is counted
ALONE, PACKED, SHORT = "alone in a window", "packed windows", "short context"


@dataclass(frozen=True)
class Step:
    """Rows of so many frames, each with the texts of so many clips."""

    n_rows: int
    n_frames: int
    n_clips_per_row: int

    @property
    def audio_s(self) -> float:
        """Seconds of speech in the step."""
        return self.n_rows * self.n_clips_per_row * CLIP_S

    @property
    def n_tokens(self) -> int:
        """Decoder positions of a row; packed texts carry timestamps."""
        pairs = 2 * self.n_clips_per_row if self.n_clips_per_row > 1 else 0
        return N_GIVEN + N_TEXT * self.n_clips_per_row + pairs


STEPS = {
    ALONE: Step(1, WINDOW_FRAMES, 1),
    PACKED: Step(1, WINDOW_FRAMES, N_PACKED),
    SHORT: Step(N_PACKED, frames_of(CLIP_S), 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="whisper-tiny alone, fewer runs")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    arguments = parser.parse_args()
    keep_freed_memory()
    sizes = ["whisper-tiny"] if arguments.quick else list(SIZES)
    found = {size: measure(SIZES[size], n_runs=2 if arguments.quick else 5) for size in sizes}
    fill = planned_fill()
    if not arguments.json:
        for size, rows in found.items():
            for step, values in rows.items():
                print(
                    f"{size:13} {step:18} {values['gflop_per_audio_s']:8.2f} GFLOP and "
                    f"{values['cpu_s_per_audio_s']:.4f} CPU s per second of speech"
                )
        print(f"planned windows hold {fill:.1%} speech")
    print(json.dumps(report(found, fill)))


def report(found: dict[str, dict[str, dict[str, float]]], fill: float) -> dict[str, object]:
    """The last line. The peer is a clip alone in its window, as published scripts train; above one, we cost less."""
    return {
        "name": "packing",
        "ratios": {
            f"{ALONE} / {step}, {size}": round(rows[ALONE]["cpu_s_per_audio_s"] / rows[step]["cpu_s_per_audio_s"], 2)
            for size, rows in found.items()
            for step in (PACKED, SHORT)
        },
        "sizes": found,
        "speech_in_planned_windows": fill,
        "conditions": {
            "clip_s": CLIP_S,
            "threads": 1,
            "time": "CPU seconds, median of interleaved runs",
            "blas": load_blas().source,
            "machine": platform.machine(),
            "python": platform.python_version(),
        },
    }


def planned_fill() -> float:
    """Share of the packed windows of an epoch that is speech, for clips of 3 to 5 s."""
    durations_s = np.random.default_rng(0).uniform(CLIP_S - 1, CLIP_S + 1, N_PLANNED).tolist()
    windows = pack(
        range(N_PLANNED), durations_s, [N_TEXT] * N_PLANNED, stream(0), window_s=WINDOW_FRAMES / 100, n_text_ctx=448
    )
    return float(sum(durations_s) / (len(windows) * WINDOW_FRAMES / 100))


def measure(dims: ModelDimensions, *, n_runs: int) -> dict[str, dict[str, float]]:
    """For every kind of step: GFLOP and CPU seconds per second of speech."""
    mx.random.seed(0)
    model = Whisper(dims)
    weights = dict(tree_flatten(model.trainable_parameters()))

    def loss(weights: dict[str, mx.array], batch: Batch) -> mx.array:
        model.update(tree_unflatten(list(weights.items())))
        return mean_cross_entropy(model, batch)

    gradients = mx.value_and_grad(loss)
    batches = {name: batch_of(dims, step) for name, step in STEPS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in STEPS}
    for run in range(n_runs + 1):
        for name, batch in batches.items():
            begun = time.process_time()
            mx.eval(gradients(weights, batch))
            if run:  # the first one warms up
                seconds[name].append(time.process_time() - begun)
    return {
        name: {
            "gflop_per_audio_s": round(flops(dims, step) / step.audio_s / 1e9, 3),
            "cpu_s_per_audio_s": round(statistics.median(seconds[name]) / step.audio_s, 5),
        }
        for name, step in STEPS.items()
    }


def batch_of(dims: ModelDimensions, step: Step) -> Batch:
    """Noise with random texts in the shapes of the step."""
    random = np.random.default_rng(0)
    texts = random.integers(0, 50_000, (step.n_rows, step.n_tokens + 1)).tolist()
    tokens, rows, columns, wanted = collate_targets([Target(tuple(text), N_GIVEN) for text in texts], pad=0)
    mel = random.standard_normal((step.n_rows, step.n_frames, dims.n_mels)).astype(np.float32)
    arrays = [mx.array(array) for array in (mel, tokens, rows, columns, wanted)]
    return Batch(*arrays, audio_s=step.audio_s)


def flops(dims: ModelDimensions, step: Step) -> float:
    """Of the matrix products of one step: forward, and twice as much backward."""
    state, positions, tokens = dims.n_audio_state, step.n_frames // 2, step.n_tokens
    convolutions = 2 * 3 * state * (step.n_frames * dims.n_mels + positions * state)
    projections = 24 * state**2  # four of attention, two of width 4 x state, two operations each
    encoder = dims.n_audio_layer * (positions * projections + 4 * positions**2 * state)
    own = tokens * projections + 4 * tokens**2 * state
    across = 4 * state**2 * (tokens + positions) + 4 * tokens * positions * state
    vocabulary = 2 * state * dims.n_vocab * (tokens - N_GIVEN + 1)
    return 3.0 * step.n_rows * (convolutions + encoder + dims.n_text_layer * (own + across) + vocabulary)


if __name__ == "__main__":
    main()
