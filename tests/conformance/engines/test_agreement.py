"""The same run in both engines: the same batches, near enough the same numbers, the same decisions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.engines.conftest import NEEDS_TORCH
from tests.conformance.engines.runs import QUICK, clips, events_of, losses_of, tensors_of

from projectone.server.training import TrainingConfig, TrainingResult, finetune
from projectone.server.training.config import LoraConfig

pytest.importorskip("peft", reason=NEEDS_TORCH)
pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("one_thread")]

LORA = LoraConfig(rank=4, alpha=8.0, targets="attention_mlp")
WAYS = {
    # So much decay that it shows which weights are decayed.
    "all weights": replace(QUICK, weight_decay=0.5),
    "adapters": replace(QUICK, method="lora", lora=LORA, learning_rate=1e-2),
    "decoder": replace(QUICK, trainable="decoder"),
    "encoder heard once": replace(QUICK, trainable="decoder", encoded_epochs=1, epochs=2, dev_share=0.0),
    "packed windows": replace(QUICK, context="full", packing="on", token_multiple=8, negatives_share=0.2),
}
# The first loss is of the same weights: both sides sum thousands of float32 products in different orders.
FIRST_LOSS = 2e-6
# Later ones are of weights that drift apart: where a gradient is lost in rounding, Adam still takes a whole step.
# Measured: below 3e-7, and lengths of gradients below 6e-6.
LATER_LOSSES, NORMS = 1e-5, 2e-4
# And so in the end a few weights may differ by some steps, but hardly any. Measured: none by more than 0.05, which is
# the last bit of float16.
APART_STEPS, APART_SHARE = 0.1, 0.001


def run(base: Path, root: Path, config: TrainingConfig) -> TrainingResult:
    return finetune(base, clips(40), config, work_folder=root / "work", out=root / "out")


@pytest.mark.parametrize("way", WAYS)
def test_both_engines_go_the_same_way(way: str, base: Path, tmp_path: Path) -> None:
    config = WAYS[way]
    ours = run(base, tmp_path / "mlx", config)
    theirs = run(base, tmp_path / "torch", replace(config, engine="transformers"))
    expected, losses = losses_of(tmp_path / "mlx" / "work"), losses_of(tmp_path / "torch" / "work")
    assert len(losses) == len(expected) == 6
    assert losses[0] == pytest.approx(expected[0], rel=FIRST_LOSS)
    assert losses == pytest.approx(expected, rel=LATER_LOSSES)
    norms = [
        [float(str(event["gradient_norm"])) for event in events_of(tmp_path / side / "work", "step")]
        for side in ("mlx", "torch")
    ]
    assert norms[1] == pytest.approx(norms[0], rel=NORMS)
    assert (theirs.alpha, theirs.best_step, theirs.n_dev_clips) == (ours.alpha, ours.best_step, ours.n_dev_clips)
    rate = config.rate_for(32)
    after, apart = tensors_of(tmp_path / "mlx" / "out"), tensors_of(tmp_path / "torch" / "out")
    differences = np.concatenate([np.abs(after[name] - apart[name]).ravel() for name in after])
    assert np.mean(differences > APART_STEPS * rate) < APART_SHARE


def test_bfloat16_steps_differ_a_little_and_the_weights_stay_float32(base: Path, tmp_path: Path) -> None:
    config = replace(QUICK, engine="transformers", evaluate_times=0, dev_share=0.0)
    run(base, tmp_path / "whole", config)
    run(base, tmp_path / "half", replace(config, precision="bfloat16"))
    expected, losses = losses_of(tmp_path / "whole" / "work"), losses_of(tmp_path / "half" / "work")
    assert losses != expected
    # Eight bits of fraction in every product: half a percent.
    assert losses == pytest.approx(expected, rel=0.02)
    moved = tensors_of(tmp_path / "half" / "out")["decoder.blocks.0.mlp1.weight"]
    assert not np.array_equal(moved, tensors_of(base)["decoder.blocks.0.mlp1.weight"])
