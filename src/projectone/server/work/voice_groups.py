"""Strangers' accounts whose clips are one person's voice, for the caps of a run; see `projectone.server.voices`.

A sealed process hears a few clips of each account and gives back one vector, which lives in this process's memory until
the accounts are compared. Nothing of it is kept, logged or sent on, not even to a cluster: its memory may reach a disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from typing import Protocol

from projectone.errors import DataError, DigestMismatchError
from projectone.server.corpus.caps import CapLimits, Contributed, strangers_among
from projectone.server.voices.installed import open_networks
from projectone.server.voices.same_voice import CLIPS, Float32, one_voice, voice_of
from projectone.server.work.sealed_pool import SealedPool
from projectone.waveform.wav import parse_wav


class Clip(Contributed, Protocol):
    """A sample whose sound can be read."""

    @property
    def clip_sha256(self) -> str:
        """Of the bytes that are kept."""


class VoiceGroups:
    """Says which strangers are one voice.

    Args:
        read: A clip's digest to the bytes that were kept under it, checked.
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read

    def among(self, new: Sequence[Clip], earlier: Sequence[Clip], limits: CapLimits) -> dict[str, str]:
        """Strangers to the name of the voice that they share with another one; who is alone is not there.

        Args:
            new: That a run would take.
            earlier: What released models learned from.
            limits: Who counts as a stranger.
        """
        strangers = strangers_among(new, earlier, limits) or frozenset()
        given: dict[str, list[Clip]] = {}
        for sample in new:
            if sample.contributor_id in strangers:
                given.setdefault(sample.contributor_id, []).append(sample)
        if len(given) < 2:
            return {}
        accounts: dict[str, Float32] = {}
        pool = SealedPool()
        pool.hear_voices()
        try:
            asked = {
                person: pool.processes().submit(voice_of_clips, self._contents(samples))
                for person, samples in given.items()
            }
            for person, answer in asked.items():
                try:
                    found = answer.result()
                except (BrokenExecutor, CancelledError):  # a process was killed: its question is answered here
                    found = voice_of_clips(self._contents(given[person]))
                if found is not None:
                    accounts[person] = found
        finally:
            pool.close()
        return {person: min(group) for group in one_voice(accounts) for person in group}

    def _contents(self, samples: Sequence[Clip]) -> list[bytes]:
        """The longest clips: they say most. One that the disk does not give says nothing."""
        longest = sorted(samples, key=lambda sample: (-sample.duration_s, sample.clip_sha256))[:CLIPS]
        found = []
        for sample in longest:
            try:
                found.append(self._read(sample.clip_sha256))
            except (DataError, DigestMismatchError):
                continue
        return found


def voice_of_clips(contents: Sequence[bytes]) -> Float32 | None:
    """In a sealed process: one vector of an account's clips, (256,); None if they hold too little voice."""
    networks = open_networks()
    if networks is None:
        return None
    return voice_of([parse_wav(content).samples[:, 0] for content in contents], networks.encoder)
