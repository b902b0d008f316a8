"""What a datasheet says of recordings, and what it says of sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from projectone.contracts.versions import Family


@dataclass(frozen=True, kw_only=True)
class Wording:
    """The words of one family.

    Attributes:
        purpose: After "The dataset was made to".
        picture: What the picture shows.
        instance: What one sample is.
        guessed: What a model did with a sample before it was corrected.
        care: What may be done with the samples that nobody agreed to, and how wrong they may be.
        preparation: What was done to them, and what was left out.
        limits: After "Nothing else is:".
    """

    purpose: str
    picture: str
    instance: str
    guessed: str
    care: str
    preparation: str
    limits: str


WORDINGS: Final[Mapping[Family, Wording]] = {
    "speech": Wording(
        purpose="fine-tune a speech model on what the people who use it say and how they say it. It holds what they "
        "corrected, or read aloud for this purpose",
        picture="Hours by accent, samples by length, and words",
        instance="An instance is one recording of one person, 16 kHz mono PCM, and the text that the person says it "
        "holds.",
        guessed="heard",
        care="Voices are biometric data: whoever holds the recordings can recognise people by them. Age, sex and "
        "health are not asked. Errors: a text is what a person says it is; nobody else has listened to each one.",
        preparation="Recordings are decoded, mixed to one channel, resampled to 16 kHz and kept as 16-bit PCM; the "
        "files as they were sent are not kept. Silence, clipping, damaged sound, recordings without speech, texts that "
        "are too long for their sound or hold what no text should, and clips of the golden set were left out, each "
        "with its reason",
        limits="not recognising who speaks, not cloning a voice, not guessing age, health or mood. Accents and words "
        "are those of this operator's people; error rates on others may be higher.",
    ),
    "intents": Wording(
        purpose="teach a small classifier what the people who use it mean. It holds sentences whose meaning they "
        "corrected",
        picture="Sentences by label and by language",
        instance="An instance is one sentence of one person, as text without sound, and the intent that the person "
        "says it has, or none of these.",
        guessed="took it for",
        care="Sentences can tell who said them by what they are about. Names, age, sex and health are not asked. "
        "Errors: a label is what a person chose; nobody else has looked at each one.",
        preparation="Sentences are kept as they passed the policy. What is taught by no label here, sentences that say "
        "again what another one says, and golden sentences were left out; what people disagreed about, and what seemed "
        "to hold personal data, waited for a person; each with its reason",
        limits="not finding out who said a sentence, not guessing age, health or mood. Sentences and labels are those "
        "of this operator's people; error rates on others may be higher.",
    ),
}
