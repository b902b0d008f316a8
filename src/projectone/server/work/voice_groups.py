"""Strangers' accounts whose clips are one person's voice, for the caps of a run; see `projectone.server.voices`.

A sealed process hears a few clips of each account and gives back one vector, which lives in this process's memory until
the accounts are compared. Nothing of it is kept, logged or sent on, not even to a cluster: its memory may reach a disk.
So many accounts are under way and no more. An account at which a process fails or ends is asked about alone, then each
of its clips; one that fails again says nothing. The process that asks decodes none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol

from projectone.errors import DataError, DigestMismatchError
from projectone.server.corpus.caps import CapLimits, Contributed, strangers_among
from projectone.server.voices.same_voice import CLIPS, Float32, one_voice
from projectone.server.work.asking import ask_alone
from projectone.server.work.hear import voice_of_clips
from projectone.server.work.sealed_pool import SealedPool

# As of looks: a defect of ours may meet several clips of one person.
_MAX_FAILED = 3


class Clip(Contributed, Protocol):
    """A sample whose sound can be read."""

    @property
    def clip_sha256(self) -> str:
        """Of the bytes that are kept."""


class VoiceGroups:
    """Says which strangers are one voice.

    Args:
        read: A clip's digest to the bytes that were kept under it, checked.
        open_pool: Processes that hear clips.
        max_failed: After so many clips of an account at which processes failed or ended, it says nothing.
    """

    def __init__(
        self,
        read: Callable[[str], bytes],
        *,
        open_pool: Callable[[], SealedPool] = SealedPool,
        max_failed: int = _MAX_FAILED,
    ) -> None:
        self._read = read
        self._open_pool = open_pool
        self._max_failed = max_failed

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
        pool = self._open_pool()
        pool.hear_voices()
        try:
            accounts = {person: voice for person, voice in self._hear(pool, given.items()) if voice is not None}
        finally:
            pool.close()
        return {person: min(group) for group in one_voice(accounts) for person in group}

    def _hear(
        self, pool: SealedPool, given: Iterable[tuple[str, Sequence[Clip]]]
    ) -> Iterator[tuple[str, Float32 | None]]:
        """Each account's voice, in their order; as many clips are in memory as are under way."""
        waiting: deque[tuple[str, Sequence[Clip], Future[Float32 | None] | None]] = deque()
        for person, samples in given:
            waiting.append((person, samples, pool.call(voice_of_clips, self._contents(samples))))
            if len(waiting) > pool.n_pages:
                yield self._heard(pool, *waiting.popleft())
        while waiting:
            yield self._heard(pool, *waiting.popleft())

    def _heard(
        self, pool: SealedPool, person: str, samples: Sequence[Clip], future: Future[Float32 | None] | None
    ) -> tuple[str, Float32 | None]:
        """What a process says of an account; where it failed or ended, of those clips at which none does."""
        if future is not None:
            try:
                return person, future.result()
            except Exception:  # a process was killed, or failed at one of them: at which one?
                pass
        contents = self._contents(samples)
        voice = _ask(pool, contents)
        if isinstance(voice, _Failed):
            sound = self._sound_ones(pool, contents)
            voice = _FAILED if sound is None else _ask(pool, sound)
        return person, None if isinstance(voice, _Failed) else voice

    def _sound_ones(self, pool: SealedPool, contents: list[bytes]) -> list[bytes] | None:
        """Those clips of an account at which no process fails; None once it has cost as many processes as it may."""
        sound: list[bytes] = []
        for place, content in enumerate(contents):
            if place - len(sound) >= self._max_failed:
                return None
            if not isinstance(_ask(pool, [content]), _Failed):
                sound.append(content)
        return sound

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


class _Failed:
    """Stands for a voice that no process could say."""


_FAILED = _Failed()


def _ask(pool: SealedPool, contents: list[bytes]) -> Float32 | _Failed | None:
    """The voice of clips, asked alone."""
    nothing: list[bytes] = []
    return ask_alone(
        lambda: pool.call(voice_of_clips, contents), lambda: pool.call(voice_of_clips, nothing), otherwise=_FAILED
    )
