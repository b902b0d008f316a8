"""The first answer to what a person says: one of those that were approved, chosen here. Nothing is sent for it.

The approved set comes signed: from the server, asked for without a name and once a day, or from a file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from projectone.contracts import endpoints
from projectone.contracts.base import Contract, Moment
from projectone.contracts.policies import MAX_SET_BYTES, PolicySet, SignedPolicies
from projectone.device.remembering import THE_PERSON, Remembering
from projectone.device.transport import Transport
from projectone.errors import ContractError, ProjectOneError, RollbackError
from projectone.storage.files import make_folder, write_atomically
from projectone.storage.given_files import read_given

if TYPE_CHECKING:
    from projectone.assist.first_turn import Choice, FirstTurn
    from projectone.assist.policies import Policies, PolicyMatch
    from projectone.assist.protocols import Judgement
    from projectone.assist.usual_encoder import Embed

_ASK_EVERY: Final = timedelta(days=1)
_SET_FILE: Final = "set.json"
_ASKED_FILE: Final = "asked.json"


class Question(Protocol):
    """What was asked, and what the classifier said of it."""

    @property
    def ask_id(self) -> str: ...  # noqa: D102
    @property
    def recording_id(self) -> str | None: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str | None: ...  # noqa: D102
    @property
    def nearest(self) -> str: ...  # noqa: D102
    @property
    def probability(self) -> float: ...  # noqa: D102
    @property
    def fit(self) -> float: ...  # noqa: D102


class _Asked(Contract):
    asked_at: Moment


class Replies:
    """Answers by the approved set that this device has."""

    def __init__(
        self,
        folder: Path,
        transport: Transport,
        read: Callable[[SignedPolicies], PolicySet],
        memory: Remembering,
        *,
        embed: Embed,
        embedded_by: str,
        flags: Callable[[str], bool] | None,
        clock: Callable[[], datetime],
        on_reply: Callable[[Choice], object] = lambda choice: None,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            folder: Where the set lies.
            transport: To the server.
            read: Opens a signed set; raises if nobody we trust signed it.
            memory: What the person said before.
            embed: Texts to vectors.
            embedded_by: The encoder's name.
            flags: The safety check, if there is one.
            clock: Now, with its zone.
            on_reply: Told of each first reply to what was asked.
        """
        self._folder = folder
        self._transport = transport
        self._read = read
        self._memory = memory
        self._embed = embed
        self._embedded_by = embedded_by
        self._flags = flags
        self._clock = clock
        self._on_reply = on_reply
        self._lock = threading.Lock()
        self._loaded: tuple[bytes, FirstTurn, Policies] | None = None

    def to(self, question: Question) -> Choice | None:
        """The first answer to what was just asked; None where no policies are here. What was asked is remembered.

        Raises:
            ArtifactError: if the set here was signed by nobody we trust, or is damaged.
        """
        from projectone.assist.protocols import Judgement

        judgement = Judgement(question.label, question.nearest, question.probability, question.fit)
        choice = self.first(question.text, judgement, recording_id=question.recording_id)
        self._memory.asked(
            question.text, intent=question.label, ask_id=question.ask_id, recording_id=question.recording_id
        )
        if choice is not None:
            self._on_reply(choice)
        return choice

    def first(self, text: str, judgement: Judgement | None = None, *, recording_id: str | None = None) -> Choice | None:
        """The first answer to a text; None where no policies are here. Nothing is remembered.

        Raises:
            ArtifactError: if the set here was signed by nobody we trust, or is damaged.
        """
        loaded = self._load()
        if loaded is None:
            return None
        return loaded[0].select(text, THE_PERSON, self._clock(), judgement=judgement, recording_id=recording_id)

    def look_up(self, text: str) -> PolicyMatch | None:
        """The policy with the nearest example, near enough or not; None where nothing can be compared.

        Raises:
            ArtifactError: if the set here was signed by nobody we trust, or is damaged.
        """
        loaded = self._load()
        return None if loaded is None else loaded[1].closest(text)

    def approved(self) -> PolicySet | None:
        """The set that this device has; None for none.

        Raises:
            ArtifactError: if it was signed by nobody we trust, or is damaged.
        """
        content = self._content()
        return None if content is None else self._opened(content)

    def install(self, file: Path) -> PolicySet:
        """Take a set from a file.

        Raises:
            DataError: if it is no file that can be read.
            ContractError: if it is no signed set.
            SignatureError: if nobody we trust signed it.
            RollbackError: if it is older than the one here.
        """
        return self._keep(read_given(file, max_bytes=MAX_SET_BYTES, expected="a signed set of policies"))

    def refresh(self, *, is_again: bool = False) -> str | None:
        """Ask the server for its set if that was not done today; gives why there is no new one, if not.

        Args:
            is_again: Ask although that was done today.
        """
        now, asked_at = self._clock(), self._asked_at()
        was_asked = asked_at is not None and timedelta(0) <= now - asked_at < _ASK_EVERY
        if self._transport.server is None:
            return "no server is set"
        if was_asked and not is_again:
            return None
        make_folder(self._folder)
        write_atomically(self._folder / _ASKED_FILE, _Asked(asked_at=now).to_bytes())
        try:
            with self._transport.download(endpoints.POLICIES, offset=0, etag=None) as download:
                content = b""
                for piece in download.pieces:
                    content += piece
                    if len(content) > MAX_SET_BYTES:
                        raise ContractError(f"policies: expected at most {MAX_SET_BYTES} bytes")
            self._keep(content)
        except ProjectOneError as error:
            return str(error)
        return None

    def _keep(self, content: bytes) -> PolicySet:
        approved = self._read(SignedPolicies.from_bytes(content))
        try:
            before = self.approved()
        except ProjectOneError:  # what cannot be read is replaced by what can
            before = None
        if before is not None and approved.version < before.version:
            raise RollbackError(f"policies: expected version {before.version} or newer, got {approved.version}")
        make_folder(self._folder)
        write_atomically(self._folder / _SET_FILE, content)
        return approved

    def _content(self) -> bytes | None:
        try:
            return (self._folder / _SET_FILE).read_bytes()
        except FileNotFoundError:
            return None

    def _opened(self, content: bytes) -> PolicySet:
        return self._read(SignedPolicies.from_bytes(content))

    def _asked_at(self) -> datetime | None:
        try:
            return _Asked.from_bytes((self._folder / _ASKED_FILE).read_bytes()).asked_at
        except (FileNotFoundError, ContractError):
            return None

    def _load(self) -> tuple[FirstTurn, Policies] | None:
        # Imported here: whoever asks nothing loads no encoder.
        from projectone.assist.first_turn import FirstTurn
        from projectone.assist.policies import Policies

        content = self._content()
        if content is None:
            return None
        with self._lock:
            if self._loaded is None or self._loaded[0] != content:
                policies = Policies(self._opened(content), self._embed, embedded_by=self._embedded_by)
                turn = FirstTurn(policies, recall=self._memory.recall_of, flags=self._flags)
                self._loaded = (content, turn, policies)
            return self._loaded[1:]
