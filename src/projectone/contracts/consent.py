"""What a person allowed, in which words, and when they took it back."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from projectone.contracts.base import Contract, Moment, Name

ConsentScope = Literal["corrections", "voice_donation", "evaluation"]
"""One purpose each: learn from my corrections; learn from scripts I read aloud; keep clips to judge models."""

CONSENT_SCOPES: tuple[ConsentScope, ...] = ("corrections", "voice_donation", "evaluation")


class ConsentText(Contract):
    """The words a person was shown for one purpose. A changed word is a new version."""

    scope: ConsentScope
    version: int = Field(ge=1)
    text: str


CONSENT_TEXTS: dict[ConsentScope, ConsentText] = {
    "corrections": ConsentText(
        scope="corrections",
        version=1,
        text=(
            "When I correct a transcript, send that recording and my corrected text to our own servers, "
            "where they are used to train the speech model. Nothing else leaves this device. "
            "Your recordings stay linked to a random number, not to your name, so that they can be found and deleted. "
            "You can withdraw at any time: your samples are then deleted, and models trained later do not use them."
        ),
    ),
    "voice_donation": ConsentText(
        scope="voice_donation",
        version=1,
        text=(
            "When I read a script aloud as a donation, send that recording and the script to our own servers, "
            "where they are used to train the speech model. You can withdraw at any time."
        ),
    ),
    "evaluation": ConsentText(
        scope="evaluation",
        version=1,
        text=(
            "Keep some of the samples I send to measure whether a new model is better than the old one, "
            "instead of training on them. You can withdraw at any time."
        ),
    ),
}


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
