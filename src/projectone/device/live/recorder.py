"""Recording while speaking: pieces of sound in, text so far out, and in the end a recording like any other."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from projectone.device.live.partials import Partial, Partials
from projectone.device.live.pauses import SILENCE_DB, level_db
from projectone.device.live.spool import BYTES_PER_S, Spool, Spools, began_at, unknown
from projectone.device.recordings import Recording
from projectone.errors import DataError, LeaseError, StorageError
from projectone.waveform.wav import wav_of_pcm16

_MAX_OPEN = 4
_IDLE_S = 30.0


@dataclass(frozen=True)
class LiveState:
    """How far a recording has come.

    Attributes:
        n_bytes: What is kept; the next piece begins here.
        level_db: How loud the last piece was: 0 is as loud as can be, speech is about -20, -96 is silence.
        seconds: The same as `n_bytes`.
        safe_s: What even a power cut leaves here; never more than a second less, while pieces come in.
    """

    n_bytes: int
    level_db: float
    seconds: float
    safe_s: float


@dataclass(frozen=True)
class Unfinished:
    """A recording that was cut off, or was left: finish it or discard it."""

    live_id: str
    began_at: datetime
    seconds: float


class _Open:
    """A recording that this process has in hand."""

    def __init__(self, spool: Spool, now_s: float) -> None:
        self.spool = spool
        self.using = threading.Lock()
        self.touched_s = now_s
        self.level_db = SILENCE_DB
        self.is_followed = False

    def state(self) -> LiveState:
        spool = self.spool
        return LiveState(
            spool.n_bytes, round(self.level_db, 1), spool.n_bytes / BYTES_PER_S, spool.n_safe_bytes / BYTES_PER_S
        )


class Live:
    """What is being said on this device. It may be used by several threads."""

    def __init__(
        self,
        spools: Spools,
        partials: Partials,
        *,
        keep: Callable[[bytes, datetime], Recording],
        kept_at: Callable[[datetime], Recording | None],
        clock: Callable[[], datetime],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is being recorded.

        Args:
            spools: Where sound lies until it is a recording.
            partials: Who listens meanwhile.
            keep: Makes a WAV file and the moment that it was said at a recording, as of any file.
            kept_at: The recording that was made of what was said at this very moment, if there is one.
            clock: Now.
            timer: Seconds, from anywhere.
        """
        self._spools = spools
        self._partials = partials
        self._keep = keep
        self._kept_at = kept_at
        self._clock = clock
        self._timer = timer
        self._open: dict[str, _Open] = {}
        self._door = threading.Lock()

    def begin(self) -> str:
        """Begin a recording; gives its name. A pause needs no call: no pieces come.

        Raises:
            StorageError: if the disk has no room.
        """
        with self._door:
            by_age = sorted(self._open, key=lambda live_id: self._open[live_id].touched_s)
        for live_id in by_age[: len(by_age) - _MAX_OPEN + 1]:  # pages that were closed without a word
            self._set_aside(live_id)
        spool = self._spools.begin(self._clock())
        item = _Open(spool, self._timer())
        with self._door:
            self._open[spool.live_id] = item
        self._follow(item)
        return spool.live_id

    def append(self, live_id: str, offset_bytes: int, pcm16le_16k_mono: bytes) -> LiveState:
        """Keep a piece; when this returns, the end of the program costs nothing of it.

        A recording that was cut off is gone on with.

        Args:
            live_id: As `begin` gave it.
            offset_bytes: Where the piece begins. Sent again it changes nothing.
            pcm16le_16k_mono: Whole samples.

        Raises:
            DataError: ``live-gap`` with the byte that is expected, ``live-other`` if other sound was there before,
                ``live-too-long``, ``live-odd`` or ``live-unknown``; nothing is changed.
            LeaseError: if another process records it.
            StorageError: if the disk is full; what was said until then stays.
        """
        with self._using(live_id) as item:
            item.spool.append(offset_bytes, pcm16le_16k_mono)
            item.touched_s = self._timer()
            self._follow(item, start=offset_bytes)
            if pcm16le_16k_mono:
                item.level_db = level_db(pcm16le_16k_mono)
            self._partials.note(live_id, item.spool.n_bytes)
            return item.state()

    def state(self, live_id: str) -> LiveState:
        """How far it has come.

        Raises:
            DataError: ``live-unknown``.
            LeaseError: if another process records it.
        """
        with self._using(live_id) as item:
            return item.state()

    def partial(self, live_id: str) -> Partial:
        """The text so far; comes at once, and may be about a little less sound than there is."""
        return self._partials.of(live_id)

    def finish(self, live_id: str) -> Recording:
        """Make it a recording like any other, heard once more as a whole. Asked again, the same is given.

        Raises:
            DataError: ``live-empty`` or ``live-unknown``.
            ArtifactError: if no model is installed; the sound stays and can be finished later.
            LeaseError: if another process records it.
        """
        try:
            return self._finish(live_id)
        except DataError as error:
            kept = self._kept_at(began_at(live_id)) if error.reason == "live-unknown" else None
            if kept is None:
                raise
            return kept

    def discard(self, live_id: str) -> None:
        """Forget it, sound and all.

        Raises:
            DataError: ``live-unknown``.
            LeaseError: if another process records it.
        """
        with self._using(live_id) as item:
            self._let_go(live_id)
            item.spool.remove()

    def unfinished(self) -> list[Unfinished]:
        """What was cut off or left, oldest first; not what is being recorded just now, here or elsewhere."""
        return [item for live_id in self._spools.names() if (item := self._unfinished(live_id)) is not None]

    def close(self) -> None:
        """Stop listening, and leave what is not finished for the next start."""
        self._partials.close()
        for live_id in list(self._open):
            self._set_aside(live_id)

    def _unfinished(self, live_id: str) -> Unfinished | None:
        moment = began_at(live_id)
        with self._door, contextlib.suppress(LeaseError, DataError):
            item = self._open.get(live_id)
            if item is not None:
                is_left = self._timer() - item.touched_s >= _IDLE_S and item.spool.n_bytes > 0
                return Unfinished(live_id, moment, item.spool.n_bytes / BYTES_PER_S) if is_left else None
            with contextlib.closing(self._spools.open(live_id)) as spool:
                # The second is what a crash leaves after the recording was kept and before its spool went.
                if spool.n_bytes and self._kept_at(moment) is None:
                    return Unfinished(live_id, moment, spool.n_bytes / BYTES_PER_S)
                spool.remove()
        return None

    def _finish(self, live_id: str) -> Recording:
        with self._using(live_id) as item:
            spool = item.spool
            if spool.n_bytes == 0:
                self._let_go(live_id)
                spool.remove()
                raise DataError("live-empty", f"{live_id}: expected sound, nothing was recorded")
            self._partials.forget(live_id)
            spool.sync()
            moment = began_at(live_id)
            recording = self._kept_at(moment)
            if recording is None:
                recording = self._keep(wav_of_pcm16(spool.read(0, spool.n_bytes)), moment)
            self._let_go(live_id)
            spool.remove()
            return recording

    @contextlib.contextmanager
    def _using(self, live_id: str) -> Iterator[_Open]:
        """A recording for one thread; one that was left is taken up again."""
        with self._door:
            if live_id not in self._open:
                self._open[live_id] = _Open(self._spools.open(live_id), self._timer())
            item = self._open[live_id]
        with item.using:
            if self._open.get(live_id) is not item:  # finished while we waited
                raise unknown(live_id)
            yield item

    def _follow(self, item: _Open, *, start: int = 0) -> None:
        """Have it listened to: from the first piece on, not where it is only finished or discarded."""
        if not item.is_followed:
            item.is_followed = True
            self._partials.follow(item.spool.live_id, item.spool.read, start=start)

    def _let_go(self, live_id: str) -> None:
        self._partials.forget(live_id)
        with self._door:
            self._open.pop(live_id, None)

    def _set_aside(self, live_id: str) -> None:
        """Leave it as it is; it is offered as unfinished."""
        with contextlib.suppress(DataError, LeaseError, StorageError), self._using(live_id) as item:
            self._let_go(live_id)
            try:
                item.spool.sync()
            finally:
                item.spool.close()
