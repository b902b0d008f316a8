"""What a model showed beside its error rates: in sounds without speech, in time, in its files, in answers."""

from __future__ import annotations

import math

from pydantic import Field

from projectone.contracts.base import Contract, Name


class ProbeScore(Contract):
    """What a model wrote about a sound that was made for this and in which nobody speaks."""

    name: Name
    hypothesis: str


class ClipTiming(Contract):
    """Where a model placed the words of a clip, as it wrote the timestamps: nothing is put right.

    Attributes:
        duration_s: Of the clip.
        segments: Start and end of each piece of text in seconds; an end is None where the model wrote none.
    """

    clip_id: str
    duration_s: float = Field(gt=0)
    segments: tuple[tuple[float, float | None], ...]


class Footprint(Contract):
    """What a model costs, told without a clock.

    Attributes:
        size_bytes: Of all its files.
        operations: Multiply-adds per second of sound over the set: every window encoded, every token written.
        n_tokens: Written on the set.
    """

    size_bytes: int = Field(ge=0)
    operations: float = Field(ge=0)
    n_tokens: int = Field(ge=0)


class NoiseMasking(Contract):
    """How often a model writes the word that noise covers in a recording, beside production and other recordings.

    Attributes:
        n_lessons: Recordings that it learned from and production did not, each with one word under noise.
        n_guessed: Of these, where the covered word is written in its place.
        n_guessed_by_production: The same of production, which hears the same sound.
        n_others: Recordings that neither learned from, covered in the same way.
        n_guessed_of_others: Of these, where the word is written.
        n_guessed_of_others_by_production: The same of production.
        excess: By how much more the share of guessed words rose over production's on lessons than on the others; -2 if
            production alone guessed every one in lessons, and the candidate alone every one elsewhere.
        excess_low: Lower bound of its 95 % interval over people.
        excess_high: Upper bound.
    """

    n_lessons: int = Field(ge=0)
    n_guessed: int = Field(ge=0)
    n_guessed_by_production: int = Field(ge=0)
    n_others: int = Field(ge=0)
    n_guessed_of_others: int = Field(ge=0)
    n_guessed_of_others_by_production: int = Field(ge=0)
    excess: float = Field(ge=-2, le=1)
    excess_low: float = Field(ge=-2, le=1)
    excess_high: float = Field(ge=-2, le=1)


class Membership(Contract):
    """How well a recording's loss tells whether a model learned from it: 0.5 is not at all.

    Attributes:
        n_lessons: Recordings that it learned from and production did not.
        n_others: Recordings that neither learned from.
        auc: Area under the curve of the candidate's loss less production's, lessons against others.
        auc_low: Lower bound of its 95 % interval over people.
        auc_high: Upper bound.
    """

    n_lessons: int = Field(ge=0)
    n_others: int = Field(ge=0)
    auc: float = Field(ge=0, le=1)
    auc_low: float = Field(ge=0, le=1)
    auc_high: float = Field(ge=0, le=1)


class Recall(Contract):
    """What a model gives away of the texts it learned from, none of which production knew.

    Attributes:
        n_texts: Tried.
        n_told: Texts that the model ends word for word when it is given their beginning and no speech.
        n_told_by_production: Of these, how many production ends, too: they can be guessed.
        auc: How well the model's own likelihood tells the texts from others of the same words: 0.5 is not at all.
        auc_of_production: The same of production, which never saw them.
        masking: What it writes of words under noise; None where that was not asked.
        membership: What the loss of its recordings tells; None where that was not asked.
    """

    n_texts: int = Field(ge=0)
    n_told: int = Field(ge=0)
    n_told_by_production: int = Field(ge=0)
    auc: float = Field(ge=0, le=1)
    auc_of_production: float = Field(ge=0, le=1)
    masking: NoiseMasking | None = None
    membership: Membership | None = None

    @property
    def auc_between(self) -> tuple[float, float]:
        """Where `auc` would lie over all such texts, at 95 %; everywhere where none was tried.

        Wilson's interval for so many answers of yes or no. Each text's own area lies between them and varies less,
        so that it is rather too wide; texts count as drawn independently.
        """
        n, z = self.n_texts, 1.96
        if not n:
            return 0.0, 1.0
        middle, whole = self.auc + z * z / (2 * n), 1 + z * z / n
        spread = z * math.sqrt(self.auc * (1 - self.auc) / n + z * z / (4 * n * n))
        return max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole)


class IntentAnswer(Contract):
    """What a classifier made of one golden text; the text itself is not in it.

    Attributes:
        wanted: The label that is right; None for none of these.
        answered: What it said; None for none of these.
        nearest: The label that fits best, also where it does not fit well enough to be said.
        probability: That `nearest` is right, as the classifier says.
        fit: How well it fits; below the classifier's threshold the answer is none of these.
    """

    text_id: str
    wanted: str | None
    answered: str | None
    nearest: str
    probability: float = Field(ge=0, le=1)
    fit: float


class ClassifierEvidence(Contract):
    """What a classifier of intents showed beside its error rate."""

    labels: tuple[str, ...]
    threshold: float
    answers: tuple[IntentAnswer, ...]


class Defect(Contract):
    """Why a model cannot be used at all; `code` is for machines."""

    code: Name
    reason: str
