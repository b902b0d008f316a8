"""Adapters where they are as good as training all weights, all weights where they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from tests.fakes.tiny_whisper import save_tiny, say
from tests.unit.server.evaluation.test_gate import report, utterance

from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.gate import GateConfig
from projectone.server.evaluation.golden import GoldenSet
from projectone.server.pipeline.models import find_adapter
from projectone.server.pipeline.ports import TrainingRequest
from projectone.server.training import TrainingClip, TrainingConfig, finetune
from projectone.server.work.two_methods import TwoMethods
from projectone.speech.checkpoint import load_checkpoint
from projectone.storage.files import digest_of

N_CLIPS = 60


class Teacher:
    """Writes a model's folder, and beside it an adapter, as training does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.n_trained = 0

    def train(self, request: TrainingRequest) -> str:
        self.n_trained += 1
        request.out.mkdir(parents=True)
        weights = request.out / "model.safetensors"
        weights.write_bytes(self.name.encode())
        request.log_path.write_text(json.dumps({"event": "done", "method": self.name}) + "\n")
        if self.name == "lora":
            adapter = request.out.with_name(f"{request.out.name}.adapter")
            adapter.mkdir()
            (adapter / "adapter.json").write_text(json.dumps({"model_sha256": digest_of(weights)}))
        return digest_of(weights)


def clips(n: int) -> list[TrainingClip]:
    sound = np.zeros(1600, np.float32)
    return [TrainingClip(clip_id=f"c{i}", samples=sound, text="red blue", speaker=f"s{i % 10}") for i in range(n)]


Make = Callable[..., tuple[str, TrainingRequest]]


@pytest.fixture
def trained(tmp_path: Path) -> Make:
    """Which method was chosen, for so many wrong clips of each."""

    def make(*, lora: int, full: int, n_clips: int = N_CLIPS) -> tuple[str, TrainingRequest]:
        n_wrong = {"lora": lora, "full": full}

        def hear(folder: Path, heard: GoldenSet) -> EvaluationReport:
            wrong = n_wrong[(folder / "model.safetensors").read_text()]
            made = [utterance(i, int(i < wrong), words=2, speaker=f"s{i % 10}") for i in range(len(heard.clips))]
            return report(made)

        folder = tmp_path / "runs" / "7"
        folder.mkdir(parents=True)
        request = TrainingRequest(
            base_sha256="0" * 64,
            entries=(),
            work_folder=folder / "training-1234",
            out=folder / "candidate-1234",
            log_path=folder / "train.jsonl",
            on_progress=lambda progress: None,
        )
        methods = TwoMethods(
            adapters=Teacher("lora"),
            full=Teacher("full"),
            held_back=lambda request: clips(n_clips),
            gate=GateConfig(),
            hear=hear,
        )
        digest = methods.train(request)
        assert digest == digest_of(request.out / "model.safetensors")
        return (request.out / "model.safetensors").read_text(), request

    return make


def test_adapters_that_lose_nothing_are_kept_with_what_is_sent_of_them(trained: Make, tmp_path: Path) -> None:
    chosen, request = trained(lora=6, full=6)
    assert chosen == "lora"
    adapter = find_adapter(tmp_path, digest_of(request.out / "model.safetensors"))
    assert adapter is not None and adapter.name == "candidate-1234.adapter"
    told = [json.loads(line) for line in request.log_path.read_text().splitlines()]
    assert [line.get("method") for line in told[:2]] == ["lora", "full"]
    assert told[-1]["chosen"] == "lora" and told[-1]["adapters_gain"] == [0, 0, 0]


def test_where_adapters_lose_words_all_weights_are_kept(trained: Make, tmp_path: Path) -> None:
    chosen, request = trained(lora=24, full=6)
    assert chosen == "full"
    assert find_adapter(tmp_path, digest_of(request.out / "model.safetensors")) is None
    assert json.loads(request.log_path.read_text().splitlines()[-1])["chosen"] == "full"


def test_a_loss_that_may_be_chance_but_may_be_large_is_too_much(trained: Make) -> None:
    assert trained(lora=9, full=6)[0] == "full"


def test_where_nothing_was_held_back_accuracy_cannot_be_told_and_all_weights_are_kept(trained: Make) -> None:
    chosen, request = trained(lora=6, full=6, n_clips=0)
    assert chosen == "full"
    assert "nothing was held back" in request.log_path.read_text()


def test_the_model_that_was_not_chosen_is_gone(trained: Make) -> None:
    _, request = trained(lora=24, full=6)
    left = [path for path in request.work_folder.parent.rglob("model.safetensors")]
    assert left == [request.out / "model.safetensors"]


def test_whoever_was_killed_after_the_choice_makes_it_again(trained: Make, tmp_path: Path) -> None:
    """The folder is there, the note of it is not: both go on from their checkpoints, and the choice is the same."""
    _, request = trained(lora=6, full=6)
    again = TwoMethods(
        adapters=Teacher("lora"),
        full=Teacher("full"),
        held_back=lambda request: clips(N_CLIPS),
        gate=GateConfig(),
        hear=lambda folder, heard: report([utterance(i, 0, words=2) for i in range(N_CLIPS)]),
    )
    assert again.train(request) == digest_of(request.out / "model.safetensors")
    assert find_adapter(tmp_path, digest_of(request.out / "model.safetensors")) is not None


class RealTeacher:
    """A few steps that hardly move anything, so that both models hear what their base hears."""

    def __init__(self, base: Path, method: Literal["lora", "full"], spoken: list[TrainingClip]) -> None:
        self.base = base
        self.spoken = spoken
        self.config = TrainingConfig(method=method, epochs=1, max_steps=2, learning_rate=1e-9, alphas=(1.0,))

    def train(self, request: TrainingRequest) -> str:
        folder = request.work_folder
        result = finetune(
            self.base, self.spoken, self.config, work_folder=folder, out=request.out, dev_clips=self.spoken[:4]
        )
        return result.weights_sha256


def test_real_trainings_end_in_one_model_with_its_adapter_and_can_be_gone_on_with(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    spoken = [TrainingClip(f"c{i}", say("red blue", seed=i), "red blue", f"s{i % 5}") for i in range(12)]
    folder = tmp_path / "runs" / "7"
    folder.mkdir(parents=True)
    request = TrainingRequest(
        base_sha256=digest_of(base / "model.safetensors"),
        entries=(),
        work_folder=folder / "training-1234",
        out=folder / "candidate-1234",
        log_path=folder / "train.jsonl",
        on_progress=lambda progress: None,
    )
    methods = TwoMethods(
        adapters=RealTeacher(base, "lora", spoken),
        full=RealTeacher(base, "full", spoken),
        held_back=lambda request: spoken[:10],
        gate=GateConfig(),
    )
    digest = methods.train(request)
    assert find_adapter(tmp_path, digest) == folder / "candidate-1234.adapter"
    assert json.loads(request.log_path.read_text().splitlines()[-1])["chosen"] == "lora"
    assert load_checkpoint(request.out).dims == load_checkpoint(base).dims
    assert methods.train(request) == digest, "killed before the note was written: it goes on from its checkpoints"
