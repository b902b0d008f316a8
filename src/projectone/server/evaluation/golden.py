"""The golden set: clips that nobody trains on, under one digest, so that scores can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.contracts.scores import Domain
from projectone.errors import EvaluationError

SAMPLE_RATE_HZ = 16_000
NO_SLICE = "unknown"

CANARY_LIMIT = 0.02
"""How far the word error rates of one model on the golden set and on the secret one may be apart."""

Samples = npt.NDArray[np.float32]
Pcm16 = npt.NDArray[np.int16]

_KEY_STEP = 64


class GoldenRow(Protocol):
    """One line of a manifest; `server.corpus.manifests.ManifestRow` is one."""

    @property
    def clip_id(self) -> str:
        """Names the clip within its set."""

    @property
    def audio(self) -> Path:
        """The file."""

    @property
    def text(self) -> str:
        """What is said; empty where nobody speaks."""

    @property
    def speaker(self) -> str:
        """Who speaks."""

    @property
    def accent(self) -> str | None:
        """How; becomes the slice."""

    @property
    def domain(self) -> Domain:
        """What the clip stands for."""


@dataclass(frozen=True)
class GoldenClip:
    """One clip with the truth about it.

    Attributes:
        slice: The group whose error rate is watched on its own: an accent.
        samples: One channel at 16 kHz.
        text: What is said; empty for a clip in which nobody speaks.
        domain: Speech that a model is trained for, or general speech that it must not forget.
    """

    clip_id: str
    speaker: str
    slice: str
    samples: Samples
    text: str
    domain: Domain = "target"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.size / SAMPLE_RATE_HZ

    @property
    def sha256(self) -> str:
        """Digest of the sound as 16-bit PCM, so that it does not depend on how floats were rounded."""
        return pcm_digest(self.samples)

    @property
    def key(self) -> str:
        """What every copy of the sound has, too, whatever file it lies in."""
        return sound_key(to_pcm16(self.samples))


@dataclass(frozen=True)
class GoldenSet:
    """Clips and the digest over all of them and their texts."""

    sha256: str
    clips: tuple[GoldenClip, ...]

    @property
    def audio_s(self) -> float:
        """Length of all clips in seconds."""
        return sum(clip.duration_s for clip in self.clips)


def pcm_digest(samples: Samples) -> str:
    """SHA-256 of one channel of floats as little-endian 16-bit PCM."""
    return hashlib.sha256(to_pcm16(samples).tobytes()).hexdigest()


def to_pcm16(samples: Samples) -> Pcm16:
    """One channel of floats as little-endian 16-bit PCM."""
    pcm: Pcm16 = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
    return pcm


def sound_key(pcm: Pcm16) -> str:
    """SHA-256 of the length and every 64th sample: the same sound has the same key, at a thirtieth of a digest's cost.

    A clip of the same length that differs only between those samples has it, too, so a key finds copies and proves
    nothing: what is kept or signed goes by `pcm_digest`.
    """
    return hashlib.sha256(len(pcm).to_bytes(8, "little") + pcm[::_KEY_STEP].tobytes()).hexdigest()


def load_golden(rows: Iterable[GoldenRow], decode: Callable[[Path], Samples]) -> GoldenSet:
    """The clips of a manifest as a golden set.

    Args:
        rows: Of the manifest, in its order.
        decode: A file to one channel at 16 kHz.

    Raises:
        EvaluationError: if there is no clip, or none in which anybody speaks.
        DataError: if a clip cannot be decoded.
    """
    clips = [
        GoldenClip(row.clip_id, row.speaker, row.accent or NO_SLICE, decode(row.audio), row.text, row.domain)
        for row in rows
    ]
    return golden_set(clips)


def golden_set(clips: Iterable[GoldenClip]) -> GoldenSet:
    """A set of clips under its digest.

    Raises:
        EvaluationError: if there is no clip, or none in which anybody speaks.
    """
    kept = tuple(clips)
    if not any(clip.text.strip() for clip in kept):
        raise EvaluationError(f"golden set: expected at least one clip with words, got {len(kept)} clips and no words")
    # A set without general clips keeps the digest that it had before there were any.
    facts = [
        [
            clip.clip_id,
            clip.speaker,
            clip.slice,
            clip.sha256,
            clip.text,
            *(["general"] if clip.domain == "general" else []),
        ]
        for clip in kept
    ]
    return GoldenSet(sha256_hex(canonical_json(facts)), kept)


def refuse_overlap(golden: GoldenSet, training_digests: Set[str]) -> None:
    """Refuse a golden set of which any clip is also trained on: its score would be recall, not recognition.

    Args:
        golden: The set.
        training_digests: `pcm_digest` of every training clip.

    Raises:
        EvaluationError: naming the first clips that are on both sides.
    """
    shared = [clip.clip_id for clip in golden.clips if clip.sha256 in training_digests]
    if shared:
        raise EvaluationError(
            f"golden set: {len(shared)} of {len(golden.clips)} clips are also training clips, first {shared[:3]}; "
            "remove them from one side"
        )
