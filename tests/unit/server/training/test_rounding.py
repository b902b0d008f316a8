"""Fine-tunes in whole steps: what is judged is what ships, in a fifth of the bytes, or unrounded."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from tests.fakes.tiny_whisper import save_tiny
from tests.unit.server.training.test_finetune import clips

from projectone.server.training import TrainingConfig, finetune
from projectone.server.training.engines import run
from projectone.server.training.rounding import round_changes
from projectone.speech.checkpoint import WEIGHTS
from projectone.speech.weight_delta import write_delta

CONFIG = TrainingConfig(epochs=1, max_steps=6, evaluate_times=1, alphas=(1.0,), learning_rate=4e-3)


def trained(
    folder: Path, config: TrainingConfig = CONFIG, name: str = "out"
) -> tuple[Path, float, list[dict[str, object]]]:
    base = folder / "base"
    if not base.exists():
        save_tiny(base)
    work = folder / f"{name}.work"
    result = finetune(base, clips(60), config, work_folder=work, out=folder / name)
    events = [json.loads(line) for line in (work / run.LOG_NAME).read_text().splitlines()]
    return folder / name / WEIGHTS, result.update_step, [event for event in events if event["event"] == "rounded"]


def test_a_full_fine_tune_ships_in_a_fifth_of_its_bytes(tmp_path: Path) -> None:
    weights, step, (event,) = trained(tmp_path)
    facts = write_delta(tmp_path / "base" / WEIGHTS, weights, tmp_path / "delta")
    assert facts.units * 2.0**-24 == step == event["update_step"]
    assert step > 0
    assert event["is_taken"] and event["wer"] is not None  # held-back clips were decoded with what ships
    assert (tmp_path / "delta").stat().st_size < 0.2 * weights.stat().st_size + 2000  # and a head


def test_what_loses_words_or_general_speech_by_rounding_ships_as_it_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _, none = trained(tmp_path, TrainingConfig(**{**vars(CONFIG), "update_share": 1.0}), name="plain")
    assert none == []
    with monkeypatch.context() as here:
        here.setattr(run, "LARGEST_LOSS", -2.0)
        weights, step, (event,) = trained(tmp_path)
    assert (step, event["is_taken"]) == (0.0, False)
    assert weights.read_bytes() == plain.read_bytes()
    allowed = iter((lambda score: True, lambda score: False))  # as it was trained; rounded
    monkeypatch.setattr(run, "forgets_at_most", lambda limit, before: next(allowed))
    weights, step, (event,) = trained(tmp_path, name="forgetful")
    assert (step, event["is_taken"]) == (0.0, False)
    assert weights.read_bytes() == plain.read_bytes()


def test_small_changes_are_left_as_they_are() -> None:
    random = np.random.default_rng(0)
    base = {"w": mx.array((random.standard_normal((200, 200)) * 0.05).astype(np.float16)).astype(mx.float32)}
    tuned = {"w": base["w"] * (1 + 1e-4 * mx.array(random.standard_normal((200, 200)).astype(np.float32)))}
    assert round_changes(base, tuned, 0.19) is None
    assert round_changes(base, {"w": base["w"] + 0.01}, 1.0) is None
