import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import mlx.core as mx
import numpy as np
import pytest
from tests.fakes.tiny_whisper import WORDS, save_tiny, say

from projectone.errors import StorageError, TrainingError
from projectone.server.training import TrainingClip, TrainingConfig, TrainingProgress, environment, finetune
from projectone.server.training.config import LoraConfig
from projectone.server.training.encoder_outputs import EncoderOutputs
from projectone.server.training.engines.run import adapter_folder
from projectone.speech.checkpoint import load_checkpoint, model_tensors
from projectone.speech.lora import fuse_checkpoint, read_adapter
from projectone.storage.files import digest_of

QUICK = TrainingConfig(epochs=1, max_steps=6, checkpoint_every_steps=2, evaluate_times=2, alphas=(0.5, 1.0))


def clips(n: int, *, seed: int = 0) -> list[TrainingClip]:
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(list(WORDS), size=random.integers(1, 4))) for _ in range(n)]
    return [TrainingClip(f"{seed}-{i}", say(text, seed=seed + i), text, f"s{i % 3}") for i, text in enumerate(texts)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base") / "model")


@pytest.mark.slow
def test_a_model_learns_a_language_it_has_never_heard(base: Path, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=12, learning_rate=8e-3)
    result = finetune(base, clips(120), config, work_folder=tmp_path / "work", out=tmp_path / "out")
    assert result.dev_split == "clips"
    assert result.dev_wer_before is not None and result.dev_wer_after is not None
    assert result.dev_wer_before > 0.9
    assert result.dev_wer_after < 0.6
    assert digest_of(tmp_path / "out" / "model.safetensors") == result.weights_sha256
    load_checkpoint(tmp_path / "out")


def test_the_same_call_gives_the_same_bytes(base: Path, tmp_path: Path) -> None:
    digests = {
        finetune(base, clips(60), QUICK, work_folder=tmp_path / f"work{i}", out=tmp_path / f"out{i}").weights_sha256
        for i in range(2)
    }
    assert len(digests) == 1
    assert digests != {digest_of(base / "model.safetensors")}


def test_a_base_that_names_alignment_heads_has_them_looked_at_again(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(base, tmp_path / "named")
    settings = json.loads((base / "generation_config.json").read_text())
    (tmp_path / "named" / "generation_config.json").write_text(json.dumps(settings | {"alignment_heads": [[0, 1]]}))
    looked_at = []

    def scores(traces: list[object], n_heads: int, *, eot: int) -> np.ndarray:
        looked_at.append(len(traces))
        return np.array([0.9, 0.1], np.float32)

    monkeypatch.setattr("projectone.speech.realignment.follow_scores", scores)
    for name, heads in (("named", ((0, 0),)), ("base", ())):
        folder = tmp_path / "named" if name == "named" else base
        finetune(folder, clips(12), QUICK, work_folder=tmp_path / f"{name}-work", out=tmp_path / f"{name}-out")
        assert load_checkpoint(tmp_path / f"{name}-out").generation.alignment_heads == heads
    assert len(looked_at) == 1


def test_the_base_is_never_written_to(base: Path, tmp_path: Path) -> None:
    before = {path.name: digest_of(path) for path in base.iterdir()}
    finetune(base, clips(10), QUICK, work_folder=tmp_path / "work", out=tmp_path / "out")
    assert {path.name: digest_of(path) for path in base.iterdir()} == before


def test_a_frozen_encoder_stays_as_it_was(base: Path, tmp_path: Path) -> None:
    config = TrainingConfig(trainable="decoder", epochs=1, max_steps=3, learning_rate=1e-2)
    finetune(base, clips(10), config, work_folder=tmp_path / "work", out=tmp_path / "out")
    before, after = load_checkpoint(base).model, load_checkpoint(tmp_path / "out").model
    assert np.array_equal(np.array(after.encoder.conv1.weight), np.array(before.encoder.conv1.weight))
    assert not np.array_equal(np.array(after.decoder.ln.weight), np.array(before.decoder.ln.weight))


def test_adapters_take_the_same_way_and_give_an_ordinary_model(base: Path, tmp_path: Path) -> None:
    config = replace(QUICK, method="lora", learning_rate=1e-2)
    result = finetune(base, clips(60), config, work_folder=tmp_path / "work", out=tmp_path / "out")
    assert result.method == "lora"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in base.iterdir()}
    again = fuse_checkpoint(base, adapter_folder(tmp_path / "out"), tmp_path / "fused")
    assert again == result.weights_sha256 != digest_of(base / "model.safetensors")
    before, after = (model_tensors(load_checkpoint(folder).model) for folder in (base, tmp_path / "out"))
    changed = {name for name, tensor in before.items() if not np.array_equal(np.array(tensor), np.array(after[name]))}
    assert changed == {f"{layer}.weight" for layer in read_adapter(adapter_folder(tmp_path / "out")).factors}


def test_the_adapter_of_an_earlier_model_is_replaced(base: Path, tmp_path: Path) -> None:
    beside = adapter_folder(tmp_path / "out")
    for seed in (0, 1):
        config = replace(QUICK, method="lora", seed=seed, max_steps=2, evaluate_times=0)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        result = finetune(base, clips(20), config, work_folder=tmp_path / f"work{seed}", out=tmp_path / "out")
        assert read_adapter(beside).model_sha256 == result.weights_sha256


def test_checkpoints_of_adapters_hold_adapters_alone(base: Path, tmp_path: Path) -> None:
    def stop(progress: TrainingProgress) -> None:
        if progress.phase == "train" and progress.step == 2:
            raise KeyboardInterrupt

    config = replace(QUICK, method="lora", lora=LoraConfig(rank=2, alpha=4.0))
    with pytest.raises(KeyboardInterrupt):
        finetune(base, clips(20), config, work_folder=tmp_path / "work", out=tmp_path / "out", on_progress=stop)
    size = sum(path.stat().st_size for path in (tmp_path / "work").glob("*-s000002/tensors.safetensors"))
    assert 0 < size < (base / "model.safetensors").stat().st_size / 4


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_frozen_encoder_is_run_for_the_first_epochs_only(
    method: Literal["full", "lora"], base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_encoded: list[int] = []
    compute = EncoderOutputs.compute

    def counted(self: EncoderOutputs, key: str, mel: mx.array) -> mx.array:
        n_encoded.append(mel.shape[0])
        return compute(self, key, mel)

    monkeypatch.setattr(EncoderOutputs, "compute", counted)
    config = TrainingConfig(
        method=method, trainable="decoder", epochs=5, encoded_epochs=2, evaluate_times=0, dev_share=0.0
    )
    result = finetune(base, clips(30), config, work_folder=tmp_path / "work", out=tmp_path / "out")
    assert sum(n_encoded) <= 2 * 30 < 5 * 30
    assert result.n_steps > len(n_encoded)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["result.json", "training.jsonl"]


def test_a_cache_that_finds_no_room_changes_no_bit(base: Path, tmp_path: Path) -> None:
    digests = set()
    for n_bytes in (0, 10_000, 2**30):
        config = TrainingConfig(trainable="decoder", epochs=3, encoder_cache_bytes=n_bytes, evaluate_times=0)
        work, out = tmp_path / f"work{n_bytes}", tmp_path / f"out{n_bytes}"
        digests.add(finetune(base, clips(20), config, work_folder=work, out=out).weights_sha256)
    assert len(digests) == 1


def test_progress_and_log_tell_the_same_story(base: Path, tmp_path: Path) -> None:
    told: list[TrainingProgress] = []
    work = tmp_path / "work"
    result = finetune(base, clips(60), QUICK, work_folder=work, out=tmp_path / "out", on_progress=told.append)
    assert [p.step for p in told if p.phase == "train"] == list(range(1, result.n_steps + 1))
    assert told[-1].phase == "save"
    lines = [json.loads(line) for line in (work / "training.jsonl").read_text().splitlines()]
    assert lines[0]["event"] == "start"
    assert [line["step"] for line in lines if line["event"] == "step"] == list(range(1, result.n_steps + 1))
    assert lines[-1]["event"] == "finish"
    assert lines[-1]["weights_sha256"] == result.weights_sha256
    # What is left is the log and the result: checkpoints are for unfinished runs.
    assert sorted(path.name for path in work.iterdir()) == ["result.json", "training.jsonl"]


def test_a_finished_run_is_not_done_again(base: Path, tmp_path: Path) -> None:
    def call() -> object:
        return finetune(base, clips(60), QUICK, work_folder=tmp_path / "work", out=tmp_path / "out")

    first = call()
    assert call() == first
    events = [json.loads(line)["event"] for line in (tmp_path / "work" / "training.jsonl").read_text().splitlines()]
    assert events.count("start") == 1


def test_an_output_that_holds_another_model_is_not_touched(base: Path, tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "out", seed=9)
    before = digest_of(other / "model.safetensors")
    with pytest.raises(StorageError, match="is not of this run"):
        finetune(base, clips(10), QUICK, work_folder=tmp_path / "work", out=other)
    assert digest_of(other / "model.safetensors") == before


def test_clips_that_do_not_fit_are_named_and_the_others_used(base: Path, tmp_path: Path) -> None:
    good = clips(10)
    long = TrainingClip("long", np.zeros(16_000 * 5, np.float32), "red", "s0")
    result = finetune(base, [*good, long], QUICK, work_folder=tmp_path / "work", out=tmp_path / "out")
    assert [skipped.clip_id for skipped in result.skipped] == ["long"]
    assert result.n_clips == 10
    with pytest.raises(TrainingError, match=r"no clip to learn from: 1 given, 1 left out: 'long'"):
        finetune(base, [long], QUICK, work_folder=tmp_path / "work2", out=tmp_path / "out2")


def test_given_dev_clips_are_used_and_general_speech_is_watched(base: Path, tmp_path: Path) -> None:
    result = finetune(
        base,
        clips(20),
        QUICK,
        work_folder=tmp_path / "work",
        out=tmp_path / "out",
        dev_clips=clips(9, seed=100),
        replay_clips=clips(40, seed=200),
    )
    assert (result.dev_split, result.n_clips, result.n_dev_clips) == ("given", 20, 9)
    assert result.general_wer_before is not None
    assert result.general_wer_after is not None
    assert [point.alpha for point in result.curve] == [0.0, 0.5, 1.0]
    assert (result.curve[0].dev_wer, result.curve[0].general_wer) == (
        result.dev_wer_before,
        result.general_wer_before,
    )
    taken = next(point for point in result.curve if point.alpha == result.alpha)
    assert (taken.dev_wer, taken.general_wer) == (result.dev_wer_after, result.general_wer_after)


def test_a_folder_with_another_run_is_refused(base: Path, tmp_path: Path) -> None:
    def stop(progress: TrainingProgress) -> None:
        if progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(base, clips(60), QUICK, work_folder=tmp_path / "work", out=tmp_path / "out", on_progress=stop)
    with pytest.raises(TrainingError, match="other clips"):
        finetune(base, clips(61), QUICK, work_folder=tmp_path / "work", out=tmp_path / "out")


@pytest.mark.parametrize("is_other", [True, False])
def test_a_run_is_gone_on_with_by_the_arithmetic_that_began_it_and_by_no_other(
    is_other: bool, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: TrainingProgress) -> None:
        if progress.step == 4:
            raise KeyboardInterrupt

    folders = {"work_folder": tmp_path / "work", "out": tmp_path / "out"}
    with pytest.raises(KeyboardInterrupt):
        finetune(base, clips(60), QUICK, on_progress=stop, **folders)
    if is_other:
        monkeypatch.setattr(environment, "ARITHMETIC", environment.ARITHMETIC + 1)
        with pytest.raises(TrainingError, match=f"begun with arithmetic {environment.ARITHMETIC - 1}; here is"):
            finetune(base, clips(60), QUICK, **folders)
        return
    steps: list[int] = []
    finetune(base, clips(60), QUICK, on_progress=lambda progress: steps.append(progress.step), **folders)
    assert min(steps) == 3  # the last step that was done


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(QUICK, id="full"),
        pytest.param(replace(QUICK, method="lora", lora=LoraConfig(dropout=0.2)), id="lora"),
        pytest.param(replace(QUICK, method="lora", trainable="decoder", epochs=6), id="lora-decoder"),
    ],
)
def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(
    config: TrainingConfig, base: Path, tmp_path: Path
) -> None:
    whole = finetune(base, clips(60), config, work_folder=tmp_path / "work", out=tmp_path / "out")
    stops = iter((1, 3, 5, 6))
    state = {"stop": next(stops)}

    def interrupt(progress: TrainingProgress) -> None:
        if progress.phase == "train" and progress.step == state["stop"]:
            state["stop"] = next(stops, -1)
            raise KeyboardInterrupt

    for _ in range(5):
        try:
            again = finetune(
                base, clips(60), config, work_folder=tmp_path / "w2", out=tmp_path / "out2", on_progress=interrupt
            )
        except KeyboardInterrupt:
            continue
    assert again.weights_sha256 == whole.weights_sha256
    assert again.best_step == whole.best_step


def test_a_run_that_diverges_ends_with_a_reason_and_no_model(base: Path, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=2, max_steps=9, learning_rate=1e12, warmup_share=0.0, checkpoint_every_steps=2)
    with pytest.raises(TrainingError, match="3 returns to a checkpoint"):
        finetune(base, clips(20), config, work_folder=tmp_path / "work", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    events = [json.loads(line)["event"] for line in (tmp_path / "work" / "training.jsonl").read_text().splitlines()]
    assert events.count("rollback") == 3
