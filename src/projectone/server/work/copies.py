"""Finds copies of recordings among samples, and copies of the golden set, by what they sound like.

Fingerprints are kept in this process's memory alone, by the clip's digest, and only while a sample names the clip. They
recognise a recording of a person, so they are that person's data; what is never written cannot outlive an erasure, lie
in a backup or leave. Clips that are checked are heard on the way, in the processes that decode them; others are asked
about there, too: the process that holds keys decodes none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from projectone.server.corpus.duplicates import Copy, collapse, sounds_like_any
from projectone.server.evaluation.golden import pcm_digest
from projectone.server.pipeline.ports import PipelineSample
from projectone.waveform.fingerprint import Fingerprint, at_speed, fingerprint_of

Samples = npt.NDArray[np.float32]
Hear = Callable[[Iterable[str]], Iterable[Fingerprint | None]]

# Each catches what is up to 2 % faster or slower than itself, so together they reach from 6 % slower to 6 % faster.
_GOLDEN_SPEEDS = (0.96, 1.0, 1.04)


class CopyFinder:
    """Hears each clip once, unless somebody else did.

    Args:
        hear: Digests of clips to what they sound like, in their order; None for one that cannot be heard.
        read_golden: The golden set's recordings; none where there is no set.
    """

    def __init__(self, hear: Hear, read_golden: Callable[[], Sequence[Samples]]) -> None:
        self._hear = hear
        self._read_golden = read_golden
        self._golden: dict[str, list[Fingerprint]] = {}
        self._known: dict[str, Fingerprint] = {}

    def copies(
        self, samples: Sequence[PipelineSample], pause_point: Callable[[], None] = lambda: None
    ) -> dict[str, Copy]:
        """Samples that sound like another of them, and that one, by id; see `collapse`.

        Args:
            samples: In the order in which they came.
            pause_point: Called for every clip that is heard; what it raises ends the search.
        """
        heard, prints = self._heard(samples, pause_point)
        return collapse(heard, prints)

    def near_golden(
        self, samples: Sequence[PipelineSample], pause_point: Callable[[], None] = lambda: None
    ) -> frozenset[str]:
        """Ids of samples that sound like a recording of the golden set, at its speed or up to 6 % beside it."""
        golden = self._golden_prints()
        if not golden:
            return frozenset()
        heard, prints = self._heard(samples, pause_point)
        is_near = sounds_like_any(prints, golden)
        return frozenset(sample.sample_id for sample, is_one in zip(heard, is_near, strict=True) if is_one)

    def learn(self, clip_sha256: str, fingerprint: Fingerprint) -> None:
        """What a clip sounds like, from somebody who had it decoded: it need not be read for that."""
        self._known.setdefault(clip_sha256, fingerprint)

    def forget_others(self, clip_sha256s: Collection[str]) -> None:
        """Keep the fingerprints of these clips alone."""
        wanted = set(clip_sha256s)
        self._known = {sha256: known for sha256, known in self._known.items() if sha256 in wanted}

    def _golden_prints(self) -> list[Fingerprint]:
        """Of the set as it is now: it may have grown, or lost a recording to a withdrawal."""
        clips = {pcm_digest(clip): clip for clip in self._read_golden()}
        self._golden = {
            digest: self._golden.get(digest) or [fingerprint_of(at_speed(clip, speed)) for speed in _GOLDEN_SPEEDS]
            for digest, clip in clips.items()
        }
        return [known for prints in self._golden.values() for known in prints]

    def _heard(
        self, samples: Sequence[PipelineSample], pause_point: Callable[[], None]
    ) -> tuple[list[PipelineSample], list[Fingerprint]]:
        """The samples whose clips can be heard, and their fingerprints; of the others the node says why."""
        digests = dict.fromkeys(sample.clip_sha256 for sample in samples)
        missing = [sha256 for sha256 in digests if sha256 not in self._known]
        for sha256, fingerprint in zip(missing, self._hear(missing), strict=True):
            pause_point()
            if fingerprint is not None:
                self._known[sha256] = fingerprint
        heard = [sample for sample in samples if sample.clip_sha256 in self._known]
        return heard, [self._known[sample.clip_sha256] for sample in heard]
