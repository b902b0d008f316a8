"""Sentences to read aloud, chosen for what the model gets wrong, as the server signs them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from projectone.contracts.base import Contract, Moment, Name
from projectone.contracts.texts import Transcript

MAX_SCRIPTS = 200


class PromptScript(Contract):
    """One sentence, and why it was chosen: words and sounds, never somebody's text."""

    script_id: Name
    text: Transcript
    why: str = Field(max_length=400)


class ScriptSheet(Contract):
    """Sentences in the order in which they teach most: whoever reads only the first ten reads the best ten."""

    schema_version: Literal[1] = 1
    language: str = Field(pattern=r"^[a-z]{2,3}$")
    made_at: Moment
    scripts: tuple[PromptScript, ...] = Field(min_length=1, max_length=MAX_SCRIPTS)


class SignedScripts(Contract):
    """A sheet's exact bytes and an Ed25519 signature over them (both in base64), by the key that signs releases."""

    sheet: str
    key_id: Name
    signature: str
