"""Which samples say again what another one says, so that one recording teaches once.

A later correction of a recording takes the earlier one's place. Of recordings that sound the same one stays: learned
from before, or else the first that came. Nothing is compared pair by pair in Python: the samples of about one length
are compared with one another in one matrix product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from unicodedata import category

import numpy as np
import numpy.typing as npt

from projectone.waveform.fingerprint import Fingerprint

SUPERSEDED = "superseded"
NEAR_DUPLICATE = "near-duplicate"
TEXT_CONFLICT = "text-conflict"
GOLDEN_OVERLAP = "golden-overlap"
GOLDEN_CONTRIBUTOR = "golden-contributor"

# Between the most alike of different clips (0.968) and the least alike of copies at 2 % more speed (0.989).
_ALIKE = 0.98
# With other words: of whole clips, copies at 1 % more speed with 30 dB of noise have 0.992 and more. Of cores, those of
# "october fifth" and "october sixth" have up to 0.997 if the voice is synthetic and the rest the same; copies with
# silence around them 0.999.
_ALIKE_DESPITE_WORDS = (0.99, 0.998)
# Natural logarithm of the ratio of two lengths: 3 % of speed, and what the ends of short cores move.
_SAME_LENGTH = 0.055
_ROWS_AT_ONCE = 512


class Corrected(Protocol):
    """A sample, as far as it matters here; `server.pipeline.ports.PipelineSample` is one."""

    @property
    def sample_id(self) -> str:
        """Names the sample."""

    @property
    def contributor_id(self) -> str:
        """Who sent it, as a pseudonym."""

    @property
    def recording_sha256(self) -> str:
        """Digest of the recording as the device sent it: the same for every correction of one recording."""

    @property
    def text(self) -> str:
        """What is said in it, according to them."""

    @property
    def recorded_at(self) -> datetime:
        """When the text was given."""

    @property
    def is_new(self) -> bool:
        """Whether no released model has learned from it."""


@dataclass(frozen=True)
class Copy:
    """Why a sample is set aside, and in favour of which other one."""

    reason: str
    original: str


def superseded(samples: Iterable[Corrected]) -> dict[str, Copy]:
    """Samples whose recording the same person corrected again later, and by which one.

    The newest text is the one its author stands by. Others' texts for the same sound are another matter: nobody speaks
    for somebody else.

    Args:
        samples: In the order in which they came; of two given at the same moment the later one counts.
    """
    newest: dict[tuple[str, str], Corrected] = {}
    kept = list(samples)
    for sample in kept:
        key = (sample.contributor_id, sample.recording_sha256)
        if key not in newest or sample.recorded_at >= newest[key].recorded_at:
            newest[key] = sample
    by_id = {s.sample_id: newest[s.contributor_id, s.recording_sha256].sample_id for s in kept}
    return {sample_id: Copy(SUPERSEDED, newest_id) for sample_id, newest_id in by_id.items() if sample_id != newest_id}


def collapse(samples: Sequence[Corrected], prints: Sequence[Fingerprint]) -> dict[str, Copy]:
    """Samples that sound like another one which stays, by id: one of every group of copies is left out.

    With other words two clips must be more alike to count as the same sound; no more than that, because who floods a
    corpus with copies would only have to vary the text. The texts also decide which one stays, and why the others do
    not. Whoever's copy was learned from before, or else came first, keeps one: the first with their newest text. Their
    other texts are superseded; somebody else's other text is a ``text-conflict``.

    Args:
        samples: In the order in which they came.
        prints: Theirs, in the same order.
    """
    # What was learned from before comes first and is never compared with its like: it was collapsed when it was new.
    order = sorted(range(len(samples)), key=lambda place: (samples[place].is_new, place))
    ranked = [samples[place] for place in order]
    groups: defaultdict[int, list[Corrected]] = defaultdict(list)
    n_known = sum(not sample.is_new for sample in ranked)
    words = [bare(sample.text) for sample in ranked]
    found_first = first_alike([prints[place] for place in order], words, n_known=n_known)
    for sample, first in zip(ranked, found_first, strict=True):
        groups[int(first)].append(sample)
    found: dict[str, Copy] = {}
    for group in groups.values():
        if len(group) > 1:
            found |= _thin_out(group)
    return found


def first_alike(prints: Sequence[Fingerprint], words: Sequence[str], *, n_known: int = 0) -> npt.NDArray[np.int64]:
    """For each clip the first one that sounds like it or like one that sounds like it; its own place if none does.

    Args:
        prints: Of the clips, in order of precedence.
        words: What is said in them, so written that the same words are the same string.
        n_known: The first so many are only looked for, not compared with each other.

    Returns:
        Places, shape (n,).
    """
    first = np.arange(len(prints))
    numbers = {text: number for number, text in enumerate(dict.fromkeys(words))}
    said = np.array([numbers[text] for text in words], np.int64)
    for (shapes, lengths), despite_words in zip(_views(prints), _ALIKE_DESPITE_WORDS, strict=False):
        first = np.minimum(first, _earliest(shapes, lengths, said, n_known, despite_words=despite_words))
    # An earlier one may itself sound like one still earlier; those before it are settled already.
    for place in range(len(first)):
        first[place] = first[first[place]]
    return first


def sounds_like_any(prints: Sequence[Fingerprint], others: Sequence[Fingerprint]) -> npt.NDArray[np.bool_]:
    """Whether each clip sounds like any of `others`, shape (n,)."""
    found = np.zeros(len(prints), np.bool_)
    if not prints or not others:
        return found
    # The others come first and are only looked for.
    n_others = len(others)
    for shapes, lengths in _views([*others, *prints]):
        said = np.zeros(len(lengths), np.int64)  # a golden recording is one whatever it is said to hold
        found |= _earliest(shapes, lengths, said, n_others, n_columns=n_others)[n_others:] < n_others
    return found


Views = list[tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]]


def _views(prints: Sequence[Fingerprint]) -> Views:
    """The fingerprints of whole clips and of cores, each with the logarithms of its lengths."""
    if not prints:
        return []
    whole = (np.stack([p.whole for p in prints]), np.log([max(p.whole_s, 1e-3) for p in prints]))
    core = (np.stack([p.core for p in prints]), np.log([max(p.core_s, 1e-3) for p in prints]))
    return [whole, core]


def _earliest(
    shapes: npt.NDArray[np.int8],
    lengths: npt.NDArray[np.float64],
    said: npt.NDArray[np.int64],
    n_known: int,
    *,
    n_columns: int | None = None,
    despite_words: float = _ALIKE,
) -> npt.NDArray[np.int64]:
    """The first place whose shape is alike, for each place from `n_known` on; itself where there is none before it.

    Sorted by length, those of about the same length lie side by side: a block of rows meets one slice of columns. So
    the work grows with the number of clips of one length, and memory stays flat.

    Args:
        shapes: Shape (n, 768).
        lengths: Natural logarithms, shape (n,).
        said: Equal for the same words, shape (n,).
        n_known: These are not looked up.
        n_columns: Compare with the first so many alone; None compares with all.
        despite_words: How alike two must be with other words.
    """
    n = len(shapes)
    first = np.arange(n)
    columns = np.argsort(lengths[:n_columns], kind="stable")
    rows = n_known + np.argsort(lengths[n_known:], kind="stable")
    column_lengths, row_lengths = lengths[columns], lengths[rows]
    start = 0
    while start < len(rows):
        # A block spans no more than the tolerance, or few rows would meet all columns.
        reach = np.searchsorted(row_lengths, row_lengths[start] + _SAME_LENGTH, side="right")
        stop = min(start + _ROWS_AT_ONCE, int(reach))
        block = rows[start:stop]
        low = np.searchsorted(column_lengths, row_lengths[start] - _SAME_LENGTH, side="left")
        high = np.searchsorted(column_lengths, row_lengths[stop - 1] + _SAME_LENGTH, side="right")
        near = columns[low:high]
        if len(near):
            needed = np.where(said[block, None] == said[None, near], _ALIKE, despite_words)
            is_alike = _unit(shapes[block]) @ _unit(shapes[near]).T >= needed
            is_alike &= np.abs(row_lengths[start:stop, None] - column_lengths[None, low:high]) <= _SAME_LENGTH
            found = np.where(is_alike, near[None, :], n).min(axis=1)
            first[block] = np.minimum(first[block], found)
        start = stop
    return first


def _unit(shapes: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """Rows of length 1, shape (n, 768); an empty one stays zero and is like nothing."""
    wide = shapes.astype(np.float32)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-6)
    return wide


def _thin_out(group: Sequence[Corrected]) -> dict[str, Copy]:
    """All of a group of copies but the one that stays, in order of precedence."""
    theirs = [sample for sample in group if sample.contributor_id == group[0].contributor_id]
    newest = max(theirs, key=lambda sample: sample.recorded_at)
    kept = next(sample for sample in theirs if _same_words(sample, newest))
    found: dict[str, Copy] = {}
    for sample in group:
        if sample is kept:
            continue
        if _same_words(sample, kept):
            reason = NEAR_DUPLICATE
        elif sample.contributor_id == kept.contributor_id:
            reason = SUPERSEDED
        else:
            reason = TEXT_CONFLICT
        found[sample.sample_id] = Copy(reason, kept.sample_id)
    return found


def _same_words(one: Corrected, other: Corrected) -> bool:
    """Whether two texts agree in all but case, spaces, punctuation and symbols."""
    return bare(one.text) == bare(other.text)


def bare(text: str) -> str:
    """A text without case, spaces, punctuation and symbols: the same for the same words."""
    return "".join(character for character in text.casefold() if category(character)[0] not in "PSZ")
