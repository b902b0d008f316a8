"""How many seconds of speech one CPU second trains, beside transformers on torch: clips of 4 s, one thread.

Random weights at real sizes: the arithmetic is that of the real model. A step is forward, backward, clipping and AdamW
on sixteen clips, the published script's own batch (four with --quick, and at base's size where a peer keeps what its
forward pass made; a window holds seven, packed).

  ours: short            all weights; each clip in a context of its own length, which is what `train` does
  ours: window           all weights; seven clips packed in one window of 30 s
  ours: lora             adapters in queries and values; each clip in a context of its own length
  ours: lora, decoder    the same with a frozen encoder whose outputs were stored by an earlier epoch
  transformers script    all weights; one clip in a padded window (Whisper requires it), and what the forward pass made
                         is computed again for the gradients: the published command says --gradient_checkpointing
  transformers padded    the same, but what the forward pass made is kept
  transformers window    all weights; the same packed window as ours
  transformers lora      as padded, with peft's adapters in queries and values
  mlx-tune               all weights; its own trainer: one clip in a padded window, four to a step (not with --quick)

GFLOP are those of the matrix products that are made, counted by hand: three times the forward ones for all weights
(four where the forward pass is done twice), twice for adapters, whose layers get no gradient themselves. For a short
text, all weights of ours make no keys and values of the sound (`speech/absorbed_attention.py`). A stage is said to be
limited by products, or by memory, where it reaches six tenths of what these reach alone on this machine. Peers that are
not installed are left out and named. Times are CPU seconds of interleaved runs; only their ratios mean something on
another machine.

    python benchmarks/train.py [--quick] [--json] [--no-peers] [--size tiny|base|starter ...] [--method full|lora|both]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from peers.training import (
    CLIP_NORM,
    CLIP_S,
    N_GIVEN,
    N_TEXT,
    RATE,
    WEIGHT_DECAY,
    Shape,
    mel_of,
    mlx_tune_step,
    targets_of,
    their_step,
)
from peers.turns import Work, build_peers, conditions, take_turns
from peers.whispers import SIZES, random_checkpoint

import projectone.server.training  # noqa: F401  # isort: skip
import mlx.core as mx  # isort: skip
import numpy as np
from mlx.utils import tree_flatten

from projectone.server.training.adamw import AdamW
from projectone.server.training.batching import frames_of
from projectone.server.training.clipped_step import ClippedAdamW
from projectone.server.training.config import Method, TrainingConfig
from projectone.server.training.engines.methods import open_method
from projectone.server.training.loss import Batch, collate_targets, mean_cross_entropy
from projectone.server.training.memory import keep_freed_memory
from projectone.speech.whisper import ModelDimensions

SHORT, WINDOW, LORA, CACHED = "ours: short", "ours: window", "ours: lora", "ours: lora, decoder"
SCRIPT, PADDED, THEIR_WINDOW = "transformers script", "transformers padded", "transformers window"
THEIR_LORA = "transformers lora"
MLX_TUNE = "mlx-tune"
PEAK, STREAM = "matrix product", "stream"
_PEAK_SIZE = 1024
_STREAM_SIZE = 2**24
_TUNE_CLIPS = 4  # to a step of mlx-tune, by its own settings
# At base's width what sixteen padded windows make on the way takes over 20 GB; of four each takes as long.
_WIDEST_KEPT = 384
# Arrays as large as the weights that clipping and AdamW read and write: the gradients read twice, and written over
# with the new weights; the weights read; two moments read and written.
_UPDATE_ARRAYS = 3 + 1 + 4
_LIMITED = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="whisper-tiny alone, fewer clips and runs")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="our own times alone")
    parser.add_argument("--size", choices=list(SIZES), nargs="+")
    parser.add_argument("--method", choices=("full", "lora", "both"), default="both")
    arguments = parser.parse_args()
    keep_freed_memory()  # as `finetune` does; the peers get the same
    n_clips, n_runs = (4, 2) if arguments.quick else (16, 3)
    left_out: dict[str, str] = {}
    found = {}
    for size in arguments.size or (["tiny"] if arguments.quick else ["tiny", "base"]):
        found[size] = measure(
            SIZES[size], arguments.method, left_out, n_clips=n_clips, n_runs=n_runs, with_peers=not arguments.no_peers
        )
        if not arguments.json:
            print_table(size, found[size])
    result = {
        "name": "train",
        "ratios": ratios(found),
        "sizes": found,
        "left_out": left_out,
        "conditions": conditions(clip_s=CLIP_S, n_clips=n_clips, n_tokens=N_GIVEN + N_TEXT, n_runs=n_runs),
    }
    print(json.dumps(result))


def measure(
    dims: ModelDimensions, method: str, left_out: dict[str, str], *, n_clips: int, n_runs: int, with_peers: bool
) -> dict[str, Any]:
    """Every way to train at one size: seconds, GFLOP and the share of the peak that the products reach."""
    window = 2 * dims.n_audio_ctx
    short, packed = Shape(n_clips, frames_of(CLIP_S)), Shape(1, window, int(window / 100 // CLIP_S))
    alone, few = Shape(n_clips, window), Shape(_TUNE_CLIPS, window)
    shapes = {SHORT: short, WINDOW: packed, LORA: short, CACHED: short}
    kept = alone if dims.n_audio_state <= _WIDEST_KEPT else few
    shapes |= {SCRIPT: alone, PADDED: kept, THEIR_WINDOW: packed, THEIR_LORA: kept, MLX_TUNE: few}
    works: dict[str, Work] = {PEAK: peak_work(), STREAM: stream_work()}
    if method in ("full", "both"):
        works |= {SHORT: our_step(dims, short, "full"), WINDOW: our_step(dims, packed, "full")}
        works |= forward_works(dims, short)
    if method in ("lora", "both"):
        works |= {LORA: our_step(dims, short, "lora"), CACHED: our_step(dims, short, "lora", is_cached=True)}
    builders: dict[str, Callable[[], Work]] = {
        SCRIPT: partial(their_step, dims, alone, is_computed_twice=True),
        PADDED: partial(their_step, dims, kept),
        THEIR_WINDOW: partial(their_step, dims, packed),
        THEIR_LORA: partial(their_step, dims, kept, with_adapters=True),
    }
    if n_clips > _TUNE_CLIPS:
        builders[MLX_TUNE] = partial(mlx_tune_step, dims, few)
    else:
        left_out[MLX_TUNE] = "not with --quick"
    works |= build_peers(builders, left_out, wanted=with_peers)
    seconds = take_turns(works, n_runs=n_runs)
    # The two that do the same are close, so they take more turns: in its first steps a process still asks for memory.
    alike = {name: works[name] for name in (WINDOW, THEIR_WINDOW) if name in works}
    seconds |= take_turns(alike, n_warm_up=3, n_runs=3 * n_runs)
    peak, stream = 2 * _PEAK_SIZE**3 / seconds.pop(PEAK), 12 * _STREAM_SIZE / seconds.pop(STREAM)
    ways = {}
    for name in [name for name in seconds if name in shapes]:
        shape, taken = shapes[name], seconds[name]
        entry = {"audio_s_per_cpu_s": round(shape.audio_s / taken, 2), "cpu_s": round(taken, 4)}
        work = step_flops(dims, shape, name)
        ways[name] = entry | {"gflop": round(work / 1e9, 2), "share_of_peak": round(work / taken / peak, 3)}
    return {
        "ways": ways,
        "stages": stages(dims, short, seconds, peak, stream),
        "peak_gflops": round(peak / 1e9, 1),
        "stream_gb_per_s": round(stream / 1e9, 1),
    }


def peak_work() -> Work:
    a = mx.random.normal((_PEAK_SIZE, _PEAK_SIZE))
    mx.eval(a)
    return lambda: mx.eval(a @ a)


def stream_work() -> Work:
    """Two arrays far larger than a core's own caches are read, and one is written: twelve bytes to a number."""
    a, b = np.ones((2, _STREAM_SIZE), np.float32)
    return lambda: np.add(a, b, out=a)


def batch_of(dims: ModelDimensions, shape: Shape) -> Batch:
    arrays = (mel_of(dims, shape), *collate_targets(targets_of(dims, shape), pad=0))
    return Batch(*map(mx.array, arrays), audio_s=shape.audio_s)


def our_step(dims: ModelDimensions, shape: Shape, method: Method, *, is_cached: bool = False) -> Work:
    """A step that goes on from the one before."""
    config = TrainingConfig(method=method, trainable="decoder" if is_cached else "all")
    model = random_checkpoint(dims).model
    batch = batch_of(dims, shape)
    if is_cached:
        features = model.embed_audio(batch.mel)
        mx.eval(features)
        batch = Batch(**{**vars(batch), "features": features})
    way = open_method(model, Path("unused"), config)
    optimiser = AdamW(weight_decay=WEIGHT_DECAY)
    update = ClippedAdamW(optimiser, CLIP_NORM)
    weights, moments, n_done = way.opening, optimiser.zeros(way.opening), 0

    def step() -> None:
        nonlocal weights, moments, n_done
        loss, gradients = way.loss_and_gradients(weights, batch, n_done)
        weights, moments, norm = update(weights, gradients, moments, RATE, n_done)
        mx.eval(loss, norm)
        n_done += 1

    return step


def forward_works(dims: ModelDimensions, shape: Shape) -> dict[str, Work]:
    """Parts of our step on short contexts, each alone."""
    model = random_checkpoint(dims).model
    batch = batch_of(dims, shape)
    way = open_method(model, Path("unused"), TrainingConfig(method="full"))
    return {
        "encoder forward": lambda: mx.eval(model.embed_audio(batch.mel)),
        "all forward": lambda: mx.eval(mean_cross_entropy(model, batch)),
        "loss and gradients": lambda: way.loss_and_gradients(way.opening, batch, 0),
    }


def forward_flops(
    dims: ModelDimensions, shape: Shape, n_projected: int, *, is_absorbed: bool = False
) -> tuple[float, float]:
    """Of the matrix products for one row: encoder, then decoder with `n_projected` positions to the vocabulary."""
    state, positions, tokens = dims.n_audio_state, shape.n_frames // 2, shape.n_tokens
    convolutions = 6 * state * (shape.n_frames * dims.n_mels + positions * state)
    encoder = dims.n_audio_layer * (24 * positions * state**2 + 4 * positions**2 * state)
    own = 24 * tokens * state**2 + 4 * tokens**2 * state
    across = 4 * tokens * state**2 + 4 * positions * state**2 + 4 * tokens * positions * state
    if is_absorbed:
        across = 8 * tokens * state**2 + 4 * tokens * dims.n_text_head * positions * state
    projection = 2 * n_projected * state * dims.n_vocab
    return convolutions + encoder, dims.n_text_layer * (own + across) + projection


def step_flops(dims: ModelDimensions, shape: Shape, way: str) -> float:
    """Of the matrix products of a step."""
    # Theirs projects every position onto the vocabulary, ours those that are targets.
    is_theirs = way in (SCRIPT, PADDED, THEIR_WINDOW, THEIR_LORA)
    n_projected = shape.n_tokens if is_theirs else shape.n_tokens - N_GIVEN + 1
    encoder, decoder = forward_flops(dims, shape, n_projected, is_absorbed=way == SHORT)
    forward = decoder if way == CACHED else encoder + decoder
    n_passes = 4 if way == SCRIPT else 2 if way in (LORA, CACHED, THEIR_LORA) else 3
    return n_passes * shape.n_rows * forward


def stages(
    dims: ModelDimensions, shape: Shape, seconds: dict[str, float], peak: float, stream: float
) -> dict[str, dict[str, float | str]]:
    """Where the time of our step on short contexts goes, and what limits each part of it."""
    if "all forward" not in seconds:
        return {}
    of_row = forward_flops(dims, shape, shape.n_tokens - N_GIVEN + 1, is_absorbed=True)
    encoder, decoder = (shape.n_rows * flops for flops in of_row)
    forward, gradients = seconds["all forward"], seconds["loss and gradients"]
    n_weights = sum(weight.size for _, weight in tree_flatten(random_checkpoint(dims).model.trainable_parameters()))
    parts = {
        "encoder forward": (seconds["encoder forward"], encoder, 0),
        "decoder and loss forward": (forward - seconds["encoder forward"], decoder, 0),
        "backward": (gradients - forward, 2 * (encoder + decoder), 0),
        "clipping and AdamW": (seconds[SHORT] - gradients, 0.0, 4 * n_weights * _UPDATE_ARRAYS),
    }
    found: dict[str, dict[str, float | str]] = {}
    for name, (taken, work, n_bytes) in parts.items():
        of_peak, of_stream = work / max(taken, 1e-9) / peak, n_bytes / max(taken, 1e-9) / stream
        limit = "matrix products" if of_peak >= _LIMITED else "memory" if of_stream >= _LIMITED else "element-wise work"
        found[name] = {"cpu_s": round(taken, 4), "gflop": round(work / 1e9, 2), "share_of_peak": round(of_peak, 3)}
        found[name] |= {"share_of_stream": round(of_stream, 3)} if n_bytes else {}
        found[name]["limit"] = limit
    return found


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """How many times the speech we train in the same time; the least of the sizes."""
    pairs = {
        "transformers_script": (SHORT, SCRIPT),
        "transformers_padded": (SHORT, PADDED),
        "transformers_window": (WINDOW, THEIR_WINDOW),
        "transformers_lora": (LORA, THEIR_LORA),
        "transformers_lora_to_cached": (CACHED, THEIR_LORA),
        "mlx_tune": (SHORT, MLX_TUNE),
    }
    speeds = {size: {n: way["audio_s_per_cpu_s"] for n, way in of["ways"].items()} for size, of in found.items()}
    made: dict[str, float] = {}
    for name, (ours, theirs) in pairs.items():
        each = {size: round(s[ours] / s[theirs], 2) for size, s in speeds.items() if ours in s and theirs in s}
        if each:
            made[name] = min(each.values())
            made |= {f"{name}, {size}": ratio for size, ratio in each.items()}
    return made


def print_table(size: str, found: dict[str, Any]) -> None:
    print(
        f"whisper-{size}; a product of matrices of {_PEAK_SIZE} reaches {found['peak_gflops']} GFLOP/s,"
        f" a sum of long arrays {found['stream_gb_per_s']} GB/s"
    )
    print(f"{'':28} {'speech s per CPU s':>20} {'CPU s a step':>14} {'GFLOP':>8} {'share of peak':>14}")
    for name, way in found["ways"].items():
        work, share = way.get("gflop", ""), way.get("share_of_peak", "")
        print(f"{name:28} {way['audio_s_per_cpu_s']:20.2f} {way['cpu_s']:14.3f} {work:>8} {share:>14}")
    for name, stage in found["stages"].items():
        print(
            f"  {name:26} {'':20} {stage['cpu_s']:14.3f} {stage['gflop']:8} {stage['share_of_peak']:>14}"
            f"  limited by {stage['limit']}"
        )


if __name__ == "__main__":
    main()
