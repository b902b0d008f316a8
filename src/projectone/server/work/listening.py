"""The listening before a run trains: what clips could teach production, and how likely the base finds their texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from projectone.server.evaluation.power import GatePower
from projectone.server.evaluation.triage import Triage, TriageConfig, draw_clips
from projectone.server.pipeline.ports import DatasetEntry
from projectone.server.training.agreement import TextScorer
from projectone.server.work.progress import ProgressLine
from projectone.server.work.samples import RunSamples
from projectone.server.work.triage import NewClip, triage_clips
from projectone.speech.checkpoint import load_checkpoint


class Listener:
    """Listens to some of the new clips of a run.

    Args:
        samples: Where clips come from.
        config: How many are listened to, and when training is worth while.
        line: Shows how far it is.
        pause_point: Called for every clip; what it raises ends the listening.
    """

    def __init__(
        self, samples: RunSamples, config: TriageConfig, line: ProgressLine, pause_point: Callable[[], None]
    ) -> None:
        self._samples = samples
        self._config = config
        self._line = line
        self._pause_point = pause_point

    def weigh(self, new: Sequence[DatasetEntry], model: Path, power: GatePower | None) -> Triage:
        """What new clips could teach the model in the folder `model`; `power` is what the golden set could show."""
        triage = triage_clips(
            model,
            [
                NewClip(
                    clip_id=entry.sample_id,
                    speaker=entry.speaker,
                    text=entry.text,
                    duration_s=entry.duration_s,
                    read=partial(self._samples.read, entry.clip_sha256),
                )
                for entry in new
            ],
            power=power,
            config=self._config,
            on_progress=self._show,
        )
        self._line.say(f"triage: {triage.decision}: {triage.summary()}")
        return triage

    def agreement(self, new: Sequence[DatasetEntry], base: Path) -> dict[str, dict[str, float]]:
        """How likely the base, which learned from none of them, finds the texts of new clips: for people to see."""
        drawn = draw_clips(((entry.sample_id, entry.speaker) for entry in new), self._config)
        heard = self._samples.heard()
        scorer = TextScorer(load_checkpoint(base))
        figures = {}
        for entry in new:
            if entry.sample_id in drawn and entry.sample_id in heard:
                samples = self._samples.read(entry.clip_sha256)
                figures[entry.sample_id] = scorer.agreement(samples, entry.text, heard[entry.sample_id])
                self._pause_point()
        return figures

    def _show(self, n_done: int, n_clips: int) -> None:
        self._line.show(f"triage: production has heard {n_done} of {n_clips} new clips")
        self._pause_point()
