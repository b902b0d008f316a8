"""What has been said so far, as text, while it is said: only the sound since the last stable point is decoded.

One thread serves every recording. It always takes the sound that is there when it begins, so that it never falls
behind: where the machine is slow, it listens less often. A window of sound that has become long ends in a pause. What
the model hears in the part before is settled, and the next window begins there.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from projectone.device.live.agreement import Agreement
from projectone.device.live.pauses import Loudness, to_samples
from projectone.device.live.spool import BYTES_PER_S, RATE_HZ
from projectone.errors import ProjectOneError

Read = Callable[[int, int], bytes]
Hear = Callable[[npt.NDArray[np.float32]], str]

# The smallest window that a model here knows is 10 s, and decoding grows with the window.
_LONGEST_S = 9.0
_LONG_S = 5.0
_SHORTEST_PART_S = 2.0
_LONGEST_BYTES = int(_LONGEST_S) * BYTES_PER_S
_BEHIND_BYTES = 30 * BYTES_PER_S
_KEPT_SILENCE_BYTES = 3 * BYTES_PER_S // 10
_SHORTEST_SAMPLES = RATE_HZ // 2
_LEFT_OUT = "..."
_ENOUGH_NEW_BYTES = BYTES_PER_S // 4
_PATIENCE_S = 0.3


@dataclass(frozen=True)
class Partial:
    """What is heard so far.

    Attributes:
        stable: Words that will not change any more while this recording lasts.
        tentative: What seems to come after them.
        n_bytes: How much sound this is about, from the start.
        problem: Why there is no text, if something is wrong. The recording goes on all the same.
    """

    stable: str = ""
    tentative: str = ""
    n_bytes: int = 0
    problem: str | None = None

    @property
    def text(self) -> str:
        """Both, in order."""
        return " ".join(part for part in (self.stable, self.tentative) if part)


class Listener:
    """The text of one recording as it grows. Used by one thread at a time."""

    def __init__(self, read: Read, hear: Hear, start: int = 0) -> None:
        """Nothing heard yet.

        Args:
            read: The sound between two bytes of the recording.
            hear: The text in samples, quickly.
            start: The byte to begin at.
        """
        self._read = read
        self._hear = hear
        self._start = start
        self._settled: list[str] = []
        self._agreement = Agreement()
        self.partial = Partial(n_bytes=start)

    def listen(self, n_bytes: int) -> Partial:
        """Hear what is new, up to this byte or as far as one window goes.

        Raises:
            ProjectOneError: if no model can listen.
        """
        if n_bytes - self._start > _BEHIND_BYTES:
            self._leave_out(n_bytes)
        end = min(n_bytes, self._start + _LONGEST_BYTES)
        samples = to_samples(self._read(self._start, end))
        loudness = Loudness(samples)
        if loudness.is_silent:
            self._skip(end)
        elif samples.size >= _SHORTEST_SAMPLES:
            self._hear_window(samples, loudness, end)
        stable = [*self._settled, *self._agreement.stable]
        self.partial = Partial(" ".join(stable), " ".join(self._agreement.tentative), end)
        return self.partial

    def _hear_window(self, samples: npt.NDArray[np.float32], loudness: Loudness, end: int) -> None:
        cut_s = _cut(loudness, samples.size / RATE_HZ)
        if cut_s is not None:
            n_cut = round(cut_s * RATE_HZ)
            settled, carried = self._agreement.settle(self._hear(samples[:n_cut]).split())
            self._settled += settled
            self._agreement = Agreement(carried)
            self._start += 2 * n_cut
            samples = samples[n_cut:]
            loudness = Loudness(samples)
        if not loudness.is_silent:
            words = self._hear(samples).split()
            self._agreement.hear(words, end, is_cut_off=not loudness.ends_in_pause)

    def _skip(self, end: int) -> None:
        """Nobody has spoken since the window began: let it begin later."""
        if not self._agreement.tentative:
            self._start = max(self._start, end - _KEPT_SILENCE_BYTES)

    def _leave_out(self, n_bytes: int) -> None:
        """This machine is too slow to follow: a gap in what is shown is better than a text of long ago."""
        self._settled += [*self._agreement.stable, _LEFT_OUT]
        self._agreement = Agreement()
        self._start = n_bytes - _LONGEST_BYTES


def _cut(loudness: Loudness, length_s: float) -> float | None:
    """Where a window that has become long ends, in seconds; None if it may grow."""
    if length_s < _LONG_S:
        return None
    pause_s = loudness.last_pause(_SHORTEST_PART_S, length_s)
    if pause_s is not None or length_s < _LONGEST_S:
        return pause_s
    return loudness.quietest_s(min(length_s / 2, _LONGEST_S / 2), min(length_s, _LONGEST_S))


@dataclass
class _Followed:
    """One recording, and how much of it there is and was heard."""

    listener: Listener
    reading: threading.Lock
    n_bytes: int = 0
    n_heard: int = 0
    turn: int = 0
    partial: Partial = Partial()


class Partials:
    """Listens to recordings while they grow, on a thread of its own that begins with the first one."""

    def __init__(self, hear: Hear) -> None:
        """Nothing is followed yet.

        Args:
            hear: The text in samples, quickly; called on that thread alone.
        """
        self._hear = hear
        self._followed: dict[str, _Followed] = {}
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._turn = 0

    def follow(self, live_id: str, read: Read, *, start: int = 0) -> None:
        """Listen to a recording from this byte on; `note` says when there is more of it."""
        reading = threading.Lock()

        def guarded(first: int, end: int) -> bytes:
            with reading:
                return read(first, end) if live_id in self._followed else b""

        with self._news:
            self._followed[live_id] = _Followed(Listener(guarded, self._hear, start), reading, start, start)
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._work, name="projectone-partials", daemon=True)
                self._thread.start()

    def note(self, live_id: str, n_bytes: int) -> None:
        """There is sound up to here."""
        with self._news:
            if live_id in self._followed:
                followed = self._followed[live_id]
                self._turn += 1
                followed.n_bytes, followed.turn = n_bytes, self._turn
                self._news.notify()

    def of(self, live_id: str) -> Partial:
        """The newest text; never waits for one."""
        with self._news:
            return self._followed[live_id].partial if live_id in self._followed else Partial()

    def forget(self, live_id: str) -> None:
        """Listen to it no more; when this returns, nobody reads its sound."""
        with self._news:
            followed = self._followed.pop(live_id, None)
        if followed is not None:
            with followed.reading:
                pass

    def close(self) -> None:
        """End the thread, after what it is decoding."""
        with self._news:
            self._is_closed = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        # Loads the model while the first words are said. What is wrong with it, if anything is, `listen` will say.
        with contextlib.suppress(Exception):
            self._hear(np.zeros(_SHORTEST_SAMPLES, dtype=np.float32))
        while (followed := self._next()) is not None:
            n_bytes = followed.n_bytes
            try:
                partial = followed.listener.listen(n_bytes)
            except ProjectOneError as error:
                partial = replace(followed.partial, n_bytes=n_bytes, problem=str(error))
            except Exception as error:  # a recording never ends because its text cannot be shown
                partial = replace(followed.partial, n_bytes=n_bytes, problem=f"it cannot be heard now ({error})")
            with self._news:
                followed.n_heard, followed.partial = partial.n_bytes, partial

    def _next(self) -> _Followed | None:
        """The recording that grew last, once it grew enough or rests; None at the end."""
        with self._news:
            while not self._is_closed:
                grown = [item for item in self._followed.values() if item.n_bytes > item.n_heard]
                newest = max(grown, key=lambda item: item.turn, default=None)
                if newest is None:
                    self._news.wait()
                elif newest.n_bytes - newest.n_heard >= _ENOUGH_NEW_BYTES or not self._news.wait(_PATIENCE_S):
                    return newest
        return None
