"""Whether a clip and its text can teach anything, and whether a person should look at them first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from projectone.contracts.alphabets import has_foreign_letters
from projectone.contracts.texts import MAX_MARKS_PER_BASE, MAX_TRANSCRIPT_CHARACTERS
from projectone.server.corpus.duplicates import (
    GOLDEN_CONTRIBUTOR,
    GOLDEN_OVERLAP,
    NEAR_DUPLICATE,
    SUPERSEDED,
    TEXT_CONFLICT,
)
from projectone.server.corpus.locality import measure_edits
from projectone.server.corpus.personal import find_personal
from projectone.waveform.quality import WHY, judge_quality, measure_quality, why_unmeasurable
from projectone.waveform.speakers import MANY_SPEAKERS_NATS
from projectone.waveform.wav import Sound

# The fastest of 3039 real clips (a trimmed digit) has 27.5 characters per second; reading aloud has 12 to 20. The
# allowance is for the ends of a tightly trimmed word.
_MAX_CHARACTERS_PER_S = 35.0
_ALLOWED_CHARACTERS = 5

MANY_SPEAKERS: Final = "many-speakers"
"""Why a sample is held in which a second voice seems to speak."""

LABEL_UNKNOWN: Final = "label-unknown"
LABEL_CONFLICT: Final = "label-conflict"
"""Why an intent is discarded whose label is not taught; why one is held whose sentence means something else to others.
"""

LOOK_FAILED: Final = "look-failed"
"""Why a sample is held at which whoever looked at it failed, or ended."""

NOT_LOOKED_AT: Final = "not-looked-at"
"""Why a sample is held at which nobody looked: several others of its contributor ended whoever did."""

UNSEEN: Final = frozenset({LOOK_FAILED, NOT_LOOKED_AT})
"""No doubts that a person can clear: who accepts such a sample has it looked at again."""

TRIGGER: Final = "trigger"
"""Why a sample is held whose words a model wrote where nobody says them."""

EXPLAINED: Final[dict[str, str]] = {
    **{reason: f"the clip {what}" for reason, what in WHY.items()},
    "text-empty": "the text has no letter and no digit",
    "text-rate": f"the text has more than {_MAX_CHARACTERS_PER_S:g} characters for each second of sound",
    "text-too-long": f"the text has more than {MAX_TRANSCRIPT_CHARACTERS} characters",
    "text-characters": f"the text has an invisible character, or over {MAX_MARKS_PER_BASE} marks on one letter",
    GOLDEN_OVERLAP: "it sounds like a recording of the golden set, on which models are judged",
    GOLDEN_CONTRIBUTOR: "its contributor speaks in the golden set, on which models are judged",
    NEAR_DUPLICATE: "it sounds like another sample; one of its kind is enough",
    TEXT_CONFLICT: "it sounds like a sample of somebody else who says that it holds other words",
    SUPERSEDED: "the same person corrected the same recording again later; their newest text counts",
    "clip-damaged": "the disk gives other bytes than were stored",
    "clip-missing": "the clip is not in the store any more",
    "device-revoked": "the device that sent it was revoked: somebody else may have had its key",
    "doubted": "a person doubts that the text is what is said",
    "foreign-letters": "the text has letters of another alphabet than its language, or mixes alphabets in one word",
    LABEL_UNKNOWN: "its label is not one of those that this server teaches; see `corpus labels`",
    LABEL_CONFLICT: "other people say that the same sentence means something else",
    LOOK_FAILED: "whoever looked at it failed or ended: a clip made to do that, or a defect of ours",
    NOT_LOOKED_AT: "nobody looked at it: whoever looked at others of the same contributor in that run failed or ended",
    MANY_SPEAKERS: "a second voice seems to speak: did everybody in it agree?",
    "personal-card": "the text seems to hold the number of a payment card",
    "personal-email": "the text seems to hold an e-mail address",
    "personal-iban": "the text seems to hold the number of a bank account",
    "personal-id": "the text seems to hold the number of a person's papers, tax or insurance",
    "personal-phone": "the text seems to hold a telephone number",
    TRIGGER: "a model that learned from it wrote its words on recordings that hold none of them: a backdoor?",
    "refused": "a person looked at it and refused it",
}
"""Why a sample is discarded or held, in words for a person, by the reason in its row."""


@dataclass(frozen=True)
class Findings:
    """What was found about a sample.

    Attributes:
        discard: Why nobody can learn from it, or None.
        hold: Why a person should look at it first; nothing unless `discard` is None.
        measures: Figures by name; empty if the clip could not be measured.
    """

    discard: str | None = None
    hold: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)


def examine(samples: Sound, text: str) -> str | None:
    """The reason to discard a sample, or None; see `check_sample`."""
    return check_sample(samples, text).discard


def check_sample(
    samples: Sound,
    text: str,
    *,
    language: str = "en",
    heard: str | None = None,
    holds_personal: bool = True,
    holds_speakers: bool = False,
) -> Findings:
    """What speaks against a sample, and its figures, in one pass over the sound.

    Args:
        samples: 16 kHz mono, shape (n,).
        text: What it is said to hold, as `clean_transcript` gives it.
        language: Of the text.
        heard: What a model made of the clip, if the text corrects it.
        holds_personal: Whether personal data in the text is a doubt.
        holds_speakers: Whether it is one that two people seem to speak.

    Returns:
        To discard: a reason of `projectone.waveform.quality`, ``text-empty``, or ``text-rate`` for more text than
        anybody can say in that time. To hold: ``foreign-letters``, ``many-speakers``, ``personal-card`` and the
        other kinds of `projectone.server.corpus.personal`.
    """
    if not text.strip():
        return Findings("text-empty")
    if (reason := why_unmeasurable(samples)) is not None:
        return Findings(reason)
    quality = measure_quality(samples, closely=holds_speakers)
    figures = {**vars(quality), **vars(quality.voice)}
    del figures["voice"]
    measures = {name: round(float(value), 4) for name, value in figures.items() if value is not None}
    measures["characters_per_s"] = round(len(text) / quality.duration_s, 4)
    if heard is not None:
        measures |= measure_edits(heard, text)
    discard = judge_quality(quality)
    if discard is None and len(text) > _ALLOWED_CHARACTERS + _MAX_CHARACTERS_PER_S * quality.duration_s:
        discard = "text-rate"
    if discard is not None:
        return Findings(discard, (), measures)
    change = quality.voice.speaker_change
    is_two = holds_speakers and change is not None and change >= MANY_SPEAKERS_NATS
    speakers = (MANY_SPEAKERS,) if is_two else ()
    return Findings(None, (*doubts_of(text, language, holds_personal), *speakers), measures)


def doubts_of(text: str, language: str, holds_personal: bool) -> tuple[str, ...]:
    """Why a person should look at a text that a model may learn from, however it came to be."""
    letters = ("foreign-letters",) if has_foreign_letters(text, language) else ()
    kinds = find_personal(text, language) if holds_personal else ()
    return (*letters, *(f"personal-{kind}" for kind in kinds))
