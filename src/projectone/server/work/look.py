"""One clip decoded and judged, and pages of them: what any engine that looks at clips is asked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from projectone.errors import DataError
from projectone.server.corpus.validation import MANY_SPEAKERS, Findings, check_sample
from projectone.server.evaluation.golden import sound_key, to_pcm16
from projectone.server.pipeline.ports import Look
from projectone.server.voices.installed import Networks, open_networks
from projectone.waveform.fingerprint import fingerprint_of
from projectone.waveform.wav import Sound, pcm16_of, read_header, read_samples, to_floats


@dataclass(frozen=True)
class Question:
    """What is asked about one sample; the same question has the same answer for ever.

    Attributes:
        clip_sha256: Of the bytes that are kept.
        text: What the sample is said to hold.
        language: Of the text.
        heard: What a model made of the clip, if the text corrects it.
        holds_personal: Whether personal data in the text is a doubt.
        holds_speakers: Whether it is one that two people seem to speak.
        wants_fingerprint: Whether to say, too, what the clip sounds like: it is decoded already.
    """

    clip_sha256: str
    text: str
    language: str = "en"
    heard: str | None = None
    holds_personal: bool = True
    wants_fingerprint: bool = False
    holds_speakers: bool = False

    def __hash__(self) -> int:
        return hash(self.clip_sha256)  # asked for often, and computed once; few questions are about the same clip


Page = Sequence[tuple[Question, bytes]]
"""Questions, each with the bytes of its clip."""


class Engine(Protocol):
    """Whatever looks at pages elsewhere: processes of this machine, or of others."""

    @property
    def n_pages(self) -> int:
        """So many pages under way keep it busy."""
        ...

    def submit(self, page: Page) -> Future[list[Look]] | None:
        """Begin to look at a page; None if that is not possible just now.

        The answer is a `BrokenExecutor` if whoever looked at the page ended meanwhile.
        """
        ...

    def close(self) -> None:
        """End what was started; a later page starts it again."""
        ...


def look(content: bytes | memoryview, question: Question) -> Look:
    """One clip decoded and judged."""
    try:
        header = read_header(content)
        pcm = pcm16_of(content, header)
        # A file as we write them is measured where it lies: most of its samples never become floats that are kept.
        samples: Sound = read_samples(content, header)[:, 0] if pcm is None else pcm
    except DataError as error:
        return Look(Findings(error.reason))
    networks = open_networks() if question.holds_speakers else None
    found = check_sample(
        samples,
        question.text,
        language=question.language,
        heard=question.heard,
        holds_personal=question.holds_personal,
        holds_speakers=question.holds_speakers and networks is None,
    )
    if networks is not None and found.discard is None:
        found = hold_second_voice(found, to_floats(samples), networks)
    is_wanted = question.wants_fingerprint and found.discard is None
    key = sound_key(to_pcm16(to_floats(samples)) if pcm is None else pcm)
    return Look(found, key, fingerprint_of(to_floats(samples)) if is_wanted else None)


def hold_second_voice(found: Findings, samples: npt.NDArray[np.float32], networks: Networks) -> Findings:
    """What was found, and whether two people seem to speak; that figure is all that is left of their voices."""
    second = networks.second_voice(samples)
    doubts = (MANY_SPEAKERS,) if second >= 1.0 else ()
    return replace(found, hold=(*found.hold, *doubts), measures={**found.measures, "second_voice": round(second, 4)})
