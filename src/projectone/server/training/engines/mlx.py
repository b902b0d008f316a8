"""Fine-tuning in MLX: puts examples, order, loop, judge and disk together."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from projectone.errors import StorageError
from projectone.server.training.adamw import AdamW, Tensors
from projectone.server.training.batching import PlannedBatch, plan_batches
from projectone.server.training.config import TrainingConfig
from projectone.server.training.engines.protocol import TrainingProgress, TrainingResult
from projectone.server.training.engines.reporting import Reporter
from projectone.server.training.examples import ExampleBuilder, Skipped, TrainingClip
from projectone.server.training.features import BatchMaker
from projectone.server.training.fingerprint import fingerprint_of
from projectone.server.training.log import TrainingLog
from projectone.server.training.loss import Batch, mean_cross_entropy
from projectone.server.training.material import Material, sort_clips
from projectone.server.training.memory import keep_freed_memory
from projectone.server.training.selection import DevJudge, better_than, choose_alpha, cost_since
from projectone.server.training.state import DevScore, StateFolder, TrainingState
from projectone.server.training.trainer import LoopParts, train
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint, save_checkpoint
from projectone.storage.files import building_directory, digest_of, write_atomically

LOG_NAME = "training.jsonl"
RESULT_NAME = "result.json"
_WEIGHTS = "model.safetensors"


def finetune(
    base: Path,
    clips: Sequence[TrainingClip],
    config: TrainingConfig,
    *,
    work_folder: Path,
    out: Path,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    dev_clips: Sequence[TrainingClip] | None = None,
    replay_clips: Sequence[TrainingClip] = (),
) -> TrainingResult:
    """Fine-tune `base` on `clips` into the new folder `out`; see `Engine` for arguments and errors.

    On the CPU the same base, clips and config give the same bytes, however often the run was killed on the way.
    """
    keep_freed_memory()
    checkpoint = load_checkpoint(base)
    fingerprint = fingerprint_of(checkpoint.folder_digest, (clips, dev_clips or (), replay_clips), config)
    if (finished := _finished(work_folder, out, fingerprint)) is not None:
        return finished
    run = _Run(
        checkpoint, config, sort_clips(checkpoint, clips, dev_clips, replay_clips, config), work_folder, on_progress
    )
    result = run.execute(StateFolder(work_folder, fingerprint), out)
    note = {"fingerprint": fingerprint, **dataclasses.asdict(result)}
    write_atomically(work_folder / RESULT_NAME, json.dumps(note, indent=1).encode())
    return result


class _Run:
    """One call of `finetune`, from the first judgement to the saved model."""

    def __init__(
        self,
        checkpoint: WhisperCheckpoint,
        config: TrainingConfig,
        material: Material,
        work_folder: Path,
        on_progress: Callable[[TrainingProgress], None] | None,
    ) -> None:
        self._checkpoint, self._config, self._material = checkpoint, config, material
        self._model = checkpoint.model
        if config.trainable == "decoder":
            self._model.encoder.freeze()
        self._base: Tensors = dict(tree_flatten(self._model.trainable_parameters()))
        builder = ExampleBuilder(checkpoint, language=config.language)
        examples = [*material.own, *material.replay]
        self._batches = BatchMaker(builder, examples, config)
        self._plan: list[PlannedBatch] = plan_batches(
            [example.clip.duration_s for example in examples],
            len(material.replay),
            config,
            window_frames=checkpoint.features.n_frames,
        )
        self._judge = DevJudge(builder, material.held_back, material.general, config) if material.held_back else None
        log = TrainingLog(work_folder / LOG_NAME, time.monotonic)
        self._report = Reporter(log, on_progress, epochs=[batch.epoch for batch in self._plan], n_epochs=config.epochs)
        self._gradients = mx.value_and_grad(self._loss)

    def execute(self, folder: StateFolder, out: Path) -> TrainingResult:
        """Begin or go on, train, choose, save."""
        state = self._opening_state(folder)
        before = state.before
        is_better = better_than(before) if before else lambda first, second: first.loss < second.loss
        parts = LoopParts(
            loss_and_gradients=self._loss_and_gradients,
            batch_of=lambda step: self._batches.make(step, self._plan[step]),
            judge=self._judge,
            is_better=is_better,
            save=folder.save,
            load=lambda: _expect(folder.latest()),
            clock=time.monotonic,
            on_step=self._report.step,
            on_judged=self._report.judged,
            on_rollback=self._report.rollback,
        )
        rate = self._config.rate_for(self._checkpoint.dims.n_audio_state)
        state = train(state, parts, self._config, n_steps=len(self._plan), rate=rate)
        alpha, weights, score = self._choose(state)
        self._report.phase("save", state.step)
        digest = self._save(weights, out)
        result = self._result(state, digest, alpha, score)
        self._report.finished(result)
        folder.clear()
        return result

    def _opening_state(self, folder: StateFolder) -> TrainingState:
        state = folder.latest()
        if state is not None:
            self._report.resumed(state.step)
            return state
        self._report.started(self._config, n_clips=len(self._material.own), n_replay=len(self._material.replay))
        before = self._judge(self._base) if self._judge else None
        if before is not None:
            self._report.judged(0, before)
        state = TrainingState(step=0, weights=self._base, moments=AdamW().zeros(self._base), before=before)
        folder.save(state)
        return state

    def _choose(self, state: TrainingState) -> tuple[float, Tensors, DevScore | None]:
        """Share of the tuned weights, the weights that come of it, and their score."""
        if self._judge is None or state.best is None or state.before is None:
            return 1.0, state.weights, None
        self._report.phase("interpolate", state.step)
        return choose_alpha(
            self._base,
            state.best,
            self._judge,
            self._config.alphas,
            cost=cost_since(state.before),
            on_judged=self._report.alpha,
        )

    def _save(self, weights: Tensors, out: Path) -> str:
        """Put the model at `out`, or find the same one there; gives the digest of its weights."""
        self._model.update(tree_unflatten(list(weights.items())))
        if not out.exists():
            with building_directory(out) as building:
                save_checkpoint(self._checkpoint, building)
            return digest_of(out / _WEIGHTS)
        # Killed after the folder had appeared and before that was noted: the same run makes the same bytes.
        with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
            save_checkpoint(self._checkpoint, Path(scratch))
            digest = digest_of(Path(scratch) / _WEIGHTS)
        if not (out / _WEIGHTS).is_file() or digest_of(out / _WEIGHTS) != digest:
            raise StorageError(f"{out.name!r} exists and holds something else; give another name or remove it")
        return digest

    def _result(self, state: TrainingState, digest: str, alpha: float, score: DevScore | None) -> TrainingResult:
        before = state.before
        return TrainingResult(
            weights_sha256=digest,
            n_steps=state.step,
            n_clips=len(self._material.own),
            n_dev_clips=len(self._material.held_back),
            dev_split=self._material.split,
            audio_s=round(sum(example.clip.duration_s for example in self._material.own), 3),
            best_step=state.best.step if state.best else state.step,
            dev_wer_before=before.wer if before else None,
            dev_wer_after=score.wer if score else None,
            general_wer_before=before.general_wer if before else None,
            general_wer_after=score.general_wer if score else None,
            alpha=alpha,
            n_rollbacks=state.n_rollbacks,
            skipped=self._material.skipped,
            wall_s=round(state.elapsed_s, 3),
        )

    def _loss(self, weights: Tensors, batch: Batch) -> mx.array:
        self._model.update(tree_unflatten(list(weights.items())))
        return mean_cross_entropy(self._model, batch)

    def _loss_and_gradients(self, weights: Tensors, batch: Batch) -> tuple[mx.array, Tensors]:
        # Numbers that are not finite are the loop's business, after the step: no warnings on the way there.
        with np.errstate(all="ignore"):
            loss, gradients = self._gradients(weights, batch)
            mx.eval(loss, gradients)
        return loss, gradients


def _finished(work_folder: Path, out: Path, fingerprint: str) -> TrainingResult | None:
    """The result of the same run, if it ended earlier and its model is still there."""
    note = work_folder / RESULT_NAME
    if not note.is_file() or not (out / _WEIGHTS).is_file():
        return None
    facts = json.loads(note.read_text())
    if facts.pop("fingerprint") != fingerprint or facts["weights_sha256"] != digest_of(out / _WEIGHTS):
        return None
    facts["skipped"] = tuple(Skipped(**entry) for entry in facts["skipped"])
    return TrainingResult(**facts)


def _expect(state: TrainingState | None) -> TrainingState:
    if state is None:
        raise StorageError("the checkpoint that this run began with is gone from its work folder")
    return state
