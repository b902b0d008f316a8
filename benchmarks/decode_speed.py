"""How fast one 30 s window becomes text at whisper-tiny's size, on one thread, beside other implementations.

Random weights at real sizes: the arithmetic is that of the real model. Peers that are not installed are left out and
named. Times are CPU seconds of interleaved runs; only their ratios mean something on another machine.

    python benchmarks/decode_speed.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read once, when the libraries are loaded

if "--reference-blas" in sys.argv:
    # Symbols bind at their first use: one product before the fast BLAS is loaded fixes the slow one.
    import mlx.core as mx

    mx.eval(mx.ones((8, 8)) @ mx.ones((8, 8)))

import projectone.speech  # noqa: E402, F401  # isort: skip
import mlx.core as mx  # noqa: E402  # isort: skip
import numpy as np  # noqa: E402

from projectone.speech.blas import load_blas  # noqa: E402
from projectone.speech.checkpoint import (  # noqa: E402
    FeatureSettings,
    GenerationSettings,
    WhisperCheckpoint,
    save_checkpoint,
)
from projectone.speech.decoding import DecodingOptions, decode_features  # noqa: E402
from projectone.speech.encoding import embed_windows  # noqa: E402
from projectone.speech.mlx_whisper import save_mlx_whisper  # noqa: E402
from projectone.speech.tokenizer import Tokenizer  # noqa: E402
from projectone.speech.vocabulary import train_tokenizer  # noqa: E402
from projectone.speech.whisper import ModelDimensions, Whisper  # noqa: E402

TINY = ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)
Work = dict[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs and tokens")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--reference-blas", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    n_runs, n_tokens = (3, 24) if arguments.quick else (9, 96)
    checkpoint = tiny_checkpoint()
    mel = np.random.default_rng(0).normal(size=(1, 3000, 80)).astype(np.float32)
    peers: dict[str, Work] = {"projectone": our_work(checkpoint, mel, n_tokens)}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.reference_blas:  # through mlx, whose products it is about
            peers["projectone"] = {"encoder": lambda: mx.eval(checkpoint.model.embed_audio(mx.array(mel)))}
        else:
            for peer, build in (("transformers", transformers_work), ("mlx-whisper", mlx_whisper_work)):
                try:
                    peers[peer] = build(checkpoint, Path(scratch) / peer, mel, n_tokens)
                except ImportError as error:
                    missing[peer] = f"not installed ({error.name})"
        seconds = measure(peers, n_runs)
    if not arguments.reference_blas:
        add_reference_blas(seconds, missing, quick=arguments.quick)
    result = report(seconds, missing, n_runs=n_runs, n_tokens=n_tokens)
    if not arguments.json:
        print_table(seconds, n_tokens)
    print(json.dumps(result))


def tiny_checkpoint() -> WhisperCheckpoint:
    """Whisper-tiny's dimensions, random weights, and a vocabulary of its size."""
    codes = ["en", *(f"{first}{second}" for first in "abcdefghij" for second in "abcdefghij")][:99]
    raw = json.loads(train_tokenizer([" seven three"], n_text_tokens=260, languages=codes, window_s=30).source)
    vocabulary, n_added = raw["model"]["vocab"], len(raw["added_tokens"])
    vocabulary.update({f"filler{i}": i for i in range(len(vocabulary), TINY.n_vocab - n_added)})
    for offset, token in enumerate(raw["added_tokens"]):
        token["id"] = TINY.n_vocab - n_added + offset
    tokenizer = Tokenizer(json.dumps(raw))
    mx.random.seed(0)
    return WhisperCheckpoint(
        model=Whisper(TINY),
        dims=TINY,
        tokenizer=tokenizer,
        generation=GenerationSettings.for_tokenizer(tokenizer),
        features=FeatureSettings(),
    )


def our_work(checkpoint: WhisperCheckpoint, mel: np.ndarray, n_tokens: int) -> Work:
    model, window = checkpoint.model, mx.array(mel)
    features = embed_windows(model, window)
    options = DecodingOptions(max_new_tokens=n_tokens, suppress_tokens=(checkpoint.tokenizer.eot,))
    return {
        "encoder": lambda: embed_windows(model, window),
        "decoder": lambda: decode_features(checkpoint, features, options),
    }


def transformers_work(checkpoint: WhisperCheckpoint, folder: Path, mel: np.ndarray, n_tokens: int) -> Work:
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    save_checkpoint(checkpoint, folder)
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    window = torch.from_numpy(mel.transpose(0, 2, 1).copy())
    encoded = model.get_encoder()(window)
    prefix = torch.tensor([[checkpoint.tokenizer.sot, checkpoint.tokenizer.no_timestamps]])

    def decode() -> object:
        return transformers.GenerationMixin.generate(
            model,
            encoder_outputs=encoded,
            decoder_input_ids=prefix,
            min_new_tokens=n_tokens,
            max_new_tokens=n_tokens,
        )

    return {"encoder": lambda: model.get_encoder()(window), "decoder": decode}


def mlx_whisper_work(checkpoint: WhisperCheckpoint, folder: Path, mel: np.ndarray, n_tokens: int) -> Work:
    from mlx_whisper import decoding
    from mlx_whisper.load_models import load_model

    save_mlx_whisper(checkpoint, folder)
    model: Any = load_model(str(folder), dtype=mx.float32)
    window = mx.array(mel)
    features = model.encoder(window)
    mx.eval(features)
    options = decoding.DecodingOptions(
        language="en",
        without_timestamps=True,
        suppress_tokens=str(checkpoint.tokenizer.eot),
        sample_len=n_tokens,
        fp16=False,
    )
    return {"encoder": lambda: mx.eval(model.encoder(window)), "decoder": lambda: model.decode(features, options)}


def measure(peers: dict[str, Work], n_runs: int) -> dict[str, dict[str, float]]:
    """Median CPU seconds of each peer's works; the peers take turns, so that a busy moment hits all of them."""
    times: dict[str, dict[str, list[float]]] = {peer: {work: [] for work in works} for peer, works in peers.items()}
    for run in range(n_runs + 1):
        for peer, works in peers.items():
            for work, function in works.items():
                start = time.process_time()
                function()
                if run:  # the first round warms up
                    times[peer][work].append(time.process_time() - start)
    return {peer: {work: statistics.median(t) for work, t in works.items()} for peer, works in times.items()}


def add_reference_blas(seconds: dict[str, dict[str, float]], missing: dict[str, str], *, quick: bool) -> None:
    """The same encoder in a process that mlx's own BLAS was fixed in."""
    if load_blas().source == "accelerate":
        missing["reference BLAS"] = "this platform has one BLAS"
        return
    command = [sys.executable, __file__, "--reference-blas", "--json", *(["--quick"] if quick else [])]
    child = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds["reference BLAS"] = json.loads(child.stdout.splitlines()[-1])["cpu_s"]["projectone"]


def report(
    seconds: dict[str, dict[str, float]], missing: dict[str, str], *, n_runs: int, n_tokens: int
) -> dict[str, Any]:
    ours = seconds["projectone"]
    ratios = {
        peer: {work: round(value / ours[work], 2) for work, value in works.items()}
        for peer, works in seconds.items()
        if peer != "projectone"
    }
    return {
        "name": "decode_speed",
        "ratios": ratios,  # above one: the peer takes longer than we do
        "cpu_s": {peer: {work: round(value, 4) for work, value in works.items()} for peer, works in seconds.items()},
        "left_out": missing,
        "conditions": {
            "shape": "whisper-tiny, float32, one 30 s window, batch 1, greedy",
            "n_tokens": n_tokens,
            "n_runs": n_runs,
            "threads": 1,
            "blas": load_blas().source,
            "machine": platform.machine(),
            "python": platform.python_version(),
        },
    }


def print_table(seconds: dict[str, dict[str, float]], n_tokens: int) -> None:
    print(f"{'':16} {'encoder, CPU s':>15} {'decoder, CPU ms per token':>27}")
    for peer, works in seconds.items():
        token_ms = f"{1000 * works['decoder'] / n_tokens:.1f}" if "decoder" in works else "-"
        print(f"{peer:16} {works['encoder']:15.2f} {token_ms:>27}")


if __name__ == "__main__":
    main()
