"""What is asked, what is answered, and why somebody did not answer.

`Generator` has one method. Whatever wraps a generator is one itself, so a chain is put together by nesting:
`Fallback([Cached(Masked(Breaker(Deadline(Hosted)))), Template])`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, get_args, runtime_checkable

from projectone.assist.vectors.protocol import Owner
from projectone.errors import AssistError

Reason = Literal[
    "timeout",
    "rate-limited",
    "down",
    "refused",
    "garbage",
    "wrong-schema",
    "cut",
    "too-long",
    "breaker-open",
    "busy",
    "no-consent",
    "masked-away",
    "over-budget",
    "unsafe",
    "ungrounded",
    "not-installed",
    "failed",
]
"""Why a generator did not answer. `rate-limited` is HTTP's 429, `cut` an end in the middle, `failed` anything else."""
REASONS: tuple[Reason, ...] = get_args(Reason)

MAX_PROMPT_CHARACTERS = 8_000
MAX_ANSWER_CHARACTERS = 16_000
MAX_DEADLINE_S = 600.0


class GenerationError(AssistError):
    """This generator has no answer. Ask the next one.

    Attributes:
        reason: Why, by name. The message never holds what was asked or answered.
        retry_after_s: How long the other side asked to be left alone; None if it did not say.
    """

    def __init__(self, reason: Reason, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """What is asked.

    Attributes:
        owner: Who asks; nobody else ever gets an answer that was kept for them.
        prompt: The question.
        kind: Which template answers if nobody else does.
        facts: What that template may say, and what an answer must keep to.
        hints: What that template may say beside them; no answer has to.
        system: How the model is told to behave.
        max_tokens: How long the answer may be.
        temperature: 0 always takes the likeliest word.
        seed: With the same seed the same request gets the same answer from the same model.
        deadline_s: How long the person waits at most.
    """

    owner: Owner
    prompt: str = field(repr=False)
    kind: str = "plain"
    facts: Mapping[str, str] = field(default_factory=dict, repr=False)
    hints: Mapping[str, str] = field(default_factory=dict, repr=False)
    system: str = field(default="", repr=False)
    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    deadline_s: float = 2.0

    def __post_init__(self) -> None:
        n_characters = len(self.prompt) + len(self.system)
        if not self.prompt.strip() or n_characters > MAX_PROMPT_CHARACTERS:
            raise ValueError(f"prompt: expected 1 to {MAX_PROMPT_CHARACTERS} characters, got {n_characters}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens: expected 1 or more, got {self.max_tokens}")
        if not (math.isfinite(self.temperature) and 0 <= self.temperature <= 2):
            raise ValueError(f"temperature: expected 0 to 2, got {self.temperature!r}")
        if not 0 < self.deadline_s <= MAX_DEADLINE_S:
            raise ValueError(f"deadline_s: expected more than 0 and at most {MAX_DEADLINE_S}, got {self.deadline_s!r}")

    def within(self, deadline_s: float) -> GenerationRequest:
        """The same, to be answered in so many seconds; at least a millisecond."""
        return replace(self, deadline_s=min(max(deadline_s, 0.001), MAX_DEADLINE_S))


@dataclass(frozen=True)
class Cost:
    """What an answer took.

    Attributes:
        prompt_tokens: Read by the model, as the model counts them.
        answer_tokens: Written by it.
        micros: Millionths of the currency that the prices are in; 0 for what costs nothing.
    """

    prompt_tokens: int = 0
    answer_tokens: int = 0
    micros: int = 0


@dataclass(frozen=True)
class Attempt:
    """A generator that did not answer: who, why, and how long it took to find out."""

    by: str
    reason: Reason
    message: str
    took_s: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is answered, by whom, and why others did not.

    Attributes:
        text: The answer.
        by: Which generator: ``"hosted"``, ``"local"``, ``"template"``.
        model_version: Of the model that wrote it; of the template set for ``"template"``.
        seed: As asked.
        template: Which template, where one answered.
        cached: Whether it was kept from before, for these words or for words that say the same.
        failed: Those asked before, in order.
        took_s: From the question to this answer.
    """

    text: str
    by: str
    model_version: str
    seed: int
    template: str | None = None
    cached: Literal["no", "exact", "near"] = "no"
    failed: tuple[Attempt, ...] = ()
    took_s: float = 0.0
    cost: Cost = Cost()


@dataclass(frozen=True)
class Retracted:
    """What was shown of the answer so far counts no more: the generator failed in the middle, another one begins."""

    attempt: Attempt


Event = str | Retracted | Answer
"""Of a stream: the next piece of text; that the pieces so far are void; and last, once, the whole answer."""


class Generator(Protocol):
    """Gives an answer, or says why not."""

    @property
    def name(self) -> str:
        """Who answers, in one word."""
        ...

    @property
    def model_version(self) -> str:
        """Two answers of the same version to the same request are the same."""
        ...

    def generate(self, request: GenerationRequest) -> Answer:
        """The whole answer.

        Raises:
            GenerationError: if there is none; its reason says why.
        """
        ...


@runtime_checkable
class StreamingGenerator(Protocol):
    """A generator that also gives its answer piece by piece."""

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """The pieces, then the whole answer. Only a chain of several ever gives `Retracted`.

        Raises:
            GenerationError: at any point; the pieces before it are then void.
        """
        ...


def stream_of(generator: Generator, request: GenerationRequest) -> Iterator[Event]:
    """A generator's stream; the whole answer as one piece where it has none."""
    if isinstance(generator, StreamingGenerator):
        yield from generator.stream(request)
        return
    answer = generator.generate(request)
    yield answer.text
    yield answer
