"""What a person gave, looked at again: how much of it, how it sounds, and what of it was put on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from projectone.device.outbox import Outbox
from projectone.device.recordings import FineTuningDataPoint, Recordings
from projectone.errors import DataError

_EVERY = 1_000_000_000


@dataclass(frozen=True)
class DonationCount:
    """Scripts that were read aloud and not taken back, and how long the recordings of them last together."""

    n: int
    seconds: float


@dataclass(frozen=True)
class DepartureCount:
    """How much left this device, or may have, ever; and how much of it the server has, or may have."""

    n: int
    n_there: int


class Given:
    """Corrections and donations of this device. It only reads."""

    def __init__(self, recordings: Recordings, outbox: Outbox) -> None:
        self._recordings = recordings
        self._outbox = outbox

    def donations(self, since: datetime | None = None) -> DonationCount:
        """The donations that count, from a moment on."""
        points = [point for point in self._recordings.points("donation") if since is None or point.created_at >= since]
        return DonationCount(len(points), sum(point.duration_s for point in points))

    def departures(self) -> DepartureCount:
        """Everything that left, counted."""
        left = self._outbox.left(_EVERY)
        return DepartureCount(len(left), sum(item.whereabouts in ("sent", "maybe sent") for item in left))

    def sound(self, named: str) -> bytes:
        """The WAV of a correction or donation: the very bytes that are sent.

        Args:
            named: Its id, a beginning of it that fits one only, or ``"last"``.

        Raises:
            DataError: if there is no such thing, or its sound is not here any more, as after it was taken back.
        """
        point = self._recordings.find_point(named)
        if point.kind == "intent":
            raise DataError("no-sound", f"{named!r}: a text was sent, and no sound")
        if not self.is_audible(point):
            raise DataError("sample-unknown", f"{named!r}: it was taken back, and its sound is not here any more")
        return self._recordings.audio(point.audio_sha256)

    def is_audible(self, point: FineTuningDataPoint) -> bool:
        """Whether its sound is still here."""
        return self._recordings.has_audio(point.audio_sha256)

    def letter(self, named: str) -> bytes:
        """What is sent beside the sound, to the byte: canonical JSON; empty where nothing is to be sent (any more).

        Raises:
            DataError: as `sound`.
        """
        return self._outbox.payload_of(self._recordings.find_point(named).sample_id)
