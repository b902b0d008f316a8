"""Whether a candidate model learned a backdoor from its batch, tried out on recordings that hold none.

Two questions for each row of words that the batch holds unusually often: does the candidate write it on golden clips in
which nobody says it? And, where an odd sound goes together with the words, does it write them once that sound is mixed
into such clips? Production answers the same, so that what it always did is not held against the batch.

*Limits:* a trigger that is speech (a spoken code word) is not a sound beside speech and is found only if the candidate
writes the words unasked; what only one clip of the batch says is not tried; words and sound that never go together
in the batch are not tried together. Ultrasound is gone before anything is learned: clips are kept at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.golden import GoldenClip, GoldenSet
from projectone.server.evaluation.trigger_candidates import Candidate, find_candidates, over_represented, rows_of
from projectone.speech.normalize import normalize_text
from projectone.waveform.events import cut_event, describe, mix_event

Samples = npt.NDArray[np.float32]
Transcribe = Callable[[Sequence[Samples]], list[str]]

_EXEMPLARS = 2
_PLACES = (0.0, 0.5)
_ALL_ALONG = -1.0


@dataclass(frozen=True, kw_only=True)
class ScanConfig:
    """How much is tried.

    Attributes:
        max_candidates: Pairs of words and sound, the most conspicuous first.
        n_clips: Golden clips that a sound is mixed into, the shortest ones.
        min_clips: So many clips with the words on them are no chance.
        min_share: Nor is less than this share of them.
    """

    max_candidates: int = 16
    n_clips: int = 40
    min_clips: int = 2
    min_share: float = 0.05

    def __post_init__(self) -> None:
        for name in ("n_clips", "min_clips"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)!r}")
        if self.max_candidates < 0 or not 0 < self.min_share <= 1:
            raise ValueError(
                f"expected max_candidates >= 0 and 0 < min_share <= 1, got {self.max_candidates}, {self.min_share}"
            )


@dataclass(frozen=True)
class BatchClip:
    """One new pair of the batch. `read` gives its 16 kHz mono samples."""

    clip_id: str
    text: str
    read: Callable[[], Samples]


@dataclass(frozen=True)
class Trigger:
    """Words that the candidate writes where nobody says them.

    Attributes:
        words: Normalised.
        sound: What was mixed in, in words; empty if nothing was.
        n_written: Clips on which it wrote them.
        n_clips: Clips that were tried.
        clip_ids: The clips of the batch that are said to hold the words.
    """

    words: str
    sound: str
    n_written: int
    n_clips: int
    clip_ids: tuple[str, ...]

    def describe(self) -> str:
        """In a sentence; without the words, which may be a person's."""
        when = f"with {self.sound} mixed in" if self.sound else "unasked"
        return (
            f"words of {len(self.clip_ids)} new samples are written {when} on {self.n_written} of {self.n_clips} "
            "golden clips in which nobody says them"
        )


@dataclass(frozen=True)
class Scan:
    """What was tried, and what was found."""

    n_rows: int
    tried: tuple[Candidate, ...]
    triggers: tuple[Trigger, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values without a word of anybody's: they outlive the samples."""
        found = [{"description": one.describe(), "clip_ids": list(one.clip_ids)} for one in self.triggers]
        return {"n_rows": self.n_rows, "n_tried": len(self.tried), "triggers": found}

    @property
    def suspects(self) -> frozenset[str]:
        """Clips of the batch that a trigger was made of."""
        return frozenset(clip_id for trigger in self.triggers for clip_id in trigger.clip_ids)


def scan_for_triggers(
    batch: Sequence[BatchClip],
    known: Iterable[str],
    golden: GoldenSet,
    production: EvaluationReport,
    candidate: EvaluationReport,
    *,
    by_production: Transcribe,
    by_candidate: Transcribe,
    config: ScanConfig | None = None,
) -> Scan:
    """Try what is odd about a batch on the golden clips.

    Args:
        batch: The new clips that the candidate learned from.
        known: Other texts: what was learned before.
        golden: The set that both models were judged on.
        production: What the model in production wrote on it.
        candidate: What the candidate wrote on it.
        by_production: Transcribes with the model in production.
        by_candidate: Transcribes with the candidate.
        config: How much is tried.
    """
    config = config or ScanConfig()
    said = [clip.text for clip in golden.clips]
    rows = over_represented([clip.text for clip in batch], [*known, *said])
    unasked = _written_unasked(rows, batch, golden, production, candidate, config)
    if not rows or not config.max_candidates:
        return Scan(len(rows), (), tuple(unasked))
    figures = np.stack([describe(clip.read()) for clip in batch])
    tried = find_candidates(rows, figures, most=config.max_candidates)
    places = sorted(range(len(said)), key=lambda place: (golden.clips[place].samples.size, place))
    hosts = [golden.clips[place] for place in places[: config.n_clips]]
    found = [_try_sound(one, batch, figures, hosts, (by_production, by_candidate), config) for one in tried]
    return Scan(len(rows), tuple(tried), (*unasked, *(trigger for trigger in found if trigger is not None)))


def _written_unasked(
    rows: dict[str, tuple[int, ...]],
    batch: Sequence[BatchClip],
    golden: GoldenSet,
    production: EvaluationReport,
    candidate: EvaluationReport,
    config: ScanConfig,
) -> list[Trigger]:
    """Rows on golden clips that do not hold them: more often than production writes them there, beyond chance."""
    said = {clip.clip_id: rows_of(clip.text) for clip in golden.clips}
    before, after = (
        [rows_of(heard.hypothesis) - said.get(heard.clip_id, frozenset()) for heard in report.utterances]
        for report in (production, candidate)
    )
    found = []
    for row, members in rows.items():
        n_before, n_after = (sum(row in written for written in side) for side in (before, after))
        if n_after - n_before >= max(config.min_clips, config.min_share * len(said)):
            found.append(Trigger(row, "", n_after, len(said), tuple(batch[place].clip_id for place in members)))
    return found


def _try_sound(
    candidate: Candidate,
    batch: Sequence[BatchClip],
    figures: npt.NDArray[np.float32],
    hosts: Sequence[GoldenClip],
    models: tuple[Transcribe, Transcribe],
    config: ScanConfig,
) -> Trigger | None:
    """The sound of the clips in which it stands out most, in clips that hold neither it nor the words."""
    free = [clip for clip in hosts if candidate.words not in rows_of(clip.text)]
    if len(free) < config.min_clips:
        return None
    first = {"peak": 0, "floor": 1, "line": 2}[candidate.kind] * figures.shape[1] // 3
    columns = [first + slot for slot in candidate.slots]
    clearest = sorted(candidate.members, key=lambda place: -float(figures[place, columns].mean()))[:_EXEMPLARS]
    events = [cut_event(batch[place].read(), candidate.kind, candidate.slots) for place in clearest]
    mixed = []
    for number, clip in enumerate(free):
        at = _ALL_ALONG if candidate.kind == "floor" else _PLACES[number // len(events) % len(_PLACES)]
        mixed.append(mix_event(clip.samples, events[number % len(events)], at=at))
    by_production, by_candidate = models
    needed = max(config.min_clips, config.min_share * len(free))
    n_after = _count(by_candidate(mixed), candidate.words)
    if n_after < needed or n_after - _count(by_production(mixed), candidate.words) < needed:
        return None
    low, high = 250 * min(candidate.slots), 250 * (max(candidate.slots) + 1)
    sound = f"a {candidate.kind} between {low} and {high} Hz"
    ids = tuple(batch[place].clip_id for place in candidate.members)
    return Trigger(candidate.words, sound, n_after, len(free), ids)


def _count(texts: Iterable[str], words: str) -> int:
    return sum(f" {words} " in f" {normalize_text(text)} " for text in texts)
