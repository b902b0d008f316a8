"""What a person gives: a consent, a correction, a donation. Kept first, then put in line if consent allows."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from projectone.contracts.audio import MAX_CLIP_S
from projectone.contracts.base import is_name
from projectone.contracts.consent import KEPT_HERE, ConsentReceipt, ConsentScope
from projectone.contracts.corrections import SCOPE_OF_KIND
from projectone.contracts.texts import MAX_TRANSCRIPT_CHARACTERS, clean_transcript
from projectone.device.consent import ConsentLedger, ConsentMethod
from projectone.device.offers import NOTHING_SAID, Kept, Offers
from projectone.device.outbox import Outbox
from projectone.device.recordings import Clip, FineTuningDataPoint, Recordings
from projectone.device.seen import Seen, refuse_unseen
from projectone.errors import DataError
from projectone.storage.database import Database


@dataclass(frozen=True)
class Granted:
    """A consent is in force, and how many data points were put in line by it."""

    receipt: ConsentReceipt
    n_queued: int


_LONGEST_TEXT = 200_000  # more than anybody says in an hour
_SILENT_TOO_LATE = f"{NOTHING_SAID}; the words sent before are deleted there at the next `projectone sync`"
_MARKED_TOO_LATE = (
    "it was sent before it was marked, or may have been; the next `projectone sync` makes the server delete it"
)


class Corrections:
    """The ways by which something comes to be sent. Each is one transaction."""

    def __init__(
        self,
        database: Database,
        recordings: Recordings,
        outbox: Outbox,
        consent: ConsentLedger,
        offers: Offers,
        *,
        contributor_id: str,
        clock: Callable[[], datetime],
        learn: Callable[[uuid.UUID, str, str], tuple[str, ...]] = lambda sample_id, heard, corrected: (),
    ) -> None:
        self._database = database
        self._recordings = recordings
        self._outbox = outbox
        self._consent = consent
        self._offers = offers
        self._contributor_id = contributor_id
        self._clock = clock
        self._learn = learn

    def correct(self, recording_id: str, text: str, *, others_present: bool = False, seen: Seen | None = None) -> Kept:
        """Keep what was really said. The same again changes nothing; anything else replaces the first.

        Args:
            recording_id: Which recording.
            text: What was said; empty if nothing was. That is kept here, and never sent.
            others_present: Whether somebody else can be heard in it, who was not asked.
            seen: What whoever writes this had before them; not asked if not given.

        Raises:
            DataError: if there is no such recording, it was corrected otherwise meanwhile, or the text is none that a
                person could have said.
        """
        recording = self._recordings.find(recording_id)
        if text.strip():
            # What is too long to be sent is bounded by its length alone.
            is_long = recording.duration_s > MAX_CLIP_S
            text = clean_transcript(text, max_characters=_LONGEST_TEXT if is_long else MAX_TRANSCRIPT_CHARACTERS)
        else:
            text = ""
        with self._database.transaction():
            earlier = self._recordings.point_of(recording.recording_id)
            refuse_unseen(None if earlier is None else earlier.text, seen)
            if earlier is not None and (earlier.text, bool(earlier.others_present)) == (text, others_present):
                again = self._offers.again(earlier)
                if again is not None:
                    return again
            elif earlier is not None:
                self._outbox.withdraw_sample(earlier.sample_id)
            may_have_left = earlier is not None and self._may_have_left(earlier)
            point = FineTuningDataPoint(
                sample_id=uuid.uuid4(),
                recording_id=recording.recording_id,
                kind="correction",
                audio_sha256=recording.audio_sha256,
                duration_s=recording.duration_s,
                text=text,
                heard=recording.text,
                heard_by=recording.model_version,
                script_id=None,
                created_at=self._clock(),
                others_present=others_present,
            )
            self._recordings.add_point(point)
            learned = self._learn(point.sample_id, recording.text, text)
            if (others_present or not text) and earlier is not None and may_have_left:
                # This one is not sent in its place, and the server would go on training on the one before.
                self._outbox.take_back(earlier.sample_id)
                reason = _MARKED_TOO_LATE if others_present else _SILENT_TOO_LATE
                return Kept(point.sample_id, text, False, reason, learned=learned)
            return replace(self._offers.offer(point), learned=learned)

    def donate(
        self, clip: Clip, script_text: str, *, script_id: str | None = None, others_present: bool = False
    ) -> Kept:
        """Keep a script that was read aloud, and put it in line. The same again changes nothing.

        Args:
            clip: The recording.
            script_text: What was read.
            script_id: The script's name, if it has one.
            others_present: Whether somebody else can be heard in it, who was not asked.

        Raises:
            ConsentError: if the user has not agreed to donate: without it there is nothing to keep it for.
            DataError: if the clip is too long, the text is none a person could have said, or the name is none.
        """
        text = clean_transcript(script_text)
        self._consent.require("voice_donation")
        if script_id is not None and not is_name(script_id):
            raise DataError(
                "script-id",
                "script: expected a name of at most 96 letters, digits, dots, dashes and underscores, such as page-1, "
                f"got {script_id[:40]!r}",
            )
        if clip.duration_s > MAX_CLIP_S:
            raise DataError("clip-too-long", f"donation: expected at most {MAX_CLIP_S:g} s, got {clip.duration_s:.1f}")
        audio_sha256 = self._recordings.keep_audio(clip)
        with self._database.transaction():
            earlier = self._recordings.donation_of(audio_sha256, text)
            if earlier is not None:
                state = self._outbox.state_of(earlier.sample_id)
                if state != "withdrawn" and bool(earlier.others_present) == others_present:
                    refusal = self._outbox.refusal_of(earlier.sample_id)
                    return Kept(earlier.sample_id, text, refusal is None, refusal, is_again=True)
                if state != "withdrawn":  # with another mark: the server is not to go on with the first one
                    self._outbox.take_back(earlier.sample_id)
                self._recordings.take_back(earlier.sample_id)
            point = FineTuningDataPoint(
                sample_id=uuid.uuid4(),
                recording_id=None,
                kind="donation",
                audio_sha256=audio_sha256,
                duration_s=clip.duration_s,
                text=text,
                heard=None,
                heard_by=None,
                script_id=script_id,
                created_at=self._clock(),
                others_present=others_present,
            )
            self._recordings.add_point(point)
            return self._offers.offer(point)

    def grant(
        self, scope: ConsentScope, method: ConsentMethod, *, is_for_earlier: bool = False, is_adult: bool = True
    ) -> Granted:
        """Note that the user agreed to the present words.

        Args:
            scope: The purpose.
            method: How they were asked.
            is_for_earlier: Also send what was corrected before they agreed. Without it, that stays here.
            is_adult: What they said of themself.
        """
        with self._database.transaction():
            receipt = self._consent.grant(
                scope, contributor_id=self._contributor_id, method=method, now=self._clock(), is_adult=is_adult
            )
            if scope in KEPT_HERE:
                return Granted(receipt, 0)
            self._outbox.put(
                "consent", receipt.receipt_id, scope=scope, receipt_id=receipt.receipt_id, payload=receipt.to_bytes()
            )
            n_queued = (
                sum(self._offers.offer(point).is_queued for point in self.never_offered(scope))
                if (is_for_earlier)
                else 0
            )
            return Granted(receipt, n_queued)

    def withdraw(self, scope: ConsentScope) -> ConsentReceipt | None:
        """Take a consent back: what waits stays here, and the server is told to erase what it has.

        Returns:
            The receipt with its withdrawal; None if there was no consent.
        """
        with self._database.transaction():
            receipt = self._consent.withdraw(scope, now=self._clock())
            if receipt is None:
                return None
            if self._outbox.withdraw(receipt.receipt_id):
                # Kept in line like everything else, so that it arrives even if the server is out of reach today.
                self._outbox.put(
                    "withdrawal",
                    receipt.receipt_id,
                    scope=scope,
                    receipt_id=receipt.receipt_id,
                    payload=receipt.to_bytes(),
                )
            for sample_id in self._outbox.samples_under(receipt.receipt_id):
                self._recordings.mark_uploaded(sample_id, is_uploaded=False)
            return receipt

    def never_offered(self, scope: ConsentScope) -> list[FineTuningDataPoint]:
        """Data points for a purpose that were never in line: they were made before the user agreed.

        Without those that cannot be sent: what is too long, and where nothing was said.
        """
        return [
            point
            for point in self._recordings.points()
            if SCOPE_OF_KIND[point.kind] == scope
            and point.text
            and point.duration_s <= MAX_CLIP_S
            and self._outbox.state_of(point.sample_id) is None
        ]

    def _may_have_left(self, point: FineTuningDataPoint) -> bool:
        """Whether the server has it, or may have it, or will get it."""
        return self._outbox.state_of(point.sample_id) in ("waiting", "sending", "sent")
