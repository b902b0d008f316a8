"""One (sentence, intent) pair as it leaves a device: what somebody said, as text, and what they meant by it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from projectone.contracts.base import Contract, Moment, Name, sha256_hex
from projectone.contracts.texts import clean_transcript
from projectone.errors import DataError

MAX_UTTERANCE_CHARACTERS: Final = 500
MAX_LABEL_CHARACTERS: Final = 96
UTTERANCE_MEDIA_TYPE: Final = "text/plain; charset=utf-8"

NONE_OF_THESE: Final = "(none of these)"
"""What stands in the place of a label where none fits. No label begins with a bracket, so it is taken for none."""


def sure_shown(probability: float) -> str:
    """How sure a model is, as a person reads it: ``93 %``; never a certainty, of which it has none.

    Args:
        probability: From 0 to 1.
    """
    return f"{min(max(round(100 * probability), 1), 99)} %"


def clean_utterance(text: str) -> str:
    """`text` as a sentence that may be sent: the policy of transcripts, and shorter.

    Raises:
        DataError: as `clean_transcript`.
    """
    return clean_transcript(text, max_characters=MAX_UTTERANCE_CHARACTERS)


def clean_label(text: str) -> str:
    """`text`, if it can be the name of an intent: clean as it stands, and begun with a letter or a digit.

    Raises:
        DataError: ``label``, or a reason of `clean_transcript`.
    """
    if clean_transcript(text, max_characters=MAX_LABEL_CHARACTERS) != text or not text[0].isalnum():
        raise DataError("label", "label: expected a name that begins with a letter or a digit, with single spaces")
    return text


def _utterance(text: str) -> str:
    try:
        return clean_utterance(text)
    except DataError as error:  # pydantic turns ValueError into its own report
        raise ValueError(str(error)) from error


def _label(text: str) -> str:
    try:
        return clean_label(text)
    except DataError as error:
        raise ValueError(str(error)) from error


Utterance = Annotated[str, Field(max_length=MAX_UTTERANCE_CHARACTERS), AfterValidator(_utterance)]
"""A sentence that passed the policy."""

Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARACTERS), AfterValidator(_label)]
"""The name of an intent."""


def as_target(label: str | None) -> str:
    """A label as samples keep it, where a text is expected."""
    return NONE_OF_THESE if label is None else label


def label_of(target: str) -> str | None:
    """The label that a sample keeps; None for none of these."""
    return None if target == NONE_OF_THESE else target


class IntentCorrection(Contract):
    """A sentence and what its speaker says they meant by it.

    It is a sample like any other: the sentence is sent as the body, in the place of a clip, and stands here too so that
    the two can be compared; the label is what is learned, in the place of a transcript.

    Attributes:
        text: The sentence. The body of the request is its UTF-8 bytes.
        label: The intent that the person chose; None where none of them fits.
        guessed: What the classifier took it for; None for none of these.
        guessed_by: Version of that classifier; None where there was none.
        is_adult: What the person said of themself when they consented.
    """

    schema_version: Literal[1] = 1
    kind: Literal["intent"] = "intent"
    sample_id: UUID
    contributor_id: Name
    text: Utterance
    label: Label | None
    guessed: Label | None = None
    guessed_by: str | None = Field(default=None, max_length=96)
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}$")
    is_adult: bool | None = None
    consent_receipt_id: UUID
    corrected_at: Moment

    @property
    def payload(self) -> bytes:
        """The body that belongs to it."""
        return self.text.encode()

    @property
    def payload_sha256(self) -> str:
        """Digest of that body."""
        return sha256_hex(self.payload)

    @property
    def target(self) -> str:
        """What is learned from it."""
        return as_target(self.label)

    @property
    def guess(self) -> str | None:
        """What a model made of it; None where none was asked."""
        return None if self.guessed is None and self.guessed_by is None else as_target(self.guessed)

    @property
    def guess_by(self) -> str | None:
        """Which model that was."""
        return self.guessed_by

    @property
    def accent(self) -> None:
        """A text has none."""

    @property
    def script_id(self) -> None:
        """Nobody was asked to say it."""

    @property
    def made_at(self) -> datetime:
        """When the person corrected it."""
        return self.corrected_at

    def require_usable(self) -> None:
        """Nothing of minors.

        Raises:
            DataError: ``minor``.
        """
        if self.is_adult is False:
            raise DataError("minor", "sentences of minors are not taken: their guardians were not asked")
