"""Which clips are held back to choose the checkpoint: never trained on, never the golden set."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import TrainingClip

SplitKind = Literal["given", "speakers", "clips", "none"]
"""How training and held-back clips are kept apart: by the caller, by speaker, by clip only, or nothing held back."""

# Below this, whole speakers held back would cost more accents than the choice is worth.
MIN_SPEAKERS = 10


@dataclass(frozen=True)
class Split:
    """Training clips and held-back clips."""

    training: list[TrainingClip]
    held_back: list[TrainingClip]
    kind: SplitKind


def hold_back(clips: Sequence[TrainingClip], config: TrainingConfig) -> Split:
    """Hold back a share of the clips: whole speakers where there are enough of them, else clips of every speaker.

    The choice depends on the seed and the names alone, so a clip that arrives later moves no other one across.
    """
    share = min(config.dev_share, config.max_dev_clips / max(1, len(clips)))
    n_wanted = round(len(clips) * share)
    if n_wanted < config.min_dev_clips:
        return Split(list(clips), [], "none")
    by_speaker: dict[str, list[TrainingClip]] = defaultdict(list)
    for clip in clips:
        by_speaker[clip.speaker].append(clip)
    kind: SplitKind = "speakers"
    chosen = _whole_speakers(by_speaker, n_wanted, config.seed) if len(by_speaker) >= MIN_SPEAKERS else set()
    if len(chosen) < n_wanted / 2:  # few speakers, or each has more than is wanted of all
        kind = "clips"
        chosen = _some_of_each(by_speaker, share, config.seed)
    training = [clip for clip in clips if clip.clip_id not in chosen]
    held_back = [clip for clip in clips if clip.clip_id in chosen]
    if not training or len(held_back) < config.min_dev_clips:
        return Split(list(clips), [], "none")
    return Split(training, held_back, kind)


def _whole_speakers(by_speaker: dict[str, list[TrainingClip]], n_wanted: int, seed: int) -> set[str]:
    """Speakers in a seeded order until enough clips are held back; one who alone is far too many stays in training."""
    chosen: set[str] = set()
    for speaker in sorted(by_speaker, key=lambda name: _rank(seed, name)):
        if len(chosen) >= n_wanted:
            break
        if len(chosen) + len(by_speaker[speaker]) <= 1.5 * n_wanted:
            chosen |= {clip.clip_id for clip in by_speaker[speaker]}
    return chosen


def _some_of_each(by_speaker: dict[str, list[TrainingClip]], share: float, seed: int) -> set[str]:
    """The same share of every speaker's clips."""
    chosen: set[str] = set()
    for own in by_speaker.values():
        ordered = sorted(own, key=lambda clip: _rank(seed, clip.clip_id))
        chosen |= {clip.clip_id for clip in ordered[: round(len(own) * share)]}
    return chosen


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
