"""How fast a batch of whole windows becomes text on one thread, as an evaluation does it, beside other engines.

Random weights of whisper-tiny's size, greedy, without timestamps, every row to the same number of tokens. The encoder
and the decoder are measured apart; `whole` is their sum. CTranslate2 is the engine of faster-whisper, called without
the latter's Python. Float32 is held against float32, and our int8 against CTranslate2's. Peers that are not installed
are left out and named. Times are CPU seconds of interleaved runs; only their ratios mean something on another machine.

    python benchmarks/decode.py [--quick] [--json] [--no-peers] [--size tiny|base|starter]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from peers.turns import OURS, Seconds, Work, build_peers, conditions, ratios_to_ours, take_turns
from peers.whispers import SIZES, random_checkpoint, save_for_ctranslate2, save_for_mlx_whisper

import mlx.core as mx  # isort: skip
import numpy as np

from projectone.speech.checkpoint import WhisperCheckpoint, save_checkpoint
from projectone.speech.decoding import DecodingOptions, decode_features
from projectone.speech.encoding import embed_windows
from projectone.speech.int8 import quantised

OUR_INT8 = "projectone int8"
INT8 = "ctranslate2 int8"
_FAR = 4.0  # times the fastest: two turns are enough
Stages = dict[str, Work]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer windows, tokens and runs")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="our own time alone")
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    arguments = parser.parse_args()
    n_windows, n_tokens, n_runs = (2, 24, 3) if arguments.quick else (8, 64, 7)
    checkpoint = random_checkpoint(SIZES[arguments.size])
    shape = (n_windows, 2 * checkpoint.dims.n_audio_ctx, checkpoint.dims.n_mels)
    mel = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        save_checkpoint(checkpoint, folder)
        builders: dict[str, Callable[..., Stages]] = {
            "transformers": transformers_stages,
            "mlx-whisper": mlx_whisper_stages,
            "ctranslate2 float32": partial(ctranslate2_stages, "float32"),
            INT8: partial(ctranslate2_stages, "int8"),
        }
        peers: dict[str, Stages] = build_peers(
            {name: partial(build, checkpoint, folder, mel, n_tokens) for name, build in builders.items()},
            left_out,
            wanted=not arguments.no_peers,
        )
        in_eight_bits = quantised(checkpoint, n_threads=1)
        ours = {OURS: our_stages(checkpoint, mel, n_tokens), OUR_INT8: our_stages(in_eight_bits, mel, n_tokens)}
        works = {**ours, **peers}
        stages = {
            stage: take_turns({name: parts[stage] for name, parts in works.items()}, n_runs=n_runs, far_behind=_FAR)
            for stage in ("encoder", "decoder")
        }
    stages["whole"] = {name: stages["encoder"][name] + stages["decoder"][name] for name in works}
    if not arguments.json:
        print_table(stages, n_windows, n_tokens, left_out)
    size = f"whisper-{arguments.size} sizes, greedy"
    result = {
        "name": "decode",
        "ratios": ratios(stages),
        "cpu_s": {stage: {name: round(t, 4) for name, t in seconds.items()} for stage, seconds in stages.items()},
        "left_out": left_out,
        "conditions": conditions(shape=size, n_windows=n_windows, n_tokens=n_tokens, n_runs=n_runs),
    }
    print(json.dumps(result))


def our_stages(checkpoint: WhisperCheckpoint, mel: np.ndarray, n_tokens: int) -> Stages:
    windows = mx.array(mel)
    features = embed_windows(checkpoint.model, windows)
    options = DecodingOptions(max_new_tokens=n_tokens, suppress_tokens=(checkpoint.tokenizer.eot,))

    def decode() -> None:
        results = decode_features(checkpoint, features, options)
        assert all(len(result.tokens) == n_tokens for result in results)

    return {"encoder": lambda: embed_windows(checkpoint.model, windows), "decoder": decode}


def transformers_stages(checkpoint: WhisperCheckpoint, folder: Path, mel: np.ndarray, n_tokens: int) -> Stages:
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    windows = torch.from_numpy(mel.transpose(0, 2, 1).copy())
    prefix = torch.tensor([[checkpoint.tokenizer.sot, checkpoint.tokenizer.no_timestamps]] * len(mel))
    encoder = torch.inference_mode()(model.get_encoder().forward)
    encoded = encoder(windows)

    @torch.inference_mode()
    def decode() -> None:
        # Whisper's own `generate` loops over windows; this is the loop over tokens inside it.
        given = transformers.modeling_outputs.BaseModelOutput(encoded.last_hidden_state)
        options = {"min_new_tokens": n_tokens, "max_new_tokens": n_tokens, "num_beams": 1, "do_sample": False}
        generate = transformers.GenerationMixin.generate
        tokens = generate(model, encoder_outputs=given, decoder_input_ids=prefix, **options)
        assert tokens.shape[1] == prefix.shape[1] + n_tokens

    return {"encoder": lambda: encoder(windows), "decoder": decode}


def mlx_whisper_stages(checkpoint: WhisperCheckpoint, folder: Path, mel: np.ndarray, n_tokens: int) -> Stages:
    from mlx_whisper import decoding
    from mlx_whisper.load_models import load_model

    model: Any = load_model(str(save_for_mlx_whisper(checkpoint, folder.parent / "mlx")), dtype=mx.float32)
    windows = mx.array(mel)
    features = model.encoder(windows)
    mx.eval(features)
    eot = str(checkpoint.tokenizer.eot)
    options = decoding.DecodingOptions(
        language="en", without_timestamps=True, suppress_tokens=eot, sample_len=n_tokens, fp16=False
    )
    return {"encoder": lambda: mx.eval(model.encoder(windows)), "decoder": lambda: model.decode(features, options)}


def ctranslate2_stages(
    compute_type: str, checkpoint: WhisperCheckpoint, folder: Path, mel: np.ndarray, n_tokens: int
) -> Stages:
    import ctranslate2

    converted = save_for_ctranslate2(folder, folder.parent / compute_type, compute_type)
    model = ctranslate2.models.Whisper(
        str(converted), device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=1
    )
    windows = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel.transpose(0, 2, 1)))
    prefixes = [[checkpoint.tokenizer.sot, checkpoint.tokenizer.no_timestamps]] * len(mel)
    features = model.encode(windows)

    def decode() -> None:
        options = {"beam_size": 1, "suppress_tokens": [checkpoint.tokenizer.eot], "suppress_blank": False}
        # It gives the text half of the context, as Whisper does.
        results = model.generate(features, prefixes, max_length=2 * n_tokens, **options)
        assert all(len(result.sequences_ids[0]) == n_tokens for result in results)

    return {"encoder": lambda: model.encode(windows), "decoder": decode}


def ratios(stages: dict[str, Seconds]) -> dict[str, Any]:
    """By stage and peer, each against ours in the same numerics; above one, the peer takes longer than we do."""
    float32 = {stage: ratios_to_ours(without(seconds, OUR_INT8, INT8)) for stage, seconds in stages.items()}
    if not float32["whole"]:
        return {}
    by_stage: dict[str, Any] = {**float32, "fastest_float32_peer": min(float32["whole"].values())}
    if INT8 in stages["whole"]:
        int8 = {stage: round(seconds[INT8] / seconds[OUR_INT8], 2) for stage, seconds in stages.items()}
        by_stage |= {"int8": int8, "int8_peer": int8["whole"]}
    by_stage["our_int8_to_float32"] = round(stages["whole"][OURS] / stages["whole"][OUR_INT8], 2)
    return by_stage


def without(seconds: Seconds, *names: str) -> Seconds:
    return {name: taken for name, taken in seconds.items() if name not in names}


def print_table(stages: dict[str, Seconds], n_windows: int, n_tokens: int, left_out: dict[str, str]) -> None:
    print(f"{'':20} {'encoder, CPU s per window':>26} {'decoder, CPU ms per token':>26} {'whole, CPU s':>14}")
    for name in stages["whole"]:
        window_s = stages["encoder"][name] / n_windows
        token_ms = 1000 * stages["decoder"][name] / n_windows / n_tokens
        print(f"{name:20} {window_s:26.3f} {token_ms:26.2f} {stages['whole'][name]:14.2f}")
    for name, reason in left_out.items():
        print(f"{name:20} left out: {reason}")


if __name__ == "__main__":
    main()
