"""A candidate and its new lessons: their texts, and their recordings beside others that nobody learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from projectone.contracts.evidence import Recall
from projectone.server.evaluation.golden import GoldenSet
from projectone.server.evaluation.lessons import Recording, measure_masking, measure_membership
from projectone.server.evaluation.recall import measure_recall
from projectone.server.pipeline.ports import DatasetEntry, Samples
from projectone.speech.checkpoint import WhisperCheckpoint

ENOUGH = 32
"""Recordings that were held back; with fewer the golden ones stand beside them, whose texts are of another kind."""


def ask_for_lessons(
    production: WhisperCheckpoint,
    candidate: WhisperCheckpoint,
    new: Sequence[DatasetEntry],
    golden: GoldenSet,
    read: Callable[[str], Samples],
) -> Recall:
    """What the candidate gives away; figures alone, without a word of the lessons.

    Args:
        production: The model that knows none of the new pairs.
        candidate: The model that learned from those to train on.
        new: New pairs of its dataset, those that were held back among them.
        golden: Nobody learned from it.
        read: A clip's digest to its sound.
    """
    lessons, held_back = (
        [
            Recording(entry.sample_id, entry.speaker, entry.text, entry.duration_s, partial(read, entry.clip_sha256))
            for entry in new
            if entry.split == split
        ]
        for split in ("train", "dev")
    )
    others = held_back if len(held_back) >= ENOUGH else [*held_back, *_recordings(golden)]
    told = measure_recall(production, candidate, [lesson.text for lesson in lessons])
    asked = {
        "masking": measure_masking(production, candidate, lessons, others),
        "membership": measure_membership(production, candidate, lessons, others),
    }
    return told.model_copy(update=asked)


def _recordings(golden: GoldenSet) -> list[Recording]:
    clips = [clip for clip in golden.clips if clip.text.strip() and clip.domain == "target"]
    return [
        Recording(clip.clip_id, clip.speaker, clip.text, clip.duration_s, partial(_same, clip.samples))
        for clip in clips
    ]


def _same(samples: Samples) -> Samples:
    return samples
