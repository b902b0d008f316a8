"""A training run on disk: weights, averages, optimiser and counters, so that it can stop and go on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from starter.model import Student


@dataclass
class Progress:
    """How far a run is: optimiser steps, the next group of batches, and seconds of work done."""

    step: int = 0
    group: int = 0
    spent_s: float = 0.0


class Average:
    """An exponential average of the weights: it decodes better than the last step's weights do."""

    def __init__(self, student: Student, *, decay: float) -> None:
        self.weights = {name: value.detach().clone() for name, value in student.state_dict().items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, student: Student, step: int) -> None:
        """Take in the weights after `step`; early steps are forgotten faster."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, value in student.state_dict().items():
            self.weights[name].lerp_(value, 1 - decay)


def save_run(
    folder: Path, student: Student, average: Average, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write the run into `folder`; a crash leaves the last one that was whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"student.{name}": value.contiguous() for name, value in student.state_dict().items()}
    tensors |= {f"average.{name}": value.contiguous() for name, value in average.weights.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value.contiguous() for name, value in state.items()}
    temporary = folder / "run.tmp"
    # Shared storage is refused by the format, hence the copies.
    copies = {name: value.clone() for name, value in tensors.items()}
    save_file(copies, temporary, {"progress": json.dumps(asdict(progress))})
    temporary.replace(folder / "run.safetensors")


def load_run(folder: Path, student: Student, average: Average, optimizer: torch.optim.Optimizer | None) -> Progress:
    """Read what `save_run` wrote; without an optimiser only the weights, for a new run that starts from them."""
    path = folder / "run.safetensors"
    tensors = load_file(path)
    student.load_state_dict(_under(tensors, "student."))
    average.weights = _under(tensors, "average.")
    if optimizer is None:
        return Progress()
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        states.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**json.loads(_metadata(path)["progress"]))


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as opened:
        metadata: dict[str, str] = opened.metadata()
    return metadata
