"""How fast a recording becomes log-mel frames on one thread, beside the extractors people use.

Each peer gets the whole recording in one call, as its own code does it; so a peer's cost of a second rises with the
length, as its arrays outgrow the caches, and ours does not. Hence two lengths: a long recording, which the ratios are
about, and one window of 30 s. Peers that are not installed are left out and named. Times are CPU seconds of interleaved
runs; only their ratios mean something on another machine.

    python benchmarks/features.py [--quick] [--json] [--no-peers]
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import Any

from peers.turns import OURS, Seconds, Work, build_peers, conditions, ratios_to_ours, take_turns

import mlx.core as mx  # isort: skip
import numpy as np

from projectone.speech.audio import SAMPLE_RATE, log_mel

# Largest difference to a peer in any number; the scale runs over about 2, and both sides compute in float32.
TOLERANCE = 1e-3
N_WINDOW, N_WINDOW_RUNS = 30 * SAMPLE_RATE, 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ten minutes of sound instead of an hour")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="our own time alone")
    arguments = parser.parse_args()
    minutes, n_runs = (10, 3) if arguments.quick else (60, 5)
    left_out: dict[str, str] = {}
    seconds, differences = measure(sound_of(minutes), left_out, wanted=not arguments.no_peers, n_runs=n_runs)
    of_window, _ = measure(sound_of(1)[:N_WINDOW], left_out, wanted=not arguments.no_peers, n_runs=N_WINDOW_RUNS)
    if not arguments.json:
        print_table(seconds, of_window, minutes, left_out)
    ratios = with_fastest(seconds)
    result = {
        "name": "features",
        "ratios": ratios,  # above one: the peer takes longer than we do
        "ratios_of_one_window": with_fastest(of_window),
        "cpu_s_per_hour": {name: round(taken * 60 / minutes, 3) for name, taken in seconds.items()},
        "cpu_ms_per_window": {name: round(1000 * taken, 2) for name, taken in of_window.items()},
        "largest_difference": differences,
        "left_out": left_out,
        "conditions": conditions(sound_minutes=minutes, n_mels=80, n_runs=n_runs),
    }
    print(json.dumps(result))


def measure(
    sound: np.ndarray, left_out: dict[str, str], *, wanted: bool, n_runs: int
) -> tuple[Seconds, dict[str, float]]:
    """CPU seconds of each extractor, and how far the peers' numbers are from ours."""
    builders = {"openai-whisper": openai_whisper, "mlx-whisper": mlx_whisper, "transformers": transformers_extractor}
    peers: dict[str, Any] = build_peers(
        {name: partial(build, sound) for name, build in builders.items()}, left_out, wanted=wanted
    )
    works: dict[str, Work] = {OURS: lambda: log_mel(sound), **peers}
    differences = {name: difference(log_mel(sound), np.asarray(work())) for name, work in peers.items()}
    return take_turns(works, n_runs=n_runs), differences


def with_fastest(seconds: Seconds) -> Seconds:
    ratios = ratios_to_ours(seconds)
    return {**ratios, "fastest_peer": min(ratios.values())} if ratios else {}


def sound_of(minutes: int) -> np.ndarray:
    """Noise whose loudness rises and falls as that of speech does."""
    n_samples = minutes * 60 * SAMPLE_RATE
    noise = np.random.default_rng(0).standard_normal(n_samples, dtype=np.float32)
    loudness = np.repeat(np.random.default_rng(1).uniform(0.001, 0.1, n_samples // 1600), 1600)
    return noise * loudness.astype(np.float32)


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference between two extractors; refuses to compare the speed of different results."""
    theirs = theirs.reshape(theirs.shape[-2:])
    theirs = theirs if theirs.shape == ours.shape else theirs.T
    largest = float(np.abs(ours - theirs).max())
    assert largest <= TOLERANCE, f"the results differ by {largest}"
    return largest


def openai_whisper(sound: np.ndarray) -> Work:
    import torch
    from whisper.audio import log_mel_spectrogram

    torch.set_num_threads(1)
    return lambda: log_mel_spectrogram(sound)


def mlx_whisper(sound: np.ndarray) -> Work:
    from mlx_whisper.audio import log_mel_spectrogram

    def extract() -> mx.array:
        mel = log_mel_spectrogram(sound)
        mx.eval(mel)
        return mel

    return extract


def transformers_extractor(sound: np.ndarray) -> Work:
    import torch
    import transformers

    torch.set_num_threads(1)
    extractor = transformers.WhisperFeatureExtractor()
    options = {"sampling_rate": SAMPLE_RATE, "truncation": False, "padding": False, "return_tensors": "np"}
    return lambda: extractor(sound, **options).input_features


def print_table(seconds: Seconds, of_window: Seconds, minutes: int, left_out: dict[str, str]) -> None:
    print(f"{'':16} {f'CPU s per hour, of {minutes} min':>28} {'CPU ms of one window':>24}")
    for name, taken in seconds.items():
        print(f"{name:16} {taken * 60 / minutes:28.2f} {1000 * of_window[name]:24.2f}")
    for name, reason in left_out.items():
        print(f"{name:16} left out: {reason}")


if __name__ == "__main__":
    main()
