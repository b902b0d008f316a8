"""How long one training step takes: forward, backward, clipping and AdamW, on one thread, beside transformers on torch.

Random weights at real sizes: the arithmetic is that of the real model. Three works:

  whisper-tiny, whole window   two clips padded to 30 s on both sides: equal work
  whisper-tiny, corrections    four clips of 4 s; we pad to the clips, transformers can only pad to 30 s
  starter, whole window        eight clips padded to 10 s at the starter's size on both sides: equal work

Without torch our own times are reported alone. Times are CPU seconds of interleaved runs; only their ratios mean
something on another machine.

    python benchmarks/train_step.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded

import projectone.server.training  # noqa: E402, F401  # isort: skip
import mlx.core as mx  # noqa: E402  # isort: skip
import numpy as np  # noqa: E402
from mlx.utils import tree_flatten, tree_unflatten  # noqa: E402

from projectone.server.training.adamw import AdamW, Tensors, clip_by_global_norm  # noqa: E402
from projectone.server.training.loss import Batch, Target, collate_targets, mean_cross_entropy  # noqa: E402
from projectone.server.training.memory import keep_freed_memory  # noqa: E402
from projectone.speech.blas import load_blas  # noqa: E402
from projectone.speech.checkpoint import (  # noqa: E402
    FeatureSettings,
    GenerationSettings,
    WhisperCheckpoint,
    save_checkpoint,
)
from projectone.speech.tokenizer import Tokenizer  # noqa: E402
from projectone.speech.vocabulary import train_tokenizer  # noqa: E402
from projectone.speech.whisper import ModelDimensions, Whisper  # noqa: E402

TINY = ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)
STARTER = ModelDimensions(80, 500, 192, 3, 5, 1534, 128, 192, 3, 2)
RATE, CLIP_NORM, WEIGHT_DECAY = 1e-5, 1.0, 0.01
N_GIVEN, N_TEXT = 4, 12  # a short sentence
N_WARM_UP = 2  # rounds until the process has grown to its size


@dataclass(frozen=True)
class Work:
    """One kind of step."""

    name: str
    dims: ModelDimensions
    n_clips: int
    our_frames: int


WORKS = (
    Work("whisper-tiny, whole window", TINY, 2, 3000),
    Work("whisper-tiny, corrections", TINY, 4, 416),
    Work("starter, whole window", STARTER, 8, 1000),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    arguments = parser.parse_args()
    keep_freed_memory()  # as `finetune` does; the peer gets the same
    n_runs = 2 if arguments.quick else 7
    seconds: dict[str, dict[str, float]] = {}
    left_out: dict[str, str] = {}
    for work in WORKS:
        steps = {"projectone": our_step(work)}
        try:
            steps["transformers"] = their_step(work)
        except ImportError as error:
            left_out["transformers"] = f"not installed ({error.name})"
        for peer, median in measure(steps, n_runs).items():
            seconds.setdefault(peer, {})[work.name] = median
    if not arguments.json:
        for peer, times in seconds.items():
            print(f"{peer:14}" + "".join(f"  {name}: {value:.2f} CPU s" for name, value in times.items()))
    print(json.dumps(report(seconds, left_out, n_runs=n_runs)))


def checkpoint_of(dims: ModelDimensions) -> WhisperCheckpoint:
    """Random weights of these dimensions with a vocabulary of their size."""
    codes = ["en", *(f"{first}{second}" for first in "abcdefghij" for second in "abcdefghij")][:99]
    window_s = dims.n_audio_ctx // 50
    raw = json.loads(train_tokenizer([" seven three"], n_text_tokens=260, languages=codes, window_s=window_s).source)
    vocabulary, n_added = raw["model"]["vocab"], len(raw["added_tokens"])
    vocabulary.update({f"filler{i}": i for i in range(len(vocabulary), dims.n_vocab - n_added)})
    for offset, token in enumerate(raw["added_tokens"]):
        token["id"] = dims.n_vocab - n_added + offset
    tokenizer = Tokenizer(json.dumps(raw))
    mx.random.seed(0)
    return WhisperCheckpoint(
        model=Whisper(dims),
        dims=dims,
        tokenizer=tokenizer,
        generation=GenerationSettings.for_tokenizer(tokenizer, n_text_ctx=dims.n_text_ctx),
        features=FeatureSettings(chunk_length_s=window_s),
    )


def targets_of(work: Work) -> list[Target]:
    random = np.random.default_rng(0)
    return [Target(tuple(map(int, random.integers(0, 255, N_GIVEN + N_TEXT))), N_GIVEN) for _ in range(work.n_clips)]


def mel_of(work: Work, n_frames: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(work.n_clips, n_frames, work.dims.n_mels)).astype(np.float32)


def our_step(work: Work) -> Callable[[], object]:
    """A step that goes on from the one before."""
    model = Whisper(work.dims)
    tokens, rows, columns, wanted = collate_targets(targets_of(work), pad=0)
    batch = Batch(
        mx.array(mel_of(work, work.our_frames)), *(mx.array(a) for a in (tokens, rows, columns, wanted)), audio_s=0.0
    )
    optimiser = AdamW(weight_decay=WEIGHT_DECAY)
    weights: Tensors = dict(tree_flatten(model.trainable_parameters()))
    moments = optimiser.zeros(weights)
    n_done = 0

    def loss_of(given: Tensors) -> mx.array:
        model.update(tree_unflatten(list(given.items())))
        return mean_cross_entropy(model, batch)

    gradients_of = mx.value_and_grad(loss_of)

    def step() -> None:
        nonlocal weights, moments, n_done
        loss, gradients = gradients_of(weights)
        clipped, _ = clip_by_global_norm(gradients, CLIP_NORM)
        weights, moments = optimiser.step(weights, clipped, moments, learning_rate=RATE, n_done=n_done)
        mx.eval(loss, weights, moments)
        n_done += 1

    return step


def their_step(work: Work) -> Callable[[], object]:
    """The same in transformers: its own model and torch's own AdamW, padded to the window, which it requires."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(checkpoint_of(work.dims), Path(folder))
        loaded = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model = loaded.train()
    features = torch.from_numpy(mel_of(work, 2 * work.dims.n_audio_ctx).transpose(0, 2, 1).copy())
    tokens = torch.tensor([target.tokens for target in targets_of(work)])
    labels = torch.where(torch.arange(tokens.shape[1] - 1) < N_GIVEN - 1, -100, tokens[:, 1:])
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.98), eps=1e-6, weight_decay=WEIGHT_DECAY)

    def step() -> None:
        logits = model(input_features=features, decoder_input_ids=tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimiser.step()

    return step


def measure(steps: dict[str, Callable[[], object]], n_runs: int) -> dict[str, float]:
    """Median CPU seconds of each; they take turns, so that a busy moment hits all of them."""
    times: dict[str, list[float]] = {peer: [] for peer in steps}
    for run in range(N_WARM_UP + n_runs):
        for peer, step in steps.items():
            start = time.process_time()
            step()
            if run >= N_WARM_UP:
                times[peer].append(time.process_time() - start)
    return {peer: statistics.median(taken) for peer, taken in times.items()}


def report(seconds: dict[str, dict[str, float]], left_out: dict[str, str], *, n_runs: int) -> dict[str, Any]:
    ours = seconds["projectone"]
    return {
        "name": "train_step",
        # Above one: the peer takes longer than we do.
        "ratios": {
            peer: {work: round(value / ours[work], 2) for work, value in times.items()}
            for peer, times in seconds.items()
            if peer != "projectone"
        },
        "cpu_s": {peer: {work: round(value, 4) for work, value in times.items()} for peer, times in seconds.items()},
        "left_out": left_out,
        "conditions": {
            "works": {work.name: f"{work.n_clips} clips, ours {work.our_frames} frames" for work in WORKS},
            "what": "float32, all weights, forward and backward, clipping, AdamW",
            "n_runs": n_runs,
            "threads": 1,
            "blas": load_blas().source,
            "machine": platform.machine(),
            "python": platform.python_version(),
        },
    }


if __name__ == "__main__":
    main()
