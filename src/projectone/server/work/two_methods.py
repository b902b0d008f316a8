"""Accuracy decides how a model is trained, size comes second: adapters where they lose nothing, else all weights.

Both are trained on the same lessons and heard on the samples that were held back from both. The golden set takes no
part: it judges the one that is chosen, and would be too kind to the better of two.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, Protocol

from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.errors import EvaluationError
from projectone.server.evaluation.gate import GateConfig, judge
from projectone.server.evaluation.golden import GoldenClip, GoldenSet, golden_set
from projectone.server.evaluation.scorer import examine_model
from projectone.server.pipeline.models import WEIGHTS
from projectone.server.pipeline.ports import TrainingRequest
from projectone.server.training import TrainingClip
from projectone.server.training.engines.run import adapter_folder
from projectone.storage.files import digest_of

Method = Literal["lora", "full"]
MOST_LOST = 0.01
"""Word error (a fraction) that adapters may cost at most, at the unkind end of the 95 % interval."""


METHODS: Final[tuple[Method, Method]] = ("lora", "full")


class Trains(Protocol):
    """What trains by one method; `Teacher` does."""

    def train(self, request: TrainingRequest) -> str:
        """Train, or go on; gives the digest of the weights in the folder that was asked for."""
        ...


@dataclass(frozen=True, kw_only=True)
class TwoMethods:
    """Trains adapters and all weights, and keeps one model.

    Attributes:
        adapters: Trains adapters.
        full: Trains all weights.
        held_back: The samples that neither learns from.
        gate: What is asked of the adapters, compared with all weights.
        hear: A model's folder and the clips to their report.
    """

    adapters: Trains
    full: Trains
    held_back: Callable[[TrainingRequest], Iterable[TrainingClip]]
    gate: GateConfig
    hear: Callable[[Path, GoldenSet], EvaluationReport] = examine_model

    def train(self, request: TrainingRequest) -> str:
        """Train both, or go on, and put the chosen one where it was asked for; the other one is removed."""
        folders: dict[Method, Path] = {name: request.work_folder / f"{name}-model" for name in METHODS}
        for name, teacher in zip(METHODS, (self.adapters, self.full), strict=True):
            log_path = request.log_path.with_suffix(f".{name}.jsonl")
            teacher.train(
                replace(request, work_folder=request.work_folder / name, out=folders[name], log_path=log_path)
            )
        verdict = self._compared(request, folders)
        chosen: Method = "lora" if verdict is not None and is_as_good(verdict) else "full"
        self._put(folders[chosen], request.out)
        for folder in folders.values():
            for left in (folder, adapter_folder(folder)):
                shutil.rmtree(left, ignore_errors=True)
        _tell(request.log_path, chosen, verdict)
        return digest_of(request.out / WEIGHTS)

    def _compared(self, request: TrainingRequest, folders: dict[Method, Path]) -> Verdict | None:
        """The adapters against all weights; None where nothing was held back to hear."""
        clips = [
            GoldenClip(clip_id=c.clip_id, speaker=c.speaker, slice="held back", samples=c.samples, text=c.text)
            for c in self.held_back(request)
        ]
        try:
            held_back = golden_set(clips)
        except EvaluationError:  # no clip in which anybody speaks
            return None
        full, lora = (self.hear(folders[name], held_back) for name in ("full", "lora"))
        return judge(full, lora, self.gate)

    def _put(self, model: Path, out: Path) -> None:
        """The adapter first: where a model's folder is, all that belongs to it is there."""
        for old in (out, adapter_folder(out)):
            shutil.rmtree(old, ignore_errors=True)
        if adapter_folder(model).exists():
            adapter_folder(model).rename(adapter_folder(out))
        model.rename(out)


def is_as_good(verdict: Verdict) -> bool:
    """Whether adapters were not shown to be worse, and cannot be much worse."""
    return verdict.decision != "reject" and verdict.gain_low >= -MOST_LOST


def _tell(log_path: Path, chosen: str, verdict: Verdict | None) -> None:
    """Both logs as one, and at its end which method was chosen and why."""
    lines = []
    for name in METHODS:
        path = log_path.with_suffix(f".{name}.jsonl")
        if path.is_file():
            lines += path.read_text().splitlines()
            path.unlink()
    points = None if verdict is None else [verdict.gain, verdict.gain_low, verdict.gain_high]
    reasons = ["nothing was held back to hear both on"] if verdict is None else list(verdict.reasons)
    told = {"event": "method", "chosen": chosen, "adapters_gain": points, "reasons": reasons}
    log_path.write_text("\n".join([*lines, json.dumps(told)]) + "\n")
