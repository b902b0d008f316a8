"""What a run says of itself: lines in its log, and where it is for whoever watches."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from projectone.server.training.config import TrainingConfig
from projectone.server.training.engines.protocol import Phase, TrainingProgress, TrainingResult
from projectone.server.training.log import TrainingLog
from projectone.server.training.state import DevScore
from projectone.server.training.trainer import StepReport
from projectone.speech.weight_grid import UNIT

_RECENT_STEPS = 20  # the loss shown is their mean: single batches jump


class Reporter:
    """Writes the log and tells the listener; knows nothing of models.

    Args:
        log: Of the run.
        listener: Called after every step and at every change of phase.
        epochs: The epoch of every step.
        n_epochs: How many there are.
        stage: Whose steps these are; lines of the second stage begin with `sequence_`.
    """

    def __init__(
        self,
        log: TrainingLog,
        listener: Callable[[TrainingProgress], None] | None,
        *,
        epochs: Sequence[int],
        n_epochs: int,
        stage: Literal["train", "sequence"] = "train",
    ) -> None:
        self._stage: Literal["train", "sequence"] = stage
        self._prefix = "" if stage == "train" else f"{stage}_"
        self._log, self._listener = log, listener
        self._epochs, self._n_epochs = epochs, n_epochs
        self._dev_wer: float | None = None
        self._rate: float | None = None
        self._losses: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._pace: deque[tuple[float, float]] = deque(maxlen=_RECENT_STEPS)
        self._last_elapsed_s = 0.0

    def started(self, config: TrainingConfig, *, n_clips: int, n_replay: int) -> None:
        """A fresh run begins."""
        self._log.write("start", n_steps=len(self._epochs), n_clips=n_clips, n_replay=n_replay, config=config.to_json())
        self.phase("prepare", 0)

    def adapters(self, n_bytes: int, share: float) -> None:
        """What an update by adapter will take."""
        self._log.write("adapters", n_bytes=n_bytes, share=share)

    def resumed(self, step: int) -> None:
        """A run goes on after `step`."""
        self._log.write(f"{self._prefix}resume", step=step)
        self.phase(self._stage, step)

    def step(self, report: StepReport, **more: float) -> None:
        """One step was taken; `more` is what else is known of it."""
        self._log.write(f"{self._prefix}step", **dataclasses.asdict(report), **more)
        self._losses.append(report.loss)
        self._pace.append((max(0.0, report.elapsed_s - self._last_elapsed_s), report.audio_s))
        self._last_elapsed_s = report.elapsed_s
        self._rate = report.learning_rate
        self.phase(self._stage, report.step)

    def judged(self, step: int, score: DevScore) -> None:
        """The held-back clips were decoded."""
        self._dev_wer = score.wer
        self._log.write(f"{self._prefix}judged", step=step, **_rates(score))
        self.phase("judge", step)

    def rounded(self, units: int, score: DevScore | None, *, is_taken: bool) -> None:
        """The changes were rounded to whole steps."""
        scores = _rates(score) if score is not None else {}
        self._log.write("rounded", update_step=units * UNIT, is_taken=is_taken, **scores)

    def rollback(self, failed: int, back_to: int, reason: str) -> None:
        """Numbers were not finite."""
        self._log.write(f"{self._prefix}rollback", failed_step=failed, back_to=back_to, reason=reason)

    def alpha(self, alpha: float, score: DevScore) -> None:
        """A share of the fine-tuned weights was tried."""
        self._log.write("alpha", alpha=alpha, **_rates(score))

    def finished(self, result: TrainingResult) -> None:
        """The model is on disk."""
        self._log.write("finish", **dataclasses.asdict(result))

    def phase(self, phase: Phase, step: int) -> None:
        """Tell the listener where the run is."""
        if self._listener is None:
            return
        n_steps = len(self._epochs)
        spent_s = sum(seconds for seconds, _ in self._pace)
        self._listener(
            TrainingProgress(
                phase=phase,
                step=step,
                n_steps=n_steps,
                epoch=self._epochs[min(step, n_steps - 1)] + 1,
                n_epochs=self._n_epochs,
                loss=sum(self._losses) / len(self._losses) if self._losses else None,
                learning_rate=self._rate,
                dev_wer=self._dev_wer,
                eta_s=spent_s / len(self._pace) * (n_steps - step) if spent_s else None,
                speed=sum(audio_s for _, audio_s in self._pace) / spent_s if spent_s else None,
            )
        )


def _rates(score: DevScore) -> dict[str, float | None]:
    return {"wer": score.wer, "general_wer": score.general_wer, "loss": score.loss}
