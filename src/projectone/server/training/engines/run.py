"""Fine-tuning, the same for every engine but for its steps: puts examples, order, loop, judge and disk together."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mlx.utils import tree_unflatten

from projectone.errors import StorageError
from projectone.server.training.adamw import AdamW, Tensors
from projectone.server.training.config import TrainingConfig
from projectone.server.training.encoder_outputs import EncodedBatches, EncoderOutputs, repeated_steps
from projectone.server.training.engines.choice import find_steps
from projectone.server.training.engines.methods import TrainingMethod, open_method
from projectone.server.training.engines.protocol import TrainingProgress, TrainingResult
from projectone.server.training.engines.reporting import Reporter
from projectone.server.training.engines.sequence_stage import SEQUENCE, SequenceStage, StageSetting
from projectone.server.training.engines.steps import Steps, with_tensors
from projectone.server.training.environment import arithmetic
from projectone.server.training.examples import ExampleBuilder, Skipped, TrainingClip
from projectone.server.training.fingerprint import fingerprint_of
from projectone.server.training.interpolation import AlphaPoint
from projectone.server.training.lessons import Lessons
from projectone.server.training.log import TrainingLog
from projectone.server.training.lora import adapter_size
from projectone.server.training.loss import Batch
from projectone.server.training.material import Material, sort_clips
from projectone.server.training.memory import keep_freed_memory
from projectone.server.training.parallel import ProcessGroup
from projectone.server.training.parallel_parts import SharedGradients, SharedJudge, SharedStates, share_of
from projectone.server.training.rounding import LARGEST_LOSS
from projectone.server.training.selection import (
    DevJudge,
    choose_alpha,
    cost_since,
    forgets_at_most,
    latest_unless_worse,
)
from projectone.server.training.sequence_guard import SequenceOutcome
from projectone.server.training.state import DevScore, StateFolder, TrainingState
from projectone.server.training.trainer import LoopParts, train
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint, save_checkpoint
from projectone.speech.realignment import still_aligned
from projectone.speech.weight_grid import UNIT
from projectone.storage.files import TEMPORARY_PREFIX, building_directory, digest_of, write_atomically

LOG_NAME = "training.jsonl"
RESULT_NAME = "result.json"
_ENCODER_OUTPUTS = "encoder"
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
    carrier_clips: Sequence[TrainingClip] = (),
    group: ProcessGroup | None = None,
) -> TrainingResult:
    """Fine-tune `base` on `clips` into the new folder `out`; see `Engine` for arguments and errors.

    With a `group` several processes make this call, each takes a share of every step, and the first one alone judges
    and writes: the batch is as large as the config says, however many share it.

    An adapter, if that is what was trained, is kept in the folder `adapter_folder` names.
    On the CPU the same base, clips and config give the same bytes, however often the run was killed on the way.
    """
    open_steps = find_steps(config.engine)
    keep_freed_memory()
    group = group or ProcessGroup()
    checkpoint = load_checkpoint(base)
    fingerprint = fingerprint_of(
        checkpoint.folder_digest, (clips, dev_clips or (), replay_clips, carrier_clips), config
    )
    group.expect_same(fingerprint, "clips, settings, base and versions")
    if (finished := group.decide(lambda: _finished(work_folder, out, fingerprint))) is not None:
        return _result_of(finished)
    states = StateFolder(work_folder, fingerprint, arithmetic(config.engine)) if group.is_first else None
    folder = SharedStates(states, group)
    opening = folder.latest()
    if group.is_first and out.exists() and opening is None:
        raise StorageError(f"{out.name!r} exists and is not of this run; give another name or remove it")
    material = sort_clips(checkpoint, clips, dev_clips, replay_clips, config, carrier_clips)
    method = open_method(checkpoint.model, base, config)
    steps = open_steps(method, checkpoint, base, config)
    run = _Run(checkpoint, config, method, steps, material, work_folder, on_progress, group)
    result = run.execute(folder, opening, out)
    if group.is_first:
        _write_note(work_folder, fingerprint, result)
    run.clear(folder)
    return result


def adapter_folder(out: Path) -> Path:
    """Where the adapter of the model folder `out` lies: beside it, because a model folder is published whole."""
    return out.with_name(f"{out.name}.adapter")


class _Run:
    """One call of `finetune`, from the first judgement to the saved model."""

    def __init__(
        self,
        checkpoint: WhisperCheckpoint,
        config: TrainingConfig,
        method: TrainingMethod,
        steps: Steps,
        material: Material,
        work_folder: Path,
        on_progress: Callable[[TrainingProgress], None] | None,
        group: ProcessGroup,
    ) -> None:
        self._checkpoint, self._config, self._method, self._material = checkpoint, config, method, material
        self._steps = steps
        builder = ExampleBuilder(checkpoint, language=config.language)
        lessons = Lessons(builder, material, config)
        self._group, self._work_folder = group, work_folder
        self._batch_of: Callable[[int], Batch] = lambda step: share_of(
            lessons.batch(step), rank=group.rank, size=group.size
        )
        self._epochs = lessons.epochs
        self._outputs: EncoderOutputs | None = None
        if config.trainable == "decoder" and config.encoded_epochs:
            # A folder for each: what one is writing another would sweep away.
            self._encode_once(work_folder / (f"{_ENCODER_OUTPUTS}-{group.rank}" if group.rank else _ENCODER_OUTPUTS))
        judge = DevJudge(builder, material.held_back, material.general, config) if material.held_back else None
        self._judge: Callable[[Tensors], DevScore] | None = None
        if judge is not None:
            self._judge = lambda trained: judge(method.model_weights(trained))
        self._curve: list[AlphaPoint] = []
        log = TrainingLog(work_folder / LOG_NAME if group.is_first else Path(os.devnull), time.monotonic)
        self._report = Reporter(log, on_progress, epochs=self._epochs, n_epochs=config.epochs)
        self._stage: SequenceStage | None = None
        self._outcome: SequenceOutcome | None = None
        if config.sequence != "off":
            self._stage = SequenceStage(StageSetting(builder, material, method, self._judge, log, on_progress), config)

    def execute(self, folder: SharedStates, opening: TrainingState | None, out: Path) -> TrainingResult:
        """Begin, or go on from `opening`; train, choose, save."""
        state = self._opening_state(folder, opening)
        steps, judge = self._steps, self._shared_judge()
        parts = LoopParts(
            loss_and_gradients=SharedGradients(steps.loss_and_gradients, self._group),
            update=steps.update,
            batch_of=self._batch_of,
            judge=judge and (lambda trained: judge(steps.put_down(trained))),
            prefer=latest_unless_worse(state.before),
            save=lambda state: folder.save(with_tensors(state, steps.put_down)),
            pause=lambda state: folder.pause(with_tensors(state, steps.put_down)),
            load=lambda: with_tensors(_expect(folder.latest(is_saved=True)), steps.taken_up),
            clock=time.monotonic,
            on_step=self._report.step,
            on_judged=self._report.judged,
            on_rollback=self._report.rollback,
        )
        rate = self._config.rate_for(self._checkpoint.dims.n_audio_state)
        state = with_tensors(state, steps.taken_up)
        state = train(state, parts, self._config, n_steps=len(self._epochs), rate=rate)
        trained = with_tensors(state, steps.put_down)
        # What is left, the first process does alone; the others learn what came of it.
        return _result_of(self._group.decide(lambda: dataclasses.asdict(self._finish(trained, folder, out))))

    def _finish(self, state: TrainingState, folder: SharedStates, out: Path) -> TrainingResult:
        if self._stage is not None:
            state, self._outcome = self._stage.run(state, folder.part(SEQUENCE))
        alpha, trained, score = self._choose(state)
        trained, score, units = self._rounded(trained, score, state.before)
        self._report.phase("save", state.step)
        digest = self._save(trained, out)
        result = dataclasses.replace(self._result(state, digest, alpha, score), update_step=units * UNIT)
        self._report.finished(result)
        return result

    def _shared_judge(self) -> SharedJudge | None:
        return SharedJudge(self._judge, self._group) if self._judge is not None else None

    def clear(self, folder: SharedStates) -> None:
        """Remove what only an unfinished run needs."""
        folder.clear()
        if self._outputs is not None:
            self._outputs.clear()
        if self._group.is_first:
            # Of processes that took part before the run was stopped, and no longer do.
            for path in self._work_folder.glob(f"{_ENCODER_OUTPUTS}-*"):
                shutil.rmtree(path, ignore_errors=True)

    def _encode_once(self, folder: Path) -> None:
        config, planned = self._config, self._batch_of
        sources, self._epochs = repeated_steps(
            self._epochs, config.encoded_epochs, config.seed, max_steps=config.max_steps
        )
        self._outputs = EncoderOutputs(
            folder,
            self._steps.embed_audio,
            model_sha256=str(self._checkpoint.folder_digest),
            max_bytes=config.encoder_cache_bytes // self._group.size,
        )
        self._batch_of = EncodedBatches(planned, sources, self._outputs).batch

    def _opening_state(self, folder: SharedStates, state: TrainingState | None) -> TrainingState:
        if state is not None:
            self._report.resumed(state.step)
            return state
        self._report.started(self._config, n_clips=len(self._material.own), n_replay=len(self._material.replay))
        if self._method.name == "lora":
            size = adapter_size(self._checkpoint.dims, self._config.lora, self._config.trainable)
            self._report.adapters(size.n_bytes, size.share)
        opening = self._method.opening
        judge = self._shared_judge()
        before = judge(opening) if judge else None
        if before is not None:
            self._report.judged(0, before)
        state = TrainingState(step=0, weights=opening, moments=AdamW().zeros(opening), before=before)
        folder.save(state)
        return state

    def _choose(self, state: TrainingState) -> tuple[float, Tensors, DevScore | None]:
        """Share of what was trained, the tensors that come of it, and their score."""
        if self._judge is None or state.best is None or state.before is None:
            return 1.0, state.weights, None
        self._report.phase("interpolate", state.step)
        self._curve = [AlphaPoint(0.0, state.before.wer, state.before.general_wer)]
        return choose_alpha(
            self._method.unchanged(state.best.weights),
            state.best,
            self._judge,
            self._config.alphas,
            cost=cost_since(state.before),
            on_judged=self._judged_alpha,
            is_allowed=forgets_at_most(self._config.max_forgetting, state.before),
        )

    def _rounded(
        self, trained: Tensors, score: DevScore | None, before: DevScore | None
    ) -> tuple[Tensors, DevScore | None, int]:
        """What was trained in whole steps, its score and the step in units; 0 where it stays as it is."""
        made = self._method.rounded(trained)
        if made is None:
            return trained, score, 0
        if self._judge is None or score is None:
            self._report.rounded(made.units, None, is_taken=True)
            return made.tensors, score, made.units
        after = self._judge(made.tensors)
        # What the result may forget is said of the weights that ship, so these are asked again.
        is_remembered = before is None or forgets_at_most(self._config.max_forgetting, before)(after)
        is_taken = after.wer <= score.wer + LARGEST_LOSS and is_remembered
        self._report.rounded(made.units, after, is_taken=is_taken)
        return (made.tensors, after, made.units) if is_taken else (trained, score, 0)

    def _judged_alpha(self, alpha: float, score: DevScore) -> None:
        self._curve.append(AlphaPoint(alpha, score.wer, score.general_wer))
        self._report.alpha(alpha, score)

    def _save(self, trained: Tensors, out: Path) -> str:
        """Put the model at `out`, or find the same one there; gives the digest of its weights."""
        self._checkpoint.model.update(tree_unflatten(list(self._method.model_weights(trained).items())))
        heard = [example.clip.samples for example in self._material.held_back or self._material.own]
        self._checkpoint = still_aligned(self._checkpoint, heard, language=self._config.language)
        digest = self._save_model(out)
        self._method.save_beside(trained, out, adapter_folder(out))
        return digest

    def _save_model(self, out: Path) -> str:
        if not out.exists():
            with building_directory(out) as building:
                save_checkpoint(self._checkpoint, building)
            return digest_of(out / _WEIGHTS)
        # Killed after the folder had appeared and before that was noted: the same run makes the same bytes.
        with tempfile.TemporaryDirectory(prefix=f"{TEMPORARY_PREFIX}{out.name}-", dir=out.parent) as scratch:
            save_checkpoint(self._checkpoint, Path(scratch))
            digest = digest_of(Path(scratch) / _WEIGHTS)
        if not (out / _WEIGHTS).is_file() or digest_of(out / _WEIGHTS) != digest:
            raise StorageError(f"{out.name!r} exists and holds something else; give another name or remove it")
        return digest

    def _result(self, state: TrainingState, digest: str, alpha: float, score: DevScore | None) -> TrainingResult:
        before = state.before
        return TrainingResult(
            method=self._method.name,
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
            curve=tuple(sorted(self._curve, key=lambda point: point.alpha)),
            sequence=self._outcome,
        )


def _write_note(work_folder: Path, fingerprint: str, result: TrainingResult) -> None:
    note = {"fingerprint": fingerprint, **dataclasses.asdict(result)}
    write_atomically(work_folder / RESULT_NAME, json.dumps(note, indent=1).encode())


def _finished(work_folder: Path, out: Path, fingerprint: str) -> dict[str, Any] | None:
    """The result of the same run, if it ended earlier and its model is still there."""
    note = work_folder / RESULT_NAME
    if not note.is_file() or not (out / _WEIGHTS).is_file():
        return None
    facts: dict[str, Any] = json.loads(note.read_text())
    if facts.pop("fingerprint") != fingerprint or facts["weights_sha256"] != digest_of(out / _WEIGHTS):
        return None
    return facts


def _result_of(facts: dict[str, Any]) -> TrainingResult:
    facts["skipped"] = tuple(Skipped(**entry) for entry in facts["skipped"])
    facts["curve"] = tuple(AlphaPoint(**entry) for entry in facts["curve"])
    facts["sequence"] = facts["sequence"] and SequenceOutcome.from_json(facts["sequence"])
    return TrainingResult(**facts)


def _expect(state: TrainingState | None) -> TrainingState:
    if state is None:
        raise StorageError("the checkpoint that this run began with is gone from its work folder")
    return state
