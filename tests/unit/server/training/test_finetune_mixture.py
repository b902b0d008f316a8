"""The engine with everything mixed in at once: packed windows, prompts, silence, synthetic sentences."""

from pathlib import Path

import numpy as np
from tests.fakes.tiny_whisper import WORDS, save_tiny, say

from projectone.server.training import TrainingClip, TrainingConfig, TrainingProgress, TrainingResult, finetune

CONFIG = TrainingConfig(
    epochs=1,
    max_steps=5,
    checkpoint_every_steps=2,
    evaluate_times=1,
    alphas=(1.0,),
    context="full",
    batch_seconds=4.0,
    negatives_share=0.2,
    prompt_share=0.5,
    carriers_share=0.2,
)


def clips(n: int, *, seed: int) -> list[TrainingClip]:
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(list(WORDS), size=random.integers(1, 3))) for _ in range(n)]
    return [TrainingClip(f"{seed}-{i}", say(text, seed=seed + i), text, f"s{i % 3}") for i, text in enumerate(texts)]


def call(base: Path, folder: Path, *, n_carriers: int = 12, stop_at: int | None = None) -> TrainingResult:
    def stop(progress: TrainingProgress) -> None:
        if progress.phase == "train" and progress.step == stop_at:
            raise KeyboardInterrupt

    return finetune(
        base,
        clips(40, seed=0),
        CONFIG,
        work_folder=folder / "work",
        out=folder / "out",
        on_progress=stop,
        dev_clips=clips(8, seed=300),
        replay_clips=clips(30, seed=100),
        carrier_clips=clips(n_carriers, seed=200),
    )


def test_a_run_with_everything_mixed_in_ends_in_the_same_bits_after_an_interruption(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    whole = call(base, tmp_path / "whole")
    for stop_at in (1, 3):
        try:
            call(base, tmp_path / "again", stop_at=stop_at)
        except KeyboardInterrupt:
            continue
        raise AssertionError("the run was not stopped")
    resumed = call(base, tmp_path / "again")
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.n_steps == whole.n_steps == 5
    without = call(base, tmp_path / "without", n_carriers=0)
    assert without.weights_sha256 != whole.weights_sha256
