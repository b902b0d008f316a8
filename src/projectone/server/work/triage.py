"""Is training the answer? Lets a model listen to new clips and weighs what it gets wrong there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from projectone.server.evaluation.golden import NO_SLICE, GoldenClip, golden_set
from projectone.server.evaluation.power import GatePower
from projectone.server.evaluation.scorer import SCORING, score_model
from projectone.server.evaluation.triage import Triage, TriageConfig, draw_clips, triage
from projectone.server.training import TrainingClip

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class NewClip:
    """A clip that a model may be trained on; `read` gives one channel at 16 kHz."""

    clip_id: str
    speaker: str
    text: str
    duration_s: float
    read: Callable[[], Samples]

    @classmethod
    def of(cls, clip: TrainingClip) -> NewClip:
        """A clip that is in memory already."""
        return cls(
            clip_id=clip.clip_id,
            speaker=clip.speaker,
            text=clip.text,
            duration_s=clip.duration_s,
            read=lambda: clip.samples,
        )


def triage_clips(
    model: Path,
    clips: Sequence[NewClip],
    *,
    power: GatePower | None = None,
    config: TriageConfig | None = None,
    language: str = "en",
    on_progress: Callable[[int, int], None] | None = None,
) -> Triage:
    """What these clips could teach `model`. At most `max_clips` of them are read and transcribed; nothing is kept.

    Args:
        model: Folder of the model in production, or of the base.
        clips: New clips with their corrected texts; at least one.
        power: What the golden set could show; None without one.
        config: When training is worth while.
        language: Of the texts.
        on_progress: Told how many clips are transcribed, of how many.

    Raises:
        EvaluationError: if there is no clip, or the model does not know the language.
        ArtifactError: if `model` is not a model.
    """
    config = config or TriageConfig()
    drawn = draw_clips(((clip.clip_id, clip.speaker) for clip in clips), config)
    chosen = [
        GoldenClip(clip.clip_id, clip.speaker, NO_SLICE, clip.read(), clip.text)
        for clip in clips
        if clip.clip_id in drawn
    ]
    report = score_model(
        model, golden_set(chosen), options=replace(SCORING, language=language), on_progress=on_progress
    )
    return triage(
        report.utterances,
        {clip.clip_id: clip.text for clip in chosen},
        n_clips=len(clips),
        n_speakers=len({clip.speaker for clip in clips}),
        minutes=sum(clip.duration_s for clip in clips) / 60,
        power=power,
        config=config,
        language=language,
    )
