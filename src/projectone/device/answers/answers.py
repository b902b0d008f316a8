"""`client.answers`: asks the chain of generators, and shows what of a question would leave and what left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from projectone.assist.generation.accounts import AccountedGenerator, AccountLine, Accounts, Times
from projectone.assist.generation.cache import KeptAnswers
from projectone.assist.generation.masking import MaskedGenerator
from projectone.assist.generation.prepared import PreparedGenerator
from projectone.assist.generation.protocol import Answer, Event, GenerationError, GenerationRequest
from projectone.assist.vectors.protocol import Owner
from projectone.contracts.texts import clean_transcript
from projectone.device.answers.known import Knowledge
from projectone.device.answers.sent_questions import SentQuestion, SentQuestions
from projectone.device.consent import ConsentLedger
from projectone.errors import ConsentError, DataError
from projectone.storage.database import Database

_THE_PERSON: Final = Owner("device", "person")
"""A home is one person's."""
_MAX_CHARACTERS: Final = 4_000
HOW_TO_ANSWER: Final = "Answer in one or two short, plain sentences. If you do not know, say so."


@dataclass(frozen=True, kw_only=True)
class AnswerParameters:
    """How an answer is made.

    Attributes:
        seed: The same seed gives the same answer from the same model.
        temperature: 0 always takes the likeliest word; at most 2.
        max_tokens: How long it may be.
        deadline_s: How long it may take; None for the usual time.
    """

    seed: int = 0
    temperature: float = 0.0
    max_tokens: int = 128
    deadline_s: float | None = None


_USUAL: Final = AnswerParameters()


@dataclass(frozen=True)
class Leaving:
    """What would leave for a question.

    Attributes:
        host: For where; None if no server is set.
        is_allowed: Whether the person agreed to it.
        request: The words, with marks in the place of personal data; None if nothing would be left of it.
        n_hidden: How many different things are hidden.
    """

    host: str | None
    is_allowed: bool
    request: GenerationRequest | None
    n_hidden: int


@dataclass(frozen=True)
class Chain:
    """Who is asked, and the mask that hosted ones wear.

    Attributes:
        generator: The chain.
        mask: None without a hosted model.
        host: Where that is.
        model: Its name there.
        local: The model on this device.
        templates: Version of the last one's words.
        loaded: What takes long to load: the model on this device.
        close: Lets go of connections.
    """

    generator: AccountedGenerator
    templates: str
    mask: MaskedGenerator | None = None
    host: str | None = None
    model: str | None = None
    local: str | None = None
    loaded: Sequence[PreparedGenerator] = ()
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class AnswersState:
    """Who answers here, and whether anything may leave."""

    local: str | None
    host: str | None
    model: str | None
    templates: str
    is_allowed: bool
    n_sent: int
    n_kept: int

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


class Answers:
    """Answers for the person whose device this is."""

    def __init__(
        self,
        make_chain: Callable[[], Chain],
        database: Database,
        consent: ConsentLedger,
        bearing_on: Callable[[str], Knowledge],
        *,
        deadline_s: float,
        clock: Callable[[], datetime],
        on_answer: Callable[[Answer], object] = lambda answer: None,
    ) -> None:
        self._make_chain = make_chain
        self._database = database
        self._consent = consent
        self._bearing_on = bearing_on
        self._sent = SentQuestions(database)
        self._kept = KeptAnswers(database)
        self._accounts = Accounts(database)
        self._deadline_s = deadline_s
        self._clock = clock
        self._on_answer = on_answer

    @cached_property
    def _chain(self) -> Chain:
        """Made for the first question: most commands ask none."""
        return self._make_chain()

    @property
    def is_allowed(self) -> bool:
        """Whether questions may leave."""
        try:
            self._consent.require("hosted_answers")
        except ConsentError:
            return False
        return True

    def close(self) -> None:
        """Let go of connections."""
        if "_chain" in self.__dict__:
            self._chain.close()

    def prepare(self, wait_s: float = 0.0) -> bool:
        """Begin to load the model on this device, so that it is there when somebody asks. Nothing leaves.

        Args:
            wait_s: How long to wait for it.

        Returns:
            Whether it is ready; also without one.

        Raises:
            SettingsError: if a setting of answers is wrong.
        """
        return all([generator.prepare(wait_s) for generator in self._chain.loaded])

    def answer(self, text: str, *, parameters: AnswerParameters = _USUAL) -> Answer:
        """An answer, from whoever has one in time; a policy that applies binds all of them.

        Args:
            text: The question.
            parameters: How it is drawn, how long it may be, and how long it may take.

        Raises:
            DataError: if it is no text, or a parameter makes no sense.
            SettingsError: if a setting of answers is wrong.
            GuardError: if the question is to be read by a safety classifier that cannot be read.
        """
        answer = self._chain.generator.generate(self._request(text, parameters))
        self._on_answer(answer)
        return answer

    def stream(self, text: str, *, parameters: AnswerParameters = _USUAL) -> Iterator[Event]:
        """The same, piece by piece: `Retracted` says that the pieces so far are void.

        Raises:
            DataError: as `answer`.
            SettingsError: as `answer`.
        """
        return self._told(self._chain.generator.stream(self._request(text, parameters)))

    def leaving(self, text: str, parameters: AnswerParameters = _USUAL) -> Leaving:
        """Exactly what would leave for a question. Nothing leaves.

        Raises:
            DataError: as `answer`.
            SettingsError: as `answer`.
        """
        chain, request = self._chain, self._request(text, parameters)
        if chain.mask is None:
            return Leaving(None, self.is_allowed, None, 0)
        try:
            mask, masked = chain.mask.mask(request)
        except GenerationError:
            return Leaving(chain.host, self.is_allowed, None, 0)
        return Leaving(chain.host, self.is_allowed, masked, mask.n_hidden)

    def state(self) -> AnswersState:
        """Who answers here.

        Raises:
            SettingsError: if a setting of answers is wrong.
        """
        chain = self._chain
        now = self._clock()
        return AnswersState(
            local=chain.local,
            host=chain.host,
            model=chain.model,
            templates=chain.templates,
            is_allowed=self.is_allowed,
            n_sent=self._sent.count(now),
            n_kept=self._kept.count(_THE_PERSON, now),
        )

    def sent(self, limit: int = 50) -> list[SentQuestion]:
        """What left in the last 30 days, the last first, as it left."""
        return self._sent.newest(limit, self._clock())

    def costs(self, days: int = 30) -> tuple[list[AccountLine], Mapping[str, Times]]:
        """Who answered and who failed in the last days, with tokens and cost; and how long each one's answers took."""
        since = (self._clock() - timedelta(days=days - 1)).date()
        tenant = _THE_PERSON.tenant
        return self._accounts.lines(tenant, since), self._accounts.times(tenant, since)

    def forget(self) -> int:
        """Let go of the list of what left and of the answers that were kept; called with a withdrawal too."""
        with self._database.transaction():
            n_gone = self._sent.forget() + self._kept.forget(_THE_PERSON)
        self._database.empty_log()
        return n_gone

    def before_bytes_leave(self, host: str, model: str, request: GenerationRequest) -> None:
        """Ask for the consent once more, and note what leaves.

        Raises:
            ConsentError: if there is none.
        """
        self._consent.require("hosted_answers")
        self._sent.note(SentQuestion(self._clock(), host, model, request.system, request.prompt))

    def require_consent(self) -> None:
        """Ask whether questions may leave, before anything is prepared.

        Raises:
            ConsentError: if not.
        """
        self._consent.require("hosted_answers")

    def _told(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, Answer):
                self._on_answer(event)
            yield event

    def _request(self, text: str, parameters: AnswerParameters) -> GenerationRequest:
        prompt = clean_transcript(text, max_characters=_MAX_CHARACTERS)
        knowledge = self._bearing_on(prompt)
        try:
            return GenerationRequest(
                owner=_THE_PERSON,
                prompt=prompt,
                kind=knowledge.kind,
                facts=knowledge.facts,
                hints=knowledge.hints,
                system=HOW_TO_ANSWER,
                max_tokens=parameters.max_tokens,
                temperature=parameters.temperature,
                seed=parameters.seed,
                deadline_s=self._deadline_s if parameters.deadline_s is None else parameters.deadline_s,
            )
        except ValueError as error:
            raise DataError("request", str(error)) from error
