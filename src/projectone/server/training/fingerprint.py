"""One digest over everything that decides a run's outcome, so that a checkpoint is never mixed into another run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.server.training.config import TrainingConfig
from projectone.server.training.environment import arithmetic
from projectone.server.training.examples import TrainingClip


def fingerprint_of(
    base_digest: str | None, clip_lists: Sequence[Sequence[TrainingClip]], config: TrainingConfig
) -> str:
    """SHA-256 over the base, every clip with its text and speaker, in order, the config and the arithmetic.

    Args:
        base_digest: Of the base's files.
        clip_lists: To learn from, to choose by, to replay, synthetic ones.
        config: All of it.
    """
    lists = [[_clip(clip) for clip in clips] for clips in clip_lists]
    facts = {"base": base_digest, "clips": lists, "config": config.to_json(), "arithmetic": arithmetic(config.engine)}
    return sha256_hex(canonical_json(facts))


def _clip(clip: TrainingClip) -> list[str]:
    sound = np.ascontiguousarray(clip.samples, dtype="<f4")
    facts = [clip.clip_id, hashlib.sha256(sound.tobytes()).hexdigest(), clip.text, clip.speaker]
    return facts if clip.previous_text is None else [*facts, clip.previous_text]
