"""What a person allowed, in which words, and when they took it back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import Field

from projectone.contracts.base import Contract, Moment, Name

ConsentScope = Literal["corrections", "voice_donation", "evaluation", "quality", "intents", "hosted_answers"]
"""One purpose each: learn from my corrections; learn from scripts I read aloud; keep clips to judge models; tell once a
week in one class of eight how well the models do; learn from what I say I meant; let a server answer what I ask."""

CONSENT_SCOPES: tuple[ConsentScope, ...] = (
    "corrections",
    "voice_donation",
    "evaluation",
    "quality",
    "intents",
    "hosted_answers",
)

KEPT_HERE: frozenset[ConsentScope] = frozenset({"quality", "hosted_answers"})
"""Consents that no server is told of: what is sent under them names nobody, and a receipt would."""


BACKUPS_DAYS = 30
"""Backups of what was erased last no longer than this: the words promise it, whoever runs a server keeps it."""

KEY_BACKUPS_DAYS = 7
"""Backups of the keys last no longer than this: with them a backup opens what was erased since."""

RETRAIN_DAYS = 90
"""A model that learned from what was erased is replaced by one that did not, at the latest after this time."""


class ConsentText(Contract):
    """The words a person was shown for one purpose. A changed word is a new version; no version is ever taken away.

    Attributes:
        since: The day, in UTC, from which people are asked in these words.
        text: What the person read.
        backups_days: How long after a withdrawal backups may last; None where the words name no time.
        retrain_days: How long after it a model that learned from the samples may be in use; None as above.
    """

    scope: ConsentScope
    version: int = Field(ge=1)
    since: date
    text: str
    backups_days: int | None = None
    retrain_days: int | None = None


# Part of words that somebody agreed to: a change here is a new version of both.
_PEOPLE = (
    "Whoever agrees to this is an adult, or says that they are not. Recordings in which somebody else can be heard are "
    "marked as such. Recordings of minors, and those marked, are not trained on."
)
_PROMISE = (
    f"Backups that hold them are gone {BACKUPS_DAYS} days later, and a model that learned from them is replaced within "
    f"{RETRAIN_DAYS} days."
)

CONSENT_WORDS: tuple[ConsentText, ...] = (
    ConsentText(
        scope="corrections",
        version=1,
        since=date(2026, 11, 21),
        text=(
            "When I correct a transcript, send that recording and my corrected text to our own servers, "
            "where they are used to train the speech model. Nothing else leaves this device. "
            "Your recordings stay linked to a random number, not to your name, so that they can be found and deleted. "
            "You can withdraw at any time: your samples are then deleted, and models trained later do not use them."
        ),
    ),
    ConsentText(
        scope="voice_donation",
        version=1,
        since=date(2026, 11, 21),
        text=(
            "When I read a script aloud as a donation, send that recording and the script to our own servers, "
            "where they are used to train the speech model. You can withdraw at any time."
        ),
    ),
    ConsentText(
        scope="evaluation",
        version=1,
        since=date(2026, 11, 21),
        text=(
            "Keep some of the samples I send to measure whether a new model is better than the old one, "
            "instead of training on them. You can withdraw at any time."
        ),
    ),
    ConsentText(
        scope="corrections",
        version=2,
        since=date(2026, 11, 21),
        text=(
            "When I correct a transcript, send that recording, what the model heard in it and my corrected text to our "
            "own servers, where they are used to train the speech model. Nothing else leaves this device. "
            "Your recordings stay linked to a random number, not to your name, so that they can be found and deleted. "
            f"{_PEOPLE} You can withdraw at any time: your samples are then deleted, and models trained later do not "
            f"use them. {_PROMISE}"
        ),
        backups_days=BACKUPS_DAYS,
        retrain_days=RETRAIN_DAYS,
    ),
    ConsentText(
        scope="voice_donation",
        version=2,
        since=date(2026, 11, 21),
        text=(
            "When I read a script aloud as a donation, send that recording, the script and its number to our own "
            "servers, where they are used to train the speech model. "
            "Your recordings stay linked to a random number, not to your name, so that they can be found and deleted. "
            f"{_PEOPLE} You can withdraw at any time: your donations are then deleted, and models trained later do not "
            f"use them. {_PROMISE}"
        ),
        backups_days=BACKUPS_DAYS,
        retrain_days=RETRAIN_DAYS,
    ),
    ConsentText(
        scope="quality",
        version=1,
        since=date(2026, 11, 22),
        text=(
            "Once a week, let this device answer one question about how well the model hears here. The question is "
            "drawn: how sure the model was, how much its text repeated itself, whether it found speech, how long a "
            "recording was, how far speech stood out from noise, how many words I corrected, or how long it took. The "
            "answer is one of eight classes, for one recording of that week, which is drawn too. A coin decides "
            "whether the true class is sent or any of the eight, so nobody can know which it was. The week, the "
            "model's version and size and this app's version go with it; no sound, no text, no name and no device. "
            "While I allow this, recordings are counted in these classes on this device, for eight weeks. You can "
            "withdraw at any time: what was counted is then deleted here. What was sent bears nothing by which it "
            "could be found again, so it stays in the sums."
        ),
    ),
    ConsentText(
        scope="quality",
        version=2,
        since=date(2026, 11, 22),
        text=(
            "Once a week, let this device answer one question about how well its models do here. The question is "
            "drawn. Of what was heard: how sure the model was, how much its text repeated itself, whether it found "
            "speech, how long a recording was, how far speech stood out from noise, how many words I corrected, or how "
            "long it took. Of what was understood, where a small model for that is installed: how well a sentence "
            "fitted, how sure the model was, in which of eight parts of all sentences it lay, whether I corrected what "
            "was understood, why a first reply was chosen, who answered, or how long it took. The "
            "answer is one of eight classes, for one recording or sentence of that week, which is drawn too. A coin "
            "decides whether the true class is sent or any of the eight, so nobody can know which it was. The week, "
            "the model's version and size and this app's version go with it; no sound, no text, no name and no device. "
            "While I allow this, recordings and sentences are counted in these classes on this device, for eight "
            "weeks. You can "
            "withdraw at any time: what was counted is then deleted here. What was sent bears nothing by which it "
            "could be found again, so it stays in the sums."
        ),
    ),
    ConsentText(
        scope="quality",
        version=3,
        since=date(2026, 11, 22),
        text=(
            "Once a week, let this device answer one question about how well its models do here. The question is "
            "drawn. Of what was heard: how sure the model was, how much its text repeated itself, whether it found "
            "speech, how long a recording was, how far speech stood out from noise, how many words I corrected, or how "
            "long it took. Of what was understood, where a small model for that is installed: how well a sentence "
            "fitted, how sure the model was, in which of eight parts of all sentences it lay, whether I corrected what "
            "was understood, how many of the week's sentences I corrected, why a first reply was chosen, who "
            "answered, or how long it took. The answer is one of eight classes, for one recording or sentence of that "
            "week, which is drawn too, or for all its sentences together. A coin decides whether the true class is "
            "sent or any of the eight, so nobody can know which it was. The week, the model's version and size and "
            "this app's version go with it; no sound, no text, no name and no device. While I allow this, recordings "
            "and sentences are counted in these classes on this device, for eight weeks. You can withdraw at any "
            "time: what was counted is then deleted here. What was sent bears nothing by which it could be found "
            "again, so it stays in the sums."
        ),
    ),
    ConsentText(
        scope="quality",
        version=4,
        since=date(2026, 11, 22),
        text=(
            "Once a week, let this device answer one question about how well its models do here. The question is "
            "drawn. Of what was heard: how sure the model was, how much its text repeated itself, whether it found "
            "speech, how long a recording was, how far speech stood out from noise, how many words I corrected, or how "
            "long it took. Of what was understood, where a small model for that is installed: how well a sentence "
            "fitted, how sure the model was, in which of eight parts of all sentences it lay, whether I corrected what "
            "was understood, how many of the week's sentences I corrected, why a first reply was chosen, who "
            "answered, or how long it took. Of what was read for safety, where a small model for that is installed: "
            "whether it warned of a text, of how many of the week's texts it warned, how likely a text was harmful to "
            "it, or how long it took. The answer is one of eight classes, for one recording, sentence or text of that "
            "week, which is drawn too, or for all of them together. A coin decides whether the true class is sent or "
            "any of the eight, so nobody can know which it was. The week, the model's version and size and "
            "this app's version go with it; no sound, no text, no name and no device. While I allow this, recordings, "
            "sentences and texts are counted in these classes on this device, for eight weeks. You can withdraw at any "
            "time: what was counted is then deleted here. What was sent bears nothing by which it could be found "
            "again, so it stays in the sums."
        ),
    ),
    ConsentText(
        scope="intents",
        version=1,
        since=date(2026, 11, 22),
        text=(
            "When I correct what this app took me to mean, send that sentence as text, what the app took it for and "
            "the meaning that I chose to our own servers, where they are used to train the small model that says what "
            "was meant. No sound goes with it. Your sentences stay linked to a random number, not to your name, so "
            "that they can be found and deleted. Whoever agrees to this is an adult, or says that they are not. "
            "Sentences of minors are not trained on. You can withdraw at any time: your sentences are then deleted, "
            f"and models trained later do not use them. {_PROMISE}"
        ),
        backups_days=BACKUPS_DAYS,
        retrain_days=RETRAIN_DAYS,
    ),
    ConsentText(
        scope="hosted_answers",
        version=1,
        since=date(2026, 11, 22),
        text=(
            "When I ask for an answer in words and this device has none of its own, send the question to the server "
            "that is set here (PROJECTONE_ANSWERS_URL). Before it leaves, e-mail addresses, numbers, dates, streets "
            "and the names that are found are replaced by marks, and put back into the answer here. A name that is "
            "written small and not known to this device can be missed. No sound, nothing that was remembered and no "
            "name of this device goes with it. Every question that left is listed here as it left, for 30 days. You "
            "can withdraw at any time: nothing more leaves, and that list is deleted here. What a server has read, "
            "only whoever runs it can delete."
        ),
    ),
)
"""Every text that anybody ever agreed to, so that a receipt can always print its own."""


def newest_words(words: Iterable[ConsentText]) -> dict[ConsentScope, ConsentText]:
    """For each purpose the text that is shown now."""
    return {text.scope: text for text in sorted(words, key=lambda text: text.version)}


CONSENT_TEXTS: dict[ConsentScope, ConsentText] = newest_words(CONSENT_WORDS)
"""The texts that people are asked to agree to today."""


def words_of(scope: ConsentScope, version: int) -> ConsentText | None:
    """The words a receipt was given under; None if they are newer than this program."""
    return next((text for text in CONSENT_WORDS if (text.scope, text.version) == (scope, version)), None)


class ConsentReceipt(Contract):
    """Who allowed what, under which text, when and how; and when it was withdrawn, if it was."""

    schema_version: Literal[1] = 1
    receipt_id: UUID
    contributor_id: Name
    scope: ConsentScope
    text_version: int = Field(ge=1)
    method: Literal["cli", "web", "demo"]
    granted_at: Moment
    withdrawn_at: Moment | None = None
