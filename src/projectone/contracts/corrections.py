"""One (audio, text) pair as it leaves a device."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from projectone.contracts.audio import AudioClip
from projectone.contracts.base import Contract, Moment, Name
from projectone.contracts.consent import ConsentScope
from projectone.contracts.texts import MAX_TRANSCRIPT_CHARACTERS, Transcript
from projectone.errors import DataError

SampleKind = Literal["correction", "donation"]

SCOPE_OF_KIND: dict[SampleKind, ConsentScope] = {"correction": "corrections", "donation": "voice_donation"}


class Correction(Contract):
    """A recording and the text a person says it holds: the design's `FineTuningDataPoint`.

    `heard` is what the model made of it, and which model that was: evidence about the correction. A donation was
    read from a script, so nothing was heard.

    `is_adult` is what the person said of themself when they consented, `others_present` whether they marked that
    somebody else can be heard; None where an older device did not ask.
    """

    schema_version: Literal[1] = 1
    sample_id: UUID
    contributor_id: Name
    kind: SampleKind
    audio: AudioClip
    text: Transcript
    heard: str | None = Field(default=None, max_length=MAX_TRANSCRIPT_CHARACTERS)
    heard_by: str | None = Field(default=None, max_length=96)
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}$")
    accent: str | None = Field(default=None, max_length=96)
    script_id: Name | None = None
    is_adult: bool | None = None
    others_present: bool | None = None
    consent_receipt_id: UUID
    recorded_at: Moment

    def require_usable_voices(self) -> None:
        """Nothing of minors, and nothing in which a third person can be heard, who was never asked.

        Raises:
            DataError: ``voice-minor`` or ``voice-others``.
        """
        if self.is_adult is False:
            raise DataError("voice-minor", "recordings of minors are not taken: their guardians were not asked")
        if self.others_present:
            raise DataError("voice-others", "somebody else can be heard, who was not asked: it is not taken")
