"""The recordings as a person looks at them: found again by a word, heard again, with what becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Literal
from uuid import UUID

from projectone.contracts.audio import MAX_CLIP_S
from projectone.device.outbox import EntryState, Outbox, Whereabouts
from projectone.device.recordings import Clip, Recording, Recordings
from projectone.waveform.peaks import peaks

State = Literal["uncorrected", "kept", "waiting", "sent", "refused"]
"""Of a recording: never corrected; corrected, and it stays here; it will be sent; it was; the server refused it."""

_EVERY = 1_000_000_000
_STATES: dict[EntryState | None, State] = {
    "waiting": "waiting",
    "sending": "waiting",
    "sent": "sent",
    "refused": "refused",
}
_THERE: tuple[Whereabouts, ...] = ("sent", "maybe sent")


@dataclass(frozen=True)
class Fate:
    """What becomes of a recording.

    Attributes:
        state: Where it is, or will be.
        sample_id: Of the correction that counts; None if there is none.
        left_at: When it was sent, if that was noted.
        others_present: Whether the person marked that somebody else can be heard.
        reason: Why the server refused it, or why it was not even sent.
        is_there: Whether the server has, or may have, any correction of it.
        is_earlier_there: Whether that is so of one that counts no more.
        is_to_be_deleted: Whether the server is yet to be told to delete one.
        is_too_long: Whether it is longer than what is ever sent.
        is_silent: Whether the person said that nothing was said.
    """

    state: State
    sample_id: UUID | None = None
    left_at: datetime | None = None
    others_present: bool = False
    reason: str | None = None
    is_there: bool = False
    is_earlier_there: bool = False
    is_to_be_deleted: bool = False
    is_too_long: bool = False
    is_silent: bool = False


class Library:
    """It only reads; `DeviceClient.correct` makes corrections, `undo_recording` takes them back."""

    def __init__(self, recordings: Recordings, outbox: Outbox, read_clip: Callable[[bytes], Clip]) -> None:
        self._recordings = recordings
        self._outbox = outbox
        self._read_clip = read_clip

    def search(
        self,
        words: str = "",
        limit: int = 50,
        is_wanted: Callable[[Recording], bool] | None = None,
        *,
        skip: int = 0,
    ) -> list[Recording]:
        """The last recordings in which all of these words are heard or were said, newest first.

        Args:
            words: With blanks between them, parts of words too; none finds everything.
            limit: How many at most.
            is_wanted: What else must hold of each; asked of those alone that have the words.
            skip: Without so many of the newest that are found.
        """
        wanted = words.casefold().split()
        if not wanted and is_wanted is None:
            return self._recordings.newest(limit, skip=skip)

        def has_words(text: str) -> bool:
            folded = text.casefold()
            return all(word in folded for word in wanted)

        found = (item for item in self._recordings.with_text(has_words) if is_wanted is None or is_wanted(item))
        return list(islice(found, skip, skip + limit))

    def n_recordings(self) -> int:
        """How many there are."""
        return self._recordings.counts()["recordings"]

    def sound(self, recording_id: str) -> bytes:
        """The WAV of a recording: 16 kHz, mono, 16 bits.

        Raises:
            DataError: if there is no such recording.
            StorageError: if its sound is not readable any more.
        """
        return self._recordings.audio(self._recordings.find(recording_id).audio_sha256)

    def sound_size(self, recording_id: str) -> int:
        """How many bytes the WAV of a recording has.

        Raises:
            DataError: if there is no such recording.
            StorageError: if its sound is not readable any more.
        """
        return self._recordings.sounds.n_bytes(self._recordings.find(recording_id).audio_sha256)

    def sound_part(self, recording_id: str, start: int, n_bytes: int) -> Iterator[bytes]:
        """So many bytes of it from `start` on, in pieces: an hour is more than a page should wait for.

        Raises:
            DataError: if there is no such recording.
            StorageError: if its sound is not readable any more.
            DigestMismatchError: if the disk gives other bytes than were kept.
        """
        return self._recordings.sounds.pieces(self._recordings.find(recording_id).audio_sha256, start, n_bytes)

    def peaks(self, recording_id: str, n_columns: int) -> list[int]:
        """How far the sound swings in each of so many equal parts, 0 to 100.

        Raises:
            DataError: if there is no such recording.
            StorageError: if its sound is not readable any more.
        """
        return peaks(self._read_clip(self.sound(recording_id)).samples, n_columns)

    def state(self, recording: Recording) -> State:
        """Where a recording is, or will be: `fate` in a word."""
        if recording.corrected_text is None:
            return "uncorrected"
        point = self._recordings.point_of(recording.recording_id)
        # None: taken back between the two questions.
        return "uncorrected" if point is None else _STATES.get(self._outbox.state_of(point.sample_id), "kept")

    def fate(self, recording: Recording) -> Fate:
        """What becomes of a recording, as far as this device knows."""
        state, point = self.state(recording), self._recordings.point_of(recording.recording_id)
        ids = {item.sample_id for item in self._recordings.every_point_of(recording.recording_id)}
        departures = [item for item in self._outbox.left(_EVERY) if item.sample_id in ids]
        now = None if point is None else point.sample_id
        return Fate(
            state,
            sample_id=now,
            left_at=next((item.left_at for item in departures if item.sample_id == now), None),
            others_present=point is not None and bool(point.others_present),
            reason=self._outbox.refusal_of(now) if now is not None and state == "refused" else None,
            is_there=any(item.whereabouts in _THERE for item in departures),
            is_earlier_there=any(item.whereabouts in _THERE and item.sample_id != now for item in departures),
            is_to_be_deleted=any(item.whereabouts == "to be deleted" for item in departures),
            is_too_long=recording.duration_s > MAX_CLIP_S,
            is_silent=recording.corrected_text == "",
        )
