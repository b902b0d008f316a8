"""What the course of a classifier must remember between two epochs, on disk: it may end at any moment.

folder/
  epoch-002/                 the last whole epoch; the one before goes when this one is there
    tensors.safetensors        weights, both moments, and the best weights so far
    state.json                 epoch, steps, the curve, which epoch was best, digests

Order and noise are functions of the seed and the epoch, so a course that was gone on with ends in the same bits.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import numpy as np

from projectone.assist.encoder.bert_files import BertFiles
from projectone.errors import TrainingError
from projectone.server.training.adamw import Tensors
from projectone.server.training.environment import arithmetic
from projectone.storage.files import building_directory, digest_of, sweep_builds

_TENSORS, _STATE = "tensors.safetensors", "state.json"
_FORMAT: Final = 1
Example = tuple[str, str | None]
_EPOCH = re.compile(r"epoch-(\d{3})")


@dataclass(frozen=True, kw_only=True)
class CourseState:
    """A course between two epochs.

    Attributes:
        epoch: That is done.
        n_steps: Taken until then.
        weights: With the directions.
        moments: First and second, by the names of what is tuned.
        best: The best weights so far.
        best_epoch: Where they were.
        curve: Accuracy before the first epoch and after each.
    """

    epoch: int
    n_steps: int
    weights: Tensors
    moments: tuple[Tensors, Tensors]
    best: Tensors
    best_epoch: int
    curve: tuple[float, ...]


def fingerprint_of(
    base: BertFiles, learned: Sequence[Example], judged: Sequence[Example], config: Mapping[str, Any]
) -> str:
    """Of all that decides how a teaching ends."""
    made = hashlib.sha256(json.dumps([learned, judged, dict(config), arithmetic()]).encode() + base.tokenizer)
    for name in sorted(base.tensors):
        made.update(name.encode() + np.ascontiguousarray(base.tensors[name]).tobytes())
    return made.hexdigest()


class CourseStates:
    """Saves and finds the states of one course.

    Args:
        folder: Its own.
        fingerprint: Of everything that decides the outcome; a state of another course is refused.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder, self._fingerprint = folder, fingerprint

    def part(self, name: str) -> CourseStates:
        """The states of a part of the same teaching."""
        return CourseStates(self._folder / name, self._fingerprint)

    def save(self, state: CourseState) -> None:
        """Write a state; after a crash it is there whole or not at all.

        Raises:
            StorageError: if the disk refused.
        """
        target = self._folder / f"epoch-{state.epoch:03d}"
        if target.exists():
            return
        with building_directory(target) as building:
            flat = {"weights": state.weights, "first": state.moments[0], "second": state.moments[1], "best": state.best}
            tensors = {f"{part}/{name}": tensor for part, own in flat.items() for name, tensor in own.items()}
            try:
                mx.save_safetensors(str(building / _TENSORS), tensors)
            except RuntimeError as error:  # its word for a disk that is full
                raise OSError(f"{_TENSORS}: {error}") from error
            facts = {
                "format": _FORMAT,
                "fingerprint": self._fingerprint,
                "tensors_sha256": digest_of(building / _TENSORS),
                "epoch": state.epoch,
                "n_steps": state.n_steps,
                "best_epoch": state.best_epoch,
                "curve": list(state.curve),
            }
            (building / _STATE).write_text(json.dumps(facts, indent=1))
        for older in self._found()[1:]:
            shutil.rmtree(older)

    def latest(self) -> CourseState | None:
        """The last state that is whole; None where there is none. A damaged one is left out: an epoch is taught again.

        Raises:
            TrainingError: if it is the state of another course.
        """
        for path in self._found():
            sweep_builds(path)
            try:
                facts = json.loads((path / _STATE).read_text())
                if digest_of(path / _TENSORS) != facts["tensors_sha256"]:
                    raise ValueError("damaged")
                loaded = dict(mx.load(str(path / _TENSORS), format="safetensors").items())
                mx.eval(loaded)  # reading is lazy, and the file goes with the next epoch
            except (OSError, ValueError, KeyError, RuntimeError):
                shutil.rmtree(path)
                continue
            if facts["format"] != _FORMAT or facts["fingerprint"] != self._fingerprint:
                raise TrainingError(
                    f"{self._folder.name!r} holds a course with other examples, settings or encoder, or begun by "
                    "another version of projectone, mlx or numpy: give a fresh folder, or the same ones as before"
                )
            return _state(facts, loaded)
        return None

    def clear(self) -> None:
        """Remove everything: the classifier is saved."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _found(self) -> list[Path]:
        found = [path for path in self._folder.glob("epoch-*") if _EPOCH.fullmatch(path.name)]
        return sorted(found, reverse=True)


def _state(facts: dict[str, Any], loaded: Tensors) -> CourseState:
    parts: dict[str, Tensors] = {"weights": {}, "first": {}, "second": {}, "best": {}}
    for name, tensor in loaded.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = tensor
    return CourseState(
        epoch=int(facts["epoch"]),
        n_steps=int(facts["n_steps"]),
        weights=parts["weights"],
        moments=(parts["first"], parts["second"]),
        best=parts["best"],
        best_epoch=int(facts["best_epoch"]),
        curve=tuple(map(float, facts["curve"])),
    )
