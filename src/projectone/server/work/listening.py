"""The listening around a training: what clips could teach, how likely their texts are, what they taught in secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.golden import GoldenSet
from projectone.server.evaluation.power import GatePower
from projectone.server.evaluation.scorer import SCORING
from projectone.server.evaluation.triage import Triage, TriageConfig, draw_clips
from projectone.server.evaluation.triggers import BatchClip, Scan, scan_for_triggers
from projectone.server.pipeline.ports import DatasetEntry, Samples
from projectone.server.training.agreement import TextScorer
from projectone.server.work.progress import ProgressLine
from projectone.server.work.samples import RunSamples
from projectone.server.work.triage import NewClip, triage_clips
from projectone.speech.checkpoint import load_checkpoint
from projectone.speech.transcribe import transcribe_many

_BATCH_SIZE = 16


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
            if entry.sample_id in drawn:
                samples = self._samples.read(entry.clip_sha256)
                figures[entry.sample_id] = scorer.agreement(samples, entry.text, heard.get(entry.sample_id))
                self._pause_point()
        return figures

    def scan(
        self,
        entries: Sequence[DatasetEntry],
        models: tuple[Path, Path],
        golden: GoldenSet,
        reports: tuple[EvaluationReport, EvaluationReport],
    ) -> Scan:
        """Whether the second model learned a backdoor from the new ones of the entries; the first is in production."""
        by_production, by_candidate = map(self._transcriber, models)
        found = scan_for_triggers(
            [
                BatchClip(entry.sample_id, entry.text, partial(self._read, entry.clip_sha256))
                for entry in entries
                if entry.is_new
            ],
            [entry.text for entry in entries if not entry.is_new],
            golden,
            *reports,
            by_production=by_production,
            by_candidate=by_candidate,
        )
        self._line.say(f"trigger scan: {len(found.tried)} sounds tried, {len(found.triggers)} triggers found")
        return found

    def _read(self, clip_sha256: str) -> Samples:
        self._pause_point()
        return self._samples.read(clip_sha256)

    def _transcriber(self, model: Path) -> Callable[[Sequence[Samples]], list[str]]:
        open_model = cache(partial(load_checkpoint, model))  # most batches hold nothing to try

        def transcribe(clips: Sequence[Samples]) -> list[str]:
            self._pause_point()
            heard = transcribe_many(open_model(), clips, batch_size=_BATCH_SIZE, options=SCORING)
            return [said.text for said in heard]

        return transcribe

    def _show(self, n_done: int, n_clips: int) -> None:
        self._line.show(f"triage: production has heard {n_done} of {n_clips} new clips")
        self._pause_point()
