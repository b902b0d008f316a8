"""What word times cost, how near they are, and what the doubt is worth that stands beside them.

The cost is that of one window of 30 s with random weights of a published size: CPU seconds on one thread of encoding
and decoding it with and without words, and of the functions with which openai-whisper and mlx-whisper find the words
of a text that they have decoded already (they run encoder and decoder again). Only ratios mean something elsewhere.

Where words are, and what doubt is worth, is asked of the starter on recordings of real people: digits of FSDD joined
with known gaps, so that every begin and end is known; two recordings of AN4 with silence between, so that it is known
which words lie before it; and all recordings of people whom the starter never heard (README in models/starter).
Needs `../shared/data`, or PROJECTONE_DATA; without it only the cost is measured.

    python benchmarks/words.py [--quick] [--json] [--no-peers] [--size tiny|base|starter]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

from peers.placed_words import Corpus, doubt_figures, join_figures, side_figures
from peers.turns import OURS, Seconds, Work, build_peers, conditions, take_turns
from peers.whispers import SIZES, random_checkpoint

import mlx.core as mx  # isort: skip
import numpy as np

from projectone.speech.alignment_heads import alignment_heads_of
from projectone.speech.audio import HOP_LENGTH, log_mel_spectrogram
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint
from projectone.speech.decoding import DecodingOptions, decode_features
from projectone.speech.encoding import embed_windows
from projectone.speech.mlx_whisper import save_mlx_whisper
from projectone.speech.words import WordFinder

ROOT = Path(__file__).parents[1]
_WITHOUT = "projectone, the text alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer tokens, runs and recordings")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="our own time alone")
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    arguments = parser.parse_args()
    n_tokens, n_runs = (16, 3) if arguments.quick else (64, 9)
    left_out: dict[str, str] = {}
    seconds = cost(random_checkpoint(SIZES[arguments.size]), n_tokens, n_runs, left_out, not arguments.no_peers)
    extra = seconds[OURS] - seconds[_WITHOUT]
    peers = {name: taken for name, taken in seconds.items() if name not in (OURS, _WITHOUT)}
    result = {
        "name": "words",
        "ratios": {name: round(taken / extra, 1) for name, taken in peers.items()},
        "share_of_the_transcription": round(extra / seconds[_WITHOUT], 4),
        "cpu_s": {name: round(taken, 4) for name, taken in seconds.items()},
        **of_people(left_out, is_quick=arguments.quick),
        "left_out": left_out,
        "conditions": conditions(shape=f"whisper-{arguments.size} sizes, one window", n_tokens=n_tokens, n_runs=n_runs),
    }
    if not arguments.json:
        print_tables(result)
    print(json.dumps(result))


def cost(
    checkpoint: WhisperCheckpoint, n_tokens: int, n_runs: int, left_out: dict[str, str], has_peers: bool
) -> Seconds:
    """CPU seconds of a window without and with words, and of each peer's function that finds the words."""
    n_samples = checkpoint.features.n_samples
    random = np.random.default_rng(0)
    loudness = np.repeat(random.uniform(0, 0.3, n_samples // 1600), 1600)
    clip = (loudness * random.standard_normal(n_samples)).astype(np.float32)
    mel = log_mel_spectrogram(clip, checkpoint.dims.n_mels)
    tokens: list[int] = []
    no_text = tuple(range(checkpoint.tokenizer.eot, checkpoint.dims.n_vocab))

    def ours(heads: tuple[tuple[int, int], ...]) -> None:
        features = embed_windows(checkpoint.model, mel[None])
        options = DecodingOptions(max_new_tokens=n_tokens, suppress_tokens=no_text, heads=heads)
        (result,) = decode_features(checkpoint, features, options)
        tokens[:] = result.tokens
        if heads:
            finder, n_frames = WordFinder(checkpoint, clip), n_samples // HOP_LENGTH
            assert finder.of_window(result, features[0], start_frame=0, n_frames=n_frames, timestamps=False)

    works: dict[str, Work] = {
        OURS: partial(ours, alignment_heads_of(checkpoint)),
        _WITHOUT: partial(ours, ()),
    }
    ours(())
    builders: dict[str, Callable[[], Work]] = {
        "mlx-whisper": partial(mlx_whisper_words, checkpoint, mel, tokens),
        "openai-whisper": partial(openai_whisper_words, checkpoint, mel, tokens),
    }
    return take_turns(works | build_peers(builders, left_out, wanted=has_peers), n_runs=n_runs)


def mlx_whisper_words(checkpoint: WhisperCheckpoint, mel: mx.array, tokens: list[int]) -> Work:
    from mlx_whisper import timing, tokenizer
    from mlx_whisper.load_models import load_model

    with tempfile.TemporaryDirectory() as folder:
        save_mlx_whisper(checkpoint, Path(folder), dtype="float32")
        model = load_model(folder, dtype=mx.float32)
    theirs = _vocabulary(checkpoint, tokenizer.Tokenizer)
    return lambda: timing.find_alignment(model, theirs, list(tokens), mel, mel.shape[0])


def openai_whisper_words(checkpoint: WhisperCheckpoint, mel: mx.array, tokens: list[int]) -> Work:
    import torch
    from whisper import timing, tokenizer
    from whisper.model import ModelDimensions, Whisper

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Whisper(ModelDimensions(**vars(checkpoint.dims))).eval()
    theirs = _vocabulary(checkpoint, tokenizer.Tokenizer)
    window = torch.from_numpy(np.array(mel).T.copy())
    return lambda: timing.find_alignment(model, theirs, list(tokens), window, window.shape[1])


def _vocabulary(checkpoint: WhisperCheckpoint, kind: type) -> SimpleNamespace:
    """Our vocabulary behind the names that their code asks for, and their way to split it into words."""
    ours = checkpoint.tokenizer
    made = SimpleNamespace(
        language="en",
        eot=ours.eot,
        no_timestamps=ours.no_timestamps,
        sot_sequence=(ours.sot, ours.language_id("en"), ours.transcribe),
        decode_with_timestamps=ours.decode_with_timestamps,
    )
    for name in ("split_to_word_tokens", "split_tokens_on_spaces", "split_tokens_on_unicode"):
        setattr(made, name, MethodType(getattr(kind, name), made))
    return made


def of_people(left_out: dict[str, str], *, is_quick: bool) -> dict[str, Any]:
    """What recordings of people say; nothing where there are none."""
    data = Path(os.environ.get("PROJECTONE_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "an4" / "manifest.jsonl").is_file():
        left_out["recordings of people"] = "set PROJECTONE_DATA to their folder"
        return {}
    starter = load_checkpoint(ROOT / "models" / "starter")
    corpus = Corpus(data)
    return {
        "joined_digits": join_figures(starter, corpus, n_clips=8 if is_quick else 60),
        "two_recordings": side_figures(starter, corpus, n_clips=6 if is_quick else 60),
        "doubt": doubt_figures(starter, corpus, n_clips=20 if is_quick else 1000),
    }


def print_tables(result: dict[str, Any]) -> None:
    print("CPU seconds of a window of 30 s; peers: finding the words of a known text alone")
    for name, taken in result["cpu_s"].items():
        print(f"  {name:28} {taken:8.3f}")
    print(f"  words add {result['share_of_the_transcription']:.1%} to the text alone")
    for name in ("joined_digits", "two_recordings", "doubt"):
        for key, value in result.get(name, {}).items():
            print(f"  {name:16} {key:40} {value}")
    for name, reason in result["left_out"].items():
        print(f"  without {name}: {reason}")


if __name__ == "__main__":
    main()
