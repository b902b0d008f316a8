"""All that a run must remember, on disk: a resumed run ends in the same bits as one that was never stopped.

work folder/
  checkpoint-r0-s000025/     one per saved step; r counts the returns after bad numbers; the last two are kept
    tensors.safetensors        weights, first and second moments, float32
    state.json                 step (which is also the cursor and, with the seed, the state of all randomness), digests
  paused-r0-s000031/         the same at the step where somebody stopped the run, until it has gone on
  best-r0-s000025/           the best weights so far, named by the checkpoints that need them
  part-sequence/             the same again for a part of the run that has states of its own

Order and randomness need no state of their own: both are functions of the seed and the step (`batching.stream`).
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import mlx.core as mx

from projectone.errors import StorageError, TrainingError
from projectone.server.training.adamw import Tensors
from projectone.server.training.environment import Arithmetic
from projectone.storage.files import building_directory, digest_of, sweep_temporary

FORMAT = 1
TENSORS = "tensors.safetensors"
KEPT = 2
_CHECKPOINT = re.compile(r"(?:checkpoint|paused)-r(\d+)-s(\d+)")
_SAVED, _PAUSED = "checkpoint", "paused"
_PARTS = ("weights", "first", "second")


@dataclass(frozen=True, kw_only=True)
class DevScore:
    """How weights did on the clips that were held back.

    Attributes:
        wer: Word error rate of generated text.
        general_wer: The same on general speech, if any was given.
        loss: Nats per token; people watch it, nothing is chosen by it.
        errors: Wrong words of each held-back clip, in an order that is the same all through a run.
        n_words: In all of these clips.
        general_errors: As `errors`, of general speech.
        n_general_words: In all of these.
    """

    wer: float
    general_wer: float | None
    loss: float
    errors: tuple[int, ...] = ()
    n_words: int = 0
    general_errors: tuple[int, ...] = ()
    n_general_words: int = 0

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Self:
        """What `dataclasses.asdict` made of one and JSON kept."""
        return cls(**{**facts, **{name: tuple(facts[name]) for name in ("errors", "general_errors")}})


@dataclass(frozen=True, kw_only=True)
class Best:
    """The weights to keep so far, and where in the run they were.

    Attributes:
        step: After which they were judged.
        score: Of these weights.
        weights: All that is trained.
        lowest: The score that costs least so far: theirs, or one from which chance may tell them apart.
    """

    step: int
    score: DevScore
    weights: Tensors
    lowest: DevScore


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """A run between two steps."""

    step: int
    weights: Tensors
    moments: tuple[Tensors, Tensors]
    n_rollbacks: int = 0
    elapsed_s: float = 0.0
    before: DevScore | None = None
    best: Best | None = None


class StateFolder:
    """Saves and finds states of one run.

    Args:
        folder: The run's own.
        fingerprint: Of everything that decides the outcome; a state of another run is refused.
        arithmetic: What of that is ours and the libraries', so that a refusal can name it.
    """

    def __init__(self, folder: Path, fingerprint: str, arithmetic: Arithmetic | None = None) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._arithmetic: Final = arithmetic or {}
        folder.mkdir(parents=True, exist_ok=True)
        sweep_temporary(folder)

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint; after a crash it is there whole or not at all.

        Raises:
            StorageError: if the disk refused.
        """
        self._write(state, _SAVED)
        # What was stopped has gone on.
        for path in self._found(_PAUSED):
            if self._age(path) <= (state.n_rollbacks, state.step):
                shutil.rmtree(path)
        self._prune()

    def pause(self, state: TrainingState) -> None:
        """As `save`, for where a run was stopped by hand.

        The run goes on from there, but after bad numbers it never returns to there: where somebody happened to stop
        it must not decide its outcome.

        Raises:
            StorageError: if the disk refused.
        """
        self._write(state, _PAUSED)
        for path in self._found(_PAUSED)[1:]:
            shutil.rmtree(path)
        self._prune()

    def _write(self, state: TrainingState, kind: str) -> None:
        best = self._save_best(state.best, state.n_rollbacks) if state.best else None
        path = self._folder / f"{kind}-r{state.n_rollbacks}-s{state.step:06d}"
        if not path.exists():
            with building_directory(path) as building:
                digest = _write_tensors(building, _flat(state))
                facts = {
                    "format": FORMAT,
                    "fingerprint": self._fingerprint,
                    "arithmetic": self._arithmetic,
                    "tensors_sha256": digest,
                    "step": state.step,
                    "n_rollbacks": state.n_rollbacks,
                    "elapsed_s": state.elapsed_s,
                    "before": asdict(state.before) if state.before else None,
                    "best": best,
                }
                (building / "state.json").write_text(json.dumps(facts, indent=1))

    def latest(self, *, is_saved: bool = False) -> TrainingState | None:
        """The newest checkpoint that is whole, or None if the run never got that far.

        Args:
            is_saved: Leave out where the run was stopped by hand.

        Raises:
            TrainingError: if the folder belongs to another run.
            StorageError: if there are checkpoints and none is whole.
        """
        found = self._found(_SAVED) if is_saved else self._found(_SAVED, _PAUSED)
        problems: dict[Path, Exception] = {}
        for path in found:
            try:
                state = self._read(path)
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                problems[path] = error
                continue
            for damaged in problems:
                shutil.rmtree(damaged)  # or it would stay when the run has come there again
            if problems:
                self._prune()
            return state
        if found:
            said = "; ".join(f"{path.name}: {problem}" for path, problem in problems.items())
            raise StorageError(f"{self._folder.name!r}: no checkpoint can be read: {said}")
        return None

    def part(self, name: str) -> StateFolder:
        """The states of a part of the same run."""
        return StateFolder(self._folder / f"part-{name}", self._fingerprint, self._arithmetic)

    def clear(self) -> None:
        """Remove the checkpoints of a run that is finished."""
        for path in [*self._found(_SAVED, _PAUSED), *self._folder.glob("best-*"), *self._folder.glob("part-*")]:
            shutil.rmtree(path)

    def _read(self, path: Path) -> TrainingState:
        facts = json.loads((path / "state.json").read_text())
        if facts["format"] != FORMAT or facts["fingerprint"] != self._fingerprint:
            raise TrainingError(f"{self._folder.name!r} holds a run {self._why_not(facts.get('arithmetic', {}))}")
        tensors = _read_tensors(path, facts["tensors_sha256"])
        parts: dict[str, Tensors] = {part: {} for part in _PARTS}
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor
        return TrainingState(
            step=int(facts["step"]),
            weights=parts["weights"],
            moments=(parts["first"], parts["second"]),
            n_rollbacks=int(facts["n_rollbacks"]),
            elapsed_s=float(facts["elapsed_s"]),
            before=DevScore.from_json(facts["before"]) if facts["before"] else None,
            best=self._read_best(facts["best"]),
        )

    def _why_not(self, begun_with: Arithmetic) -> str:
        """Why a run that was begun with this arithmetic is not gone on with here, and what to do."""
        others = [name for name in self._arithmetic if begun_with.get(name) != self._arithmetic[name]]
        if not others:
            return "with other clips, settings or base: give a fresh folder, or the same ones as before"
        before, here = (
            ", ".join(f"{name} {of.get(name) or 'not noted'}" for name in others)
            for of in (begun_with, self._arithmetic)
        )
        return (
            f"that was begun with {before}; here is {here}, which would end it in other last bits: "
            "finish it with the versions it was begun with, or give a fresh folder"
        )

    def _read_best(self, facts: dict[str, Any] | None) -> Best | None:
        if facts is None:
            return None
        weights = _read_tensors(self._folder / facts["folder"], facts["sha256"])
        score, lowest = (DevScore.from_json(facts[name]) for name in ("score", "lowest"))
        return Best(step=int(facts["step"]), score=score, weights=weights, lowest=lowest)

    def _save_best(self, best: Best, n_rollbacks: int) -> dict[str, Any]:
        path = self._folder / f"best-r{n_rollbacks}-s{best.step:06d}"
        if not path.exists():
            with building_directory(path) as building:
                _write_tensors(building, best.weights)
        digest = digest_of(path / TENSORS)
        scores = {"score": asdict(best.score), "lowest": asdict(best.lowest)}
        return {"folder": path.name, "sha256": digest, "step": best.step, **scores}

    def _found(self, *kinds: str) -> list[Path]:
        """Checkpoints, the newest first: more returns mean later, whatever the step."""
        paths = [path for kind in kinds for path in self._folder.glob(f"{kind}-*") if _CHECKPOINT.fullmatch(path.name)]
        return sorted(paths, key=self._age, reverse=True)

    @staticmethod
    def _age(path: Path) -> tuple[int, int]:
        match = _CHECKPOINT.fullmatch(path.name)
        assert match is not None
        return int(match[1]), int(match[2])

    def _prune(self) -> None:
        for path in self._found(_SAVED)[KEPT:]:
            shutil.rmtree(path)
        needed: set[str] = set()
        for path in self._found(_SAVED, _PAUSED):
            best = json.loads((path / "state.json").read_text())["best"]
            needed |= {best["folder"]} if best else set()
        for path in self._folder.glob("best-*"):
            if path.name not in needed:
                shutil.rmtree(path)


def _flat(state: TrainingState) -> Tensors:
    parts = zip(_PARTS, (state.weights, *state.moments), strict=True)
    return {f"{part}/{name}": tensor for part, tensors in parts for name, tensor in tensors.items()}


def _write_tensors(folder: Path, tensors: Tensors) -> str:
    try:
        mx.save_safetensors(str(folder / TENSORS), tensors)
    except RuntimeError as error:  # its word for a disk that is full
        raise OSError(f"{TENSORS}: {error}") from error
    return digest_of(folder / TENSORS)


def _read_tensors(folder: Path, digest: str) -> Tensors:
    if (actual := digest_of(folder / TENSORS)) != digest:
        raise ValueError(f"expected sha256 {digest}, got {actual}")
    loaded = dict(mx.load(str(folder / TENSORS), format="safetensors").items())
    mx.eval(loaded)  # reading is lazy, and the file may be pruned later
    return loaded
