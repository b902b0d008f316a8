"""The second stage of a run: after cross-entropy, fewer wrong words in what the model writes itself - or nothing.

It is a run of its own behind the first: the same loop, another loss, a state folder below the first one's. Whatever it
does, its weights are taken only if the guard finds nothing against them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import mlx.core as mx
import numpy as np
from mlx.utils import tree_unflatten

from projectone.errors import ArtifactError, StorageError, TrainingError
from projectone.server.training.adamw import AdamW, Tensors
from projectone.server.training.batching import stream
from projectone.server.training.clipped_step import ClippedAdamW, put_down
from projectone.server.training.config import TrainingConfig
from projectone.server.training.engines.methods import TrainingMethod
from projectone.server.training.engines.protocol import TrainingProgress
from projectone.server.training.engines.reporting import Reporter
from projectone.server.training.engines.steps import with_tensors
from projectone.server.training.examples import ExampleBuilder
from projectone.server.training.lessons import Lessons
from projectone.server.training.log import TrainingLog
from projectone.server.training.loss import Batch
from projectone.server.training.material import Material
from projectone.server.training.selection import by_chance, latest_unless_worse
from projectone.server.training.sequence_guard import SequenceGuard, SequenceOutcome, reasons_against
from projectone.server.training.sequence_loss import (
    Hypothesis,
    SequenceBatch,
    collate_hypotheses,
    group_relative_policy,
    minimum_word_error,
    token_logprobs,
    with_cross_entropy,
)
from projectone.server.training.sequence_sampling import Reference, Sampler
from projectone.server.training.state import Best, DevScore, StateFolder, TrainingState
from projectone.server.training.trainer import LoopParts, StepReport, train
from projectone.speech.encoding import embed_windows
from projectone.speech.whisper import Whisper

_SAMPLE, _ORDER = 21, 22  # which stream of random numbers
SEQUENCE = "sequence"


@dataclass(frozen=True)
class StageSetting:
    """Where the stage takes place.

    Attributes:
        builder: Of the model.
        material: The clips, sorted by use.
        method: What is trained.
        judge: Decodes the held-back clips with given weights; None if there are none.
        log: Of the run.
        on_progress: Told where the run is.
    """

    builder: ExampleBuilder
    material: Material
    method: TrainingMethod
    judge: Callable[[Tensors], DevScore] | None
    log: TrainingLog
    on_progress: Callable[[TrainingProgress], None] | None


class SequenceStage:
    """The stage of one run; `config.sequence` is not off.

    Args:
        setting: Where.
        config: How; of the stage and of the whole run.
    """

    def __init__(self, setting: StageSetting, config: TrainingConfig) -> None:
        self._setting, self._config = setting, stage_config(config)
        self._checkpoint, self._method = setting.builder.checkpoint, setting.method
        self._lessons = Lessons(setting.builder, setting.material, self._config)
        knobs = config.rollouts
        self._sampler = Sampler(
            self._checkpoint,
            language=setting.builder.language,
            n_hypotheses=knobs.n_hypotheses,
            temperature=knobs.temperature,
        )
        self._gradients = self._method.gradients_of(self._loss)
        self._start: Tensors = {}
        self._drawn_wer = 0.0
        self._report = Reporter(
            setting.log,
            setting.on_progress,
            epochs=self._lessons.epochs,
            n_epochs=self._config.epochs,
            stage="sequence",
        )

    def run(self, state: TrainingState, folder: StateFolder) -> tuple[TrainingState, SequenceOutcome]:
        """The state after the first stage, with better weights in it if there are any; and what was found.

        Args:
            state: After the last step of the first stage.
            folder: Of this stage's own states.

        Raises:
            KeyboardInterrupt: after the steps taken so far were saved.
        """
        ended, outcome = self._outcome(state, folder)
        self._setting.log.write("sequence_finish", **dataclasses.asdict(outcome))
        if ended is None:
            return state, outcome
        state = replace(state, elapsed_s=state.elapsed_s + ended.elapsed_s)
        if outcome.is_kept and ended.best is not None and state.best is not None:
            best = replace(state.best, score=ended.best.score, weights=ended.best.weights)
            state = replace(state, best=best)
        return state, outcome

    def _outcome(self, state: TrainingState, folder: StateFolder) -> tuple[TrainingState | None, SequenceOutcome]:
        setting, config = self._setting, self._config
        judge, best = setting.judge, state.best
        plain = SequenceOutcome(loss=config.sequence, is_kept=False, reason="")
        if judge is None or best is None or state.before is None:
            return None, replace(plain, reason="nothing was held back to watch it by")
        guard = SequenceGuard(setting.builder, setting.material.held_back, self._method.model_weights, seed=config.seed)
        before = guard(best.weights, best.score)
        plain = replace(plain, before=before)
        try:
            ended = self._train(folder, best, state.before, judge)
        except (TrainingError, ArtifactError) as error:  # the latter: adapters too large to be fused
            return None, replace(plain, reason=str(error))
        if ended.best is None:
            return ended, replace(plain, reason="it was never judged", n_steps=ended.step)
        after = guard(ended.best.weights, ended.best.score)
        chance = by_chance(ended.best.score.errors, best.score.errors, best.score.n_words)
        reasons = reasons_against(before, after, max_forgetting=config.max_forgetting, by_chance=chance)
        return ended, replace(
            plain,
            is_kept=not reasons,
            reason="; ".join(reasons) or "no more words lost than by chance, no longer texts, no more words in silence",
            n_steps=ended.step,
            best_step=ended.best.step,
            after=after,
        )

    def _train(
        self, folder: StateFolder, best: Best, first: DevScore, judge: Callable[[Tensors], DevScore]
    ) -> TrainingState:
        config = self._config
        self._start = best.weights
        state = folder.latest()
        if state is None:
            moments = AdamW().zeros(best.weights)
            state = TrainingState(step=0, weights=best.weights, moments=moments, before=best.score)
            folder.save(state)
        self._report.resumed(state.step)
        parts = LoopParts(
            loss_and_gradients=self._loss_and_gradients,
            update=ClippedAdamW(AdamW(weight_decay=config.weight_decay), config.clip_norm),
            batch_of=self._lessons.batch,
            judge=judge,
            prefer=latest_unless_worse(first),
            save=lambda state: folder.save(with_tensors(state, put_down)),
            pause=lambda state: folder.pause(with_tensors(state, put_down)),
            load=lambda: _expect(folder.latest(is_saved=True)),
            clock=time.monotonic,
            on_step=self._on_step,
            on_judged=self._report.judged,
            on_rollback=self._report.rollback,
        )
        rate = config.rate_for(self._checkpoint.dims.n_audio_state) * config.rollouts.rate_share
        return train(state, parts, config, n_steps=len(self._lessons), rate=rate)

    def _loss_and_gradients(self, trained: Tensors, lesson: Batch, step: int) -> tuple[mx.array, Tensors]:
        """Draw hypotheses with these very weights, then learn from them, once."""
        with np.errstate(all="ignore"):  # numbers that are not finite are the loop's business
            batch = self._rollout(trained, lesson, step)
        return self._gradients(trained, batch, step)

    def _rollout(self, trained: Tensors, lesson: Batch, step: int) -> SequenceBatch:
        language = self._config.language
        references = [Reference.of(examples, language=language) for examples in self._lessons.examples(step)]
        features = self._embed(trained, lesson.mel)
        seed = int(stream(self._config.seed, _SAMPLE, step).integers(2**63))
        drawn = self._sampler.draw(features, references, seed=seed)
        self._drawn_wer = sum(h.errors for h in drawn) / max(
            1, self._config.rollouts.n_hypotheses * sum(reference.n_words for reference in references)
        )
        if self._config.trainable == "decoder":  # what the encoder makes of them is known, and will not change
            lesson = replace(lesson, features=features)
        return self._batch(lesson, drawn, references)

    def _batch(self, lesson: Batch, drawn: list[Hypothesis], references: list[Reference]) -> SequenceBatch:
        is_mwer = self._config.sequence == "mwer"
        knobs = self._config.rollouts
        rollout = collate_hypotheses(
            self._sampler.with_references(drawn, references) if is_mwer else drawn,
            prefix=self._sampler.prefix,
            n_words=[reference.n_words for reference in references],
            forbidden=self._sampler.forbidden,
            pad=self._checkpoint.tokenizer.eot,
            temperature=knobs.temperature,
        )
        if is_mwer or not knobs.kl:
            return SequenceBatch(lesson, rollout)
        features = self._embed(self._start, lesson.mel)
        start_logprobs = token_logprobs(self._checkpoint.model, features, rollout, temperature=knobs.temperature)
        mx.eval(start_logprobs)
        return SequenceBatch(lesson, rollout, start_logprobs)

    def _loss(self, model: Whisper, batch: SequenceBatch) -> mx.array:
        lesson, rollout, knobs = batch.lesson, batch.rollout, self._config.rollouts
        features = model.embed_audio(lesson.mel) if lesson.features is None else lesson.features
        if self._config.sequence == "mwer":
            loss = minimum_word_error(token_logprobs(model, features, rollout), rollout)
        else:
            logprobs = token_logprobs(model, features, rollout, temperature=rollout.temperature)
            loss = group_relative_policy(logprobs, rollout, start_logprobs=batch.start_logprobs, kl=knobs.kl)
        return with_cross_entropy(loss, model, features, lesson, knobs.cross_entropy)

    def _embed(self, trained: Tensors, mel: mx.array) -> mx.array:
        """Features of clips; the model has these weights afterwards."""
        model = self._checkpoint.model
        model.update(tree_unflatten(list(self._method.model_weights(trained).items())))
        return embed_windows(model, mel)

    def _on_step(self, report: StepReport) -> None:
        self._report.step(report, drawn_wer=self._drawn_wer)


def stage_config(config: TrainingConfig) -> TrainingConfig:
    """The config of a run as its second stage takes it: epochs, steps and an order of its own."""
    return replace(
        config,
        epochs=config.rollouts.epochs,
        max_steps=config.rollouts.max_steps,
        seed=int(stream(config.seed, _ORDER).integers(2**32)),
    )


def _expect(state: TrainingState | None) -> TrainingState:
    if state is None:
        raise StorageError("the checkpoint that the second stage began with is gone from its work folder")
    return state
