"""What every engine promises, asked of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.engines.runs import QUICK, clips, events_of, losses_of, tensors_of

from projectone.errors import TrainingError
from projectone.server.training import TrainingClip, TrainingConfig, TrainingProgress, TrainingResult, finetune
from projectone.server.training.config import EngineName, LoraConfig, Method
from projectone.server.training.engines.run import adapter_folder
from projectone.speech.checkpoint import CHECKPOINT_FILES
from projectone.speech.lora import fuse_checkpoint, read_adapter
from projectone.storage.files import digest_of

# With all that is drawn at random in a step.
LORA = replace(QUICK, method="lora", lora=LoraConfig(rank=4, alpha=8.0, dropout=0.2), learning_rate=1e-2)
CONFIGS: dict[Method, TrainingConfig] = {"full": QUICK, "lora": LORA}


def train(engine: EngineName, base: Path, root: Path, config: TrainingConfig, n_clips: int = 30) -> TrainingResult:
    config = replace(config, engine=engine)
    return finetune(base, clips(n_clips), config, work_folder=root / "work", out=root / "out")


def test_it_learns(engine: EngineName, base: Path, tmp_path: Path) -> None:
    config = replace(QUICK, epochs=9, max_steps=50, evaluate_times=0, dev_share=0.0, learning_rate=8e-3)
    train(engine, base, tmp_path, config)
    losses = losses_of(tmp_path / "work")
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_it_writes_an_ordinary_model_and_leaves_the_base_alone(engine: EngineName, base: Path, tmp_path: Path) -> None:
    before = {path.name: digest_of(path) for path in base.iterdir()}
    result = train(engine, base, tmp_path, QUICK)
    assert {path.name: digest_of(path) for path in base.iterdir()} == before
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(CHECKPOINT_FILES)
    assert digest_of(tmp_path / "out" / "model.safetensors") == result.weights_sha256 != before["model.safetensors"]
    assert {name: t.shape for name, t in tensors_of(tmp_path / "out").items()} == {
        name: t.shape for name, t in tensors_of(base).items()
    }
    assert result.dev_wer_before is not None and result.dev_wer_after is not None
    assert [point.alpha for point in result.curve] == [0.0, 0.5, 1.0]


@pytest.mark.parity
def test_transformers_opens_what_it_writes(engine: EngineName, base: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the parity extra (torch)")  # transformers comes alone with mlx-lm
    transformers = pytest.importorskip("transformers", reason="needs the parity extra (transformers)")
    train(engine, base, tmp_path, QUICK)
    model, info = transformers.WhisperForConditionalGeneration.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(info.values()), info
    theirs = model.state_dict()["model.decoder.layers.0.fc1.weight"].float().numpy()
    assert np.array_equal(theirs, tensors_of(tmp_path / "out")["decoder.blocks.0.mlp1.weight"])
    assert not np.array_equal(theirs, tensors_of(base)["decoder.blocks.0.mlp1.weight"])


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_same_call_gives_the_same_bytes_and_another_seed_others(
    engine: EngineName, method: Method, base: Path, tmp_path: Path
) -> None:
    config = CONFIGS[method]
    first, second = (train(engine, base, tmp_path / str(i), config).weights_sha256 for i in range(2))
    other = train(engine, base, tmp_path / "other", replace(config, seed=1)).weights_sha256
    assert first == second != other


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("ends_by", [KeyboardInterrupt, RuntimeError], ids=["Ctrl-C", "a crash"])
def test_a_run_that_was_stopped_ends_in_the_bits_of_one_that_was_not(
    engine: EngineName, method: Method, ends_by: type[BaseException], base: Path, tmp_path: Path
) -> None:
    def stop(progress: TrainingProgress) -> None:
        if progress.phase == "train" and progress.step == 5:
            raise ends_by

    whole = train(engine, base, tmp_path / "whole", CONFIGS[method])
    config, parts = replace(CONFIGS[method], engine=engine), tmp_path / "parts"
    with pytest.raises(ends_by):
        finetune(base, clips(30), config, work_folder=parts / "work", out=parts / "out", on_progress=stop)
    assert not (parts / "out").exists()
    assert train(engine, base, parts, CONFIGS[method]).weights_sha256 == whole.weights_sha256
    resumed_at = [event["step"] for event in events_of(parts / "work", "resume")]
    assert resumed_at == ([5] if ends_by is KeyboardInterrupt else [4])


def test_a_run_is_not_gone_on_with_by_the_other_engine(engine: EngineName, base: Path, tmp_path: Path) -> None:
    def stop(progress: TrainingProgress) -> None:
        if progress.phase == "train":
            raise KeyboardInterrupt

    pytest.importorskip("peft", reason="needs both engines: torch, transformers and peft")
    folders = {"work_folder": tmp_path / "work", "out": tmp_path / "out"}
    with pytest.raises(KeyboardInterrupt):
        finetune(base, clips(30), replace(QUICK, engine=engine), on_progress=stop, **folders)
    other: EngineName = "mlx" if engine == "transformers" else "transformers"
    with pytest.raises(TrainingError, match="other clips, settings or base"):
        finetune(base, clips(30), replace(QUICK, engine=other), **folders)


def test_numbers_that_are_not_finite_end_in_a_report_and_no_model(
    engine: EngineName, base: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="returns to a checkpoint"):
        train(engine, base, tmp_path, replace(QUICK, learning_rate=1e30, max_rollbacks=2, evaluate_times=0))
    assert [event["back_to"] for event in events_of(tmp_path / "work", "rollback")] == [0, 0]
    assert not (tmp_path / "out").exists()


def test_clips_that_cannot_be_learned_from_are_left_out_by_name(engine: EngineName, base: Path, tmp_path: Path) -> None:
    good = clips(20)
    bad = [
        TrainingClip("long", np.zeros(3 * 16_000, np.float32), "red", "s0"),
        TrainingClip("mute", good[0].samples, "  ", "s0"),
        TrainingClip("broken", np.full(16_000, np.nan, np.float32), "red", "s0"),
    ]
    config = replace(QUICK, engine=engine, evaluate_times=0)
    result = finetune(base, [*good, *bad], config, work_folder=tmp_path / "work", out=tmp_path / "out")
    reasons = {skipped.clip_id: skipped.reason for skipped in result.skipped}
    assert set(reasons) == {"long", "mute", "broken"}
    assert "window of 2 s" in reasons["long"]
    with pytest.raises(TrainingError, match="'long'"):
        finetune(base, bad, config, work_folder=tmp_path / "bad", out=tmp_path / "none")


def test_an_adapter_lies_beside_its_model_and_gives_it_bit_for_bit(
    engine: EngineName, base: Path, tmp_path: Path
) -> None:
    result = train(engine, base, tmp_path, LORA)
    assert result.method == "lora"
    beside = adapter_folder(tmp_path / "out")
    assert fuse_checkpoint(base, beside, tmp_path / "fused") == result.weights_sha256
    before, after = tensors_of(base), tensors_of(tmp_path / "out")
    changed = {name for name, tensor in before.items() if not np.array_equal(tensor, after[name])}
    assert changed == {f"{layer}.weight" for layer in read_adapter(beside).factors}


@pytest.mark.parametrize("encoded_epochs", [0, 1], ids=["heard in every step", "heard once"])
def test_a_frozen_encoder_stays_as_it_was(engine: EngineName, encoded_epochs: int, base: Path, tmp_path: Path) -> None:
    config = replace(QUICK, trainable="decoder", encoded_epochs=encoded_epochs, dev_share=0.0, max_steps=12, epochs=2)
    train(engine, base, tmp_path, config, n_clips=12)
    before, after = tensors_of(base), tensors_of(tmp_path / "out")
    same = {name for name, tensor in before.items() if np.array_equal(tensor, after[name])}
    assert {name for name in before if name.startswith("encoder.")} <= same
    assert not {name for name in before if name.startswith("decoder.blocks.")} & same
