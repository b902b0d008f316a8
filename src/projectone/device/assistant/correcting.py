"""What a person meant, where they were not understood: kept, put in line if consent allows, and taken back."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from projectone.contracts.assist import as_target
from projectone.contracts.base import sha256_hex
from projectone.device.assistant.asked import Asked, AskedRows
from projectone.device.offers import Kept, Offers
from projectone.device.outbox import EntryState, Outbox
from projectone.device.recordings import FineTuningDataPoint, Recordings
from projectone.errors import DataError
from projectone.storage.database import Database

_SIMILAR = 3
_ALIKE = 0.65  # of what is written: a slip is found (whether, weather), another word that shares letters is not


class Meanings:
    """What people say they meant. Each change is one transaction."""

    def __init__(
        self,
        database: Database,
        asked: AskedRows,
        recordings: Recordings,
        outbox: Outbox,
        offers: Offers,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._asked = asked
        self._recordings = recordings
        self._outbox = outbox
        self._offers = offers
        self._clock = clock

    def correct(self, asked: Asked, label: str | None) -> Kept:
        """Keep what was meant. The same again changes nothing; anything else replaces the first.

        Args:
            asked: What was asked.
            label: The intent that was meant; None where none of them was.
        """
        target = as_target(label)
        with self._database.transaction():
            earlier = self._recordings.meant(asked.ask_id)
            if earlier is not None:
                again = self._offers.again(earlier) if earlier.text == target else None
                if again is not None:
                    return again
                # Not left to the server's judgement: what was sent before says the opposite of the same sentence.
                self._outbox.take_back(earlier.sample_id)
            point = FineTuningDataPoint(
                sample_id=uuid.uuid4(),
                recording_id=asked.recording_id,
                kind="intent",
                audio_sha256=sha256_hex(asked.text.encode()),
                duration_s=0.0,
                text=target,
                heard=as_target(asked.label),
                heard_by=asked.model_version,
                script_id=None,
                created_at=self._clock(),
                utterance=asked.text,
                ask_id=asked.ask_id,
            )
            self._recordings.add_point(point)
            return self._offers.offer(point)

    def of(self, asked: Asked) -> FineTuningDataPoint | None:
        """What the person says they meant; None if they did not say."""
        return self._recordings.meant(asked.ask_id)

    def state_of(self, meant: FineTuningDataPoint) -> EntryState | None:
        """Where a correction is; None if it was never put in line."""
        return self._outbox.state_of(meant.sample_id)

    def forget(self, asked: Sequence[Asked]) -> int:
        """Forget what was asked, and take back what was said of it; the server is told at the next sync."""
        with self._database.transaction():
            for item in asked:
                point = self._recordings.meant(item.ask_id)
                if point is not None:
                    self._outbox.take_back(point.sample_id)
                    self._recordings.take_back(point.sample_id)
                self._recordings.forget_utterance(item.ask_id)
                self._asked.forget(item.ask_id)
        self._database.empty_log()
        return len(asked)


def check_label(label: str, labels: Sequence[str]) -> str:
    """`label`, if the classifier knows it.

    Raises:
        DataError: naming those that are written alike.
    """
    if label in labels:
        return label
    alike = difflib.get_close_matches(label, labels, _SIMILAR, _ALIKE)
    hint = f"; did you mean {', '.join(map(repr, alike))}?" if alike else ""
    raise DataError("label-unknown", f"label: expected one of `projectone ask --labels`, got {label[:96]!r}{hint}")
