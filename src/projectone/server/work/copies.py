"""Finds copies of recordings among samples, and copies of the golden set, by what they sound like.

Fingerprints are kept in this process's memory alone, by the clip's digest, and only while a sample names the clip. They
recognise a recording of a person, so they are that person's data; what is never written cannot outlive an erasure, lie
in a backup or leave. Clips that are checked are heard on the way, in the processes that decode them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt

from projectone.errors import DataError, DigestMismatchError
from projectone.server.corpus.duplicates import Copy, collapse, sounds_like_any
from projectone.server.evaluation.golden import pcm_digest
from projectone.server.pipeline.ports import PipelineSample
from projectone.waveform.fingerprint import Fingerprint, at_speed, fingerprint_of

Samples = npt.NDArray[np.float32]

# Each catches what is up to 2 % faster or slower than itself, so together they reach from 6 % slower to 6 % faster.
_GOLDEN_SPEEDS = (0.96, 1.0, 1.04)


class CopyFinder:
    """Hears each clip once, unless somebody else did.

    Args:
        read_clip: A clip's digest to 16 kHz mono samples; raises DataError, DigestMismatchError.
        read_golden: The golden set's recordings; none where there is no set.
    """

    def __init__(self, read_clip: Callable[[str], Samples], read_golden: Callable[[], Sequence[Samples]]) -> None:
        self._read_clip = read_clip
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
        heard, prints = self._hear(samples, pause_point)
        return collapse(heard, prints)

    def near_golden(
        self, samples: Sequence[PipelineSample], pause_point: Callable[[], None] = lambda: None
    ) -> frozenset[str]:
        """Ids of samples that sound like a recording of the golden set, at its speed or up to 6 % beside it."""
        golden = self._golden_prints()
        if not golden:
            return frozenset()
        heard, prints = self._hear(samples, pause_point)
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

    def _hear(
        self, samples: Sequence[PipelineSample], pause_point: Callable[[], None]
    ) -> tuple[list[PipelineSample], list[Fingerprint]]:
        """The samples whose clips can be read, and their fingerprints."""
        heard, prints = [], []
        for sample in samples:
            known = self._known.get(sample.clip_sha256)
            if known is None:
                pause_point()
                try:
                    known = fingerprint_of(self._read_clip(sample.clip_sha256))
                except (DataError, DigestMismatchError):  # the node says so, where it looks at the sample itself
                    continue
                self._known[sample.clip_sha256] = known
            heard.append(sample)
            prints.append(known)
        return heard, prints
