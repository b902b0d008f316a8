"""What left this device, and the way back: one correction or donation at a time, wherever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from projectone.device.outbox import Departure, Outbox, Whereabouts
from projectone.device.recordings import FineTuningDataPoint, Recording, Recordings
from projectone.device.seen import Seen, refuse_unseen
from projectone.storage.database import Database

_EVERYTHING = 1_000_000_000
_THERE: tuple[Whereabouts, ...] = ("sent", "maybe sent")


@dataclass(frozen=True)
class SentPoint:
    """Something that left, or may have: what it is; when it left, under which consent, and whether it is there."""

    point: FineTuningDataPoint
    departure: Departure

    @property
    def whereabouts(self) -> Whereabouts:
        """Whether the server has it, as far as this device knows."""
        return self.departure.whereabouts


@dataclass(frozen=True)
class Undone:
    """Something that was taken back. If it may have left, the server is told at the next sync to erase it."""

    sample_id: UUID
    text: str
    may_have_left: bool


class Sent:
    """Lists what left, and takes back what is to be gone."""

    def __init__(
        self,
        database: Database,
        recordings: Recordings,
        outbox: Outbox,
        *,
        forget_traces: Callable[[], object] = lambda: None,
    ) -> None:
        """Nothing is done yet.

        Args:
            database: Where all of it is changed together.
            recordings: What was recorded, and the corrections.
            outbox: What left, or waits.
            forget_traces: Called inside the transaction: what was computed from the words that went is to go too.
        """
        self._database = database
        self._forget_traces = forget_traces
        self._recordings = recordings
        self._outbox = outbox

    def newest(self, limit: int, *, skip: int = 0) -> list[SentPoint]:
        """What left, or may have, the last first, from the one after `skip` on."""
        return [SentPoint(self._recordings.point(left.sample_id), left) for left in self._outbox.left(limit, skip=skip)]

    def undo(self, named: str) -> Undone:
        """Take a correction or donation back: it counts no more, and the server is to erase it if it may have it.

        In one transaction with what tells the server: it is told once it can be reached, whatever happens before.

        Args:
            named: Its id, a beginning of it that fits one only, or ``"last"``.

        Raises:
            DataError: if there is no such thing.
        """
        with self._database.transaction():
            return self._take_back(self._recordings.find_point(named))

    def undo_recording(self, recording_id: str, *, seen: Seen | None = None) -> list[Undone]:
        """Take back what was ever corrected in a recording: what counts now, and what the server has of before.

        Args:
            recording_id: Which recording.
            seen: What whoever wants this had before them; not asked if not given.

        Raises:
            DataError: if it was corrected otherwise meanwhile.
        """
        with self._database.transaction():
            counts = self._recordings.point_of(recording_id)
            refuse_unseen(None if counts is None else counts.text, seen)
            return self._undo(self._recordings.every_point_of(recording_id))

    def delete_recording(self, recording: Recording) -> list[Undone]:
        """Forget a recording, sound and words; what the server has of it is to be erased there. Gives what that was."""
        with self._database.transaction():
            undone = self.undo_recording(recording.recording_id)
            undone += self._undo(self._recordings.every_point_of(recording.recording_id, "intent"))
            self._recordings.delete(recording.recording_id)
            self._forget_traces()
        self._recordings.remove_audio(recording.audio_sha256)  # after the commit, as in `forget_sound`
        self._database.empty_log()
        return undone

    def undo_all(self) -> list[Undone]:
        """Take back everything that the server has or may have, in one step. What waits is left alone."""
        with self._database.transaction():
            there = [left.sample_id for left in self._outbox.left(_EVERYTHING) if left.whereabouts in _THERE]
            return [self._take_back(self._recordings.point(sample_id)) for sample_id in there]

    def undo_donation(self) -> Undone | None:
        """Take the last donation back; None if there is none."""
        with self._database.transaction():
            point = self._recordings.newest_donation()
            return None if point is None else self._take_back(point)

    def forget_sound(self, undone: Undone) -> None:
        """Remove the sound of what was taken back, unless something else on this device is the same.

        After the commit: a row without its sound would be worse than a sound without a row.
        """
        self._recordings.remove_audio(self._recordings.point(undone.sample_id).audio_sha256)

    def _undo(self, points: list[FineTuningDataPoint]) -> list[Undone]:
        """Take back those of them that count, and those that the server has."""
        there = {left.sample_id for left in self._outbox.left(_EVERYTHING) if left.whereabouts in _THERE}
        return [
            self._take_back(point)
            for point in points
            if point.sample_id in there or self._recordings.counts_yet(point.sample_id)
        ]

    def _take_back(self, point: FineTuningDataPoint) -> Undone:
        may_have_left = self._outbox.take_back(point.sample_id)
        self._recordings.take_back(point.sample_id)
        self._forget_traces()
        return Undone(point.sample_id, point.shown, may_have_left)
