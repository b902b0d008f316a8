"""Which clips are held back to choose the checkpoint: never trained on, never the golden set."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import TrainingClip

HeldBackKind = Literal["speakers", "clips", "none"]
"""How held-back clips are kept apart: by speaker, by clip only, or nothing is held back."""

SplitKind = Literal["given"] | HeldBackKind
"""The same, or as the caller said."""

# Below this, whole speakers held back would cost more accents than the choice is worth.
MIN_SPEAKERS = 10


@dataclass(frozen=True)
class Split:
    """Training clips and held-back clips."""

    training: list[TrainingClip]
    held_back: list[TrainingClip]
    kind: SplitKind


def hold_back(clips: Sequence[TrainingClip], config: TrainingConfig) -> Split:
    """Hold back a share of the clips; see `choose_held_back`."""
    chosen, kind = choose_held_back([(clip.clip_id, clip.speaker) for clip in clips], config)
    training = [clip for clip in clips if clip.clip_id not in chosen]
    return Split(training, [clip for clip in clips if clip.clip_id in chosen], kind)


def choose_held_back(clips: Sequence[tuple[str, str]], config: TrainingConfig) -> tuple[frozenset[str], HeldBackKind]:
    """Hold back a share of the clips: whole speakers where there are enough of them, else clips of every speaker.

    The choice depends on the seed and the names alone, in whatever order they are given. A clip that arrives later may
    move one across, as how many are held back grows with how many there are.

    Args:
        clips: Each clip's id and speaker.
        config: How many, and the seed.

    Returns:
        The ids that are held back, and how they are kept apart.
    """
    share = min(config.dev_share, config.max_dev_clips / max(1, len(clips)))
    n_wanted = round(len(clips) * share)
    if n_wanted < config.min_dev_clips:
        return frozenset(), "none"
    by_speaker: dict[str, list[str]] = defaultdict(list)
    for clip_id, speaker in clips:
        by_speaker[speaker].append(clip_id)
    kind: HeldBackKind = "speakers"
    chosen = _whole_speakers(by_speaker, n_wanted, config.seed) if len(by_speaker) >= MIN_SPEAKERS else set()
    if len(chosen) < n_wanted / 2:  # few speakers, or each has more than is wanted of all
        kind = "clips"
        chosen = _some_of_each(by_speaker, share, config.seed)
    if len(chosen) == len(clips) or len(chosen) < config.min_dev_clips:
        return frozenset(), "none"
    return frozenset(chosen), kind


def _whole_speakers(by_speaker: dict[str, list[str]], n_wanted: int, seed: int) -> set[str]:
    """Speakers in a seeded order until enough clips are held back; one who alone is far too many stays in training."""
    chosen: set[str] = set()
    for speaker in sorted(by_speaker, key=lambda name: _rank(seed, name)):
        if len(chosen) >= n_wanted:
            break
        if len(chosen) + len(by_speaker[speaker]) <= 1.5 * n_wanted:
            chosen |= set(by_speaker[speaker])
    return chosen


def _some_of_each(by_speaker: dict[str, list[str]], share: float, seed: int) -> set[str]:
    """The same share of every speaker's clips."""
    chosen: set[str] = set()
    for own in by_speaker.values():
        ordered = sorted(own, key=lambda clip_id: _rank(seed, clip_id))
        chosen |= set(ordered[: round(len(own) * share)])
    return chosen


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
