"""What may be answered: policies that a person approved, as the server signs them and a device reads them."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from projectone.contracts.base import Contract, Moment, Name
from projectone.contracts.texts import clean_transcript
from projectone.errors import DataError

MAX_POLICIES = 1_000
MAX_EXAMPLES = 200
MAX_RESPONSES = 8
MAX_POLICY_CHARACTERS = 1_000
MAX_SET_BYTES = 8_000_000
"""Of a signed set, as it is sent."""


def _checked(text: str) -> str:
    try:
        return clean_transcript(text, max_characters=MAX_POLICY_CHARACTERS)
    except DataError as error:
        raise ValueError(str(error)) from error


_Words = Annotated[str, Field(min_length=1, max_length=MAX_POLICY_CHARACTERS), AfterValidator(_checked)]

When = Literal["always", "again", "first"]
"""When a response fits: whatever was said before; if the person said such a thing before; if they did not."""


class PolicyResponse(Contract):
    """One answer that may be given, word by word."""

    response_id: Name
    text: _Words
    when: When = "always"


class Policy(Contract):
    """What is to be done when somebody says such a thing.

    Attributes:
        policy_id: Its name.
        version: One more with every change.
        text: The policy itself, for people.
        examples: What people say when it applies.
        intents: What a classifier calls that.
        responses: Answers; one of them fits always.
        approved_by: The account of who approved it.
        approved_at: When.
    """

    policy_id: Name
    version: int = Field(ge=1, le=1_000_000)
    text: _Words
    examples: tuple[_Words, ...] = Field(min_length=1, max_length=MAX_EXAMPLES)
    intents: tuple[Name, ...] = Field(default=(), max_length=MAX_EXAMPLES)
    responses: tuple[PolicyResponse, ...] = Field(min_length=1, max_length=MAX_RESPONSES)
    approved_by: Name
    approved_at: Moment

    @model_validator(mode="after")
    def _some_response_always_fits(self) -> Self:
        if not any(response.when == "always" for response in self.responses):
            raise ValueError("responses: expected one that fits always")
        return self


class PolicyThreshold(Contract):
    """Up to which distance a policy applies, for one embedder, and what that gave where it was measured.

    Attributes:
        embedder: Whose vectors were compared.
        distance: One minus the cosine between a text and the nearest example; farther away no policy applies.
        answered: Share of texts of a policy that found it.
        refused: Share of texts of no policy that found none; None where there were none.
        n_of_policies: Texts of a policy.
        n_of_none: Texts of no policy.
    """

    embedder: Name
    distance: float = Field(ge=0, le=2)
    answered: float = Field(ge=0, le=1)
    refused: float | None = Field(default=None, ge=0, le=1)
    n_of_policies: int = Field(ge=1)
    n_of_none: int = Field(ge=0)


class PolicySet(Contract):
    """Every approved policy, and what is said where none applies.

    Attributes:
        version: One more with every set; a device never goes back.
        made_at: When it was put together.
        thresholds: For each embedder that was measured.
        policies: The approved ones.
        otherwise: Said where no policy applies.
        unsafe: Said where the safety check raised its hand.
    """

    schema_version: Literal[1] = 1
    version: int = Field(ge=1, le=1_000_000_000)
    made_at: Moment
    thresholds: tuple[PolicyThreshold, ...] = Field(default=(), max_length=20)
    policies: tuple[Policy, ...] = Field(max_length=MAX_POLICIES)
    otherwise: PolicyResponse
    unsafe: PolicyResponse

    @model_validator(mode="after")
    def _each_name_is_there_once(self) -> Self:
        names = {
            "policy": [policy.policy_id for policy in self.policies],
            "embedder": [threshold.embedder for threshold in self.thresholds],
            "response": [
                response.response_id
                for responses in (*(policy.responses for policy in self.policies), (self.otherwise, self.unsafe))
                for response in responses
            ],
            "intent": [intent for policy in self.policies for intent in policy.intents],
        }
        for what, given in names.items():
            twice = [name for name, n in Counter(given).items() if n > 1]
            if twice:
                raise ValueError(f"{what} {twice[0]!r}: expected it once in the set")
        return self

    def threshold_of(self, embedder: str) -> PolicyThreshold | None:
        """What was measured for an embedder; None if it was not."""
        return next((item for item in self.thresholds if item.embedder == embedder), None)


class SignedPolicies(Contract):
    """A set's exact bytes and an Ed25519 signature over them (both in base64), by the server's key."""

    policies: str
    key_id: Name
    signature: str
