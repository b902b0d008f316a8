"""One (audio, text) pair as it leaves a device."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from pydantic import Field

from projectone.contracts.audio import AudioClip
from projectone.contracts.base import Contract, Moment, Name
from projectone.contracts.consent import ConsentScope
from projectone.contracts.texts import MAX_TRANSCRIPT_CHARACTERS, Transcript
from projectone.contracts.versions import Family
from projectone.errors import DataError

SpeechKind = Literal["correction", "donation"]

SampleKind = Literal["correction", "donation", "intent"]

SCOPE_OF_KIND: dict[SampleKind, ConsentScope] = {
    "correction": "corrections",
    "donation": "voice_donation",
    "intent": "intents",
}
FAMILY_OF_KIND: dict[SampleKind, Family] = {"correction": "speech", "donation": "speech", "intent": "intents"}
"""Which models learn from it."""

FAMILIES_OF_SAMPLES: tuple[Family, ...] = tuple(dict.fromkeys(FAMILY_OF_KIND.values()))
"""Those that anybody sends anything for."""


class Sample(Protocol):
    """What every sample says of itself, whatever stands in its body: a payload, and what is learned from it."""

    @property
    def sample_id(self) -> UUID:
        """Its name, for ever."""

    @property
    def contributor_id(self) -> str:
        """Whose it is."""

    @property
    def kind(self) -> SampleKind:
        """What it is; says which consent it needs and which models learn from it."""

    @property
    def consent_receipt_id(self) -> UUID:
        """The consent it was given under."""

    @property
    def language(self) -> str:
        """Of the words."""

    @property
    def made_at(self) -> datetime:
        """When the person made it."""

    @property
    def payload_sha256(self) -> str:
        """Digest of the body that belongs to it."""

    @property
    def target(self) -> str:
        """What is learned from it: a transcript, or a label as `contracts.assist` writes one."""

    @property
    def guess(self) -> str | None:
        """What a model made of the payload; None where none was asked."""

    @property
    def guess_by(self) -> str | None:
        """Which model that was."""

    @property
    def accent(self) -> str | None:
        """As the person calls it, where there is a voice."""

    @property
    def script_id(self) -> str | None:
        """What it was read from, if it was."""

    def require_usable(self) -> None:
        """Refuse what may not be taken, whoever agreed to it."""

    def to_bytes(self) -> bytes:
        """Its canonical form."""


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
    kind: SpeechKind
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

    @property
    def payload_sha256(self) -> str:
        """Digest of the recording as it is sent."""
        return self.audio.sha256

    @property
    def target(self) -> str:
        """The transcript."""
        return self.text

    @property
    def guess(self) -> str | None:
        """What the model heard."""
        return self.heard

    @property
    def guess_by(self) -> str | None:
        """Which model that was."""
        return self.heard_by

    @property
    def made_at(self) -> datetime:
        """When it was recorded."""
        return self.recorded_at

    def require_usable(self) -> None:
        """Nothing of minors, and nothing in which a third person can be heard, who was never asked.

        Raises:
            DataError: ``voice-minor`` or ``voice-others``.
        """
        if self.is_adult is False:
            raise DataError("voice-minor", "recordings of minors are not taken: their guardians were not asked")
        if self.others_present:
            raise DataError("voice-others", "somebody else can be heard, who was not asked: it is not taken")
