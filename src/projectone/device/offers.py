"""What a person gave is put in line to be sent, if they agreed: a recording and its words, a text and its meaning."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from projectone.contracts.assist import IntentCorrection, label_of
from projectone.contracts.audio import MAX_CLIP_S, MODEL_SAMPLE_RATE_HZ, AudioClip
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.corrections import SCOPE_OF_KIND, Correction
from projectone.contracts.texts import clean_transcript
from projectone.device.consent import ConsentLedger
from projectone.device.outbox import Outbox
from projectone.device.recordings import FineTuningDataPoint, Recordings
from projectone.errors import ConsentError, DataError

NOTHING_SAID = "that nothing was said is not sent; a server takes sounds with words alone"


@dataclass(frozen=True)
class Kept:
    """A data point is on this device. `is_queued` says whether it will be sent; `reason` why not.

    `is_again` says that it was here before; `learned` which names and words this device minds from now on.
    """

    sample_id: uuid.UUID
    text: str
    is_queued: bool
    reason: str | None = None
    is_again: bool = False
    learned: tuple[str, ...] = ()


class Offers:
    """Puts data points in line. Inside the transaction of whoever keeps them."""

    def __init__(
        self, recordings: Recordings, outbox: Outbox, consent: ConsentLedger, *, contributor_id: str, language: str
    ) -> None:
        self._recordings = recordings
        self._outbox = outbox
        self._consent = consent
        self._contributor_id = contributor_id
        self._language = language

    def offer(self, point: FineTuningDataPoint) -> Kept:
        """Put a data point in line, or say why it stays here."""
        scope = SCOPE_OF_KIND[point.kind]
        if not point.text:
            return Kept(point.sample_id, "", False, NOTHING_SAID)
        try:
            receipt = self._consent.require(scope)
        except ConsentError as error:
            return Kept(point.sample_id, point.text, False, str(error))
        if point.duration_s > MAX_CLIP_S:
            reason = f"only recordings of at most {MAX_CLIP_S:g} s are sent, this one has {point.duration_s:.1f}"
            return Kept(point.sample_id, point.text, False, reason)
        letter = self._intent(point, receipt) if point.kind == "intent" else self._correction(point, receipt)
        self._outbox.put(
            "sample",
            point.sample_id,
            scope=scope,
            receipt_id=receipt.receipt_id,
            payload=letter.to_bytes(),
            audio_sha256=point.audio_sha256,
        )
        try:
            letter.require_usable()
        except DataError as error:  # the server would refuse it too, but it would have been sent for nothing
            self._outbox.keep_here(point.sample_id, reason=error.reason, detail=str(error))
            return Kept(point.sample_id, point.text, False, str(error))
        return Kept(point.sample_id, point.text, True)

    def again(self, earlier: FineTuningDataPoint) -> Kept | None:
        """The same is given once more: what becomes of the first; None if that was withdrawn, and a new one is due."""
        state = self._outbox.state_of(earlier.sample_id)
        if state is None:
            return self.offer(earlier)
        if state == "withdrawn":
            return None
        refusal = self._outbox.refusal_of(earlier.sample_id)
        return Kept(earlier.sample_id, earlier.text, refusal is None, refusal)

    def _correction(self, point: FineTuningDataPoint, receipt: ConsentReceipt) -> Correction:
        assert point.kind != "intent", "a text is no recording"
        return Correction(
            sample_id=point.sample_id,
            contributor_id=self._contributor_id,
            kind=point.kind,
            audio=AudioClip(
                sha256=point.audio_sha256,
                size_bytes=len(self._recordings.audio(point.audio_sha256)),
                sample_rate_hz=MODEL_SAMPLE_RATE_HZ,
                duration_s=point.duration_s,
            ),
            text=point.text,
            heard=_as_evidence(point.heard),
            heard_by=point.heard_by,
            language=self._language,
            script_id=point.script_id,
            is_adult=self._consent.is_adult(receipt.receipt_id),
            others_present=point.others_present,
            consent_receipt_id=receipt.receipt_id,
            recorded_at=point.created_at,
        )

    def _intent(self, point: FineTuningDataPoint, receipt: ConsentReceipt) -> IntentCorrection:
        return IntentCorrection(
            sample_id=point.sample_id,
            contributor_id=self._contributor_id,
            text=point.utterance or "",
            label=label_of(point.text),
            guessed=None if point.heard is None else label_of(point.heard),
            guessed_by=point.heard_by,
            language=self._language,
            is_adult=self._consent.is_adult(receipt.receipt_id),
            consent_receipt_id=receipt.receipt_id,
            corrected_at=point.created_at,
        )


def _as_evidence(heard: str | None) -> str | None:
    """What the model heard, if a server may be shown it: a model can write what no person could have said.

    That must not cost the correction, so such a text is left out.
    """
    if not heard:
        return heard
    try:
        return clean_transcript(heard)
    except DataError:
        return None
