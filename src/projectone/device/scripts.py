"""What to read aloud next: the server's sentences, kept here so that reading needs no network.

A sentence that was shown stays the one to read until it is given or skipped, whatever the server says meanwhile. The
server is asked without a name and at most once a day; where it cannot be reached, has no sentences, or signed them with
a key we do not trust, what is here goes on being read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from projectone.contracts import endpoints
from projectone.contracts.base import Contract, Moment, Name
from projectone.contracts.scripts import PromptScript, ScriptSheet, SignedScripts
from projectone.device.fallback_scripts import FALLBACK
from projectone.device.transport import MAX_ANSWER_BYTES, Transport
from projectone.errors import ContractError, DataError, ProjectOneError
from projectone.storage.files import make_folder, write_atomically

_ASK_EVERY = timedelta(days=1)
_FALLBACK_LANGUAGE: Final = "en"
_FALLBACK_WHY: Final = "the server has not chosen sentences yet; this one has many different sounds"


class _Reading(Contract):
    """Where the person is in the sheet."""

    offered: PromptScript | None = None
    skipped: tuple[Name, ...] = ()
    asked_at: Moment | None = None


@dataclass(frozen=True)
class Offer:
    """The sentence to read now. `n_read` of `n_scripts` of the sheet were read before it.

    `is_listed` is False if it was shown before a newer sheet came, which lacks it.
    """

    script: PromptScript
    n_read: int
    n_scripts: int
    is_listed: bool = True


class Scripts:
    """The sheet and the place in it.

    Args:
        folder: Where both are kept.
        transport: To the server.
        read: Opens a signed sheet; raises if nobody we trust signed it.
        language: What the user speaks; sheets in other languages are left alone.
        clock: Now, with its zone.
    """

    def __init__(
        self,
        folder: Path,
        transport: Transport,
        read: Callable[[SignedScripts], ScriptSheet],
        *,
        language: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._folder = folder
        self._transport = transport
        self._read = read
        self._language = language
        self._clock = clock

    def refresh(self) -> str | None:
        """Ask the server for its sentences if that was not done today; gives why there are no new ones, if not."""
        reading = self._reading()
        now = self._clock()
        # A moment that is still to come was written by a clock that has been put right since.
        was_asked = reading.asked_at is not None and timedelta(0) <= now - reading.asked_at < _ASK_EVERY
        if self._transport.server is None or was_asked:
            return None
        self._keep(reading.model_copy(update={"asked_at": now}))  # asked before it answers: nobody waits twice a day
        try:
            # One attempt: the person wants to read, and there is something to read.
            with self._transport.download(endpoints.SCRIPTS, offset=0, etag=None) as download:
                content = b""
                for piece in download.pieces:
                    content += piece
                    if len(content) > MAX_ANSWER_BYTES:
                        raise ContractError(f"scripts: expected at most {MAX_ANSWER_BYTES} bytes")
            sheet = self._read(SignedScripts.from_bytes(content))
        except ProjectOneError as error:
            return str(error)
        if sheet.language != self._language:
            return f"the server's sentences are in {sheet.language!r}"
        if sheet.made_at < self.sheet().made_at:
            return "the server's sentences are older than those here"
        make_folder(self._folder)
        write_atomically(self._folder / "sheet.json", content)
        return None

    def sheet(self) -> ScriptSheet:
        """The newest sheet that was fetched and can be trusted, or the one that came with this program.

        Raises:
            DataError: ``scripts-language`` if there is none in the user's language.
        """
        try:
            sheet = self._read(SignedScripts.from_bytes((self._folder / "sheet.json").read_bytes()))
            if sheet.language == self._language:
                return sheet
        except (FileNotFoundError, ProjectOneError):  # another server's, or a damaged file
            pass
        if self._language != _FALLBACK_LANGUAGE:
            raise DataError(
                "scripts-language",
                f"there are no sentences in {self._language!r} here; --text gives what you read, whatever it is",
            )
        return ScriptSheet(
            language=_FALLBACK_LANGUAGE,
            made_at=datetime.fromtimestamp(0, UTC),
            scripts=tuple(
                PromptScript(script_id=script_id, text=text, why=_FALLBACK_WHY) for script_id, text in FALLBACK
            ),
        )

    def sheet_or_none(self) -> tuple[PromptScript, ...]:
        """The sentences; none where there is no sheet in the user's language."""
        try:
            return self.sheet().scripts
        except DataError:
            return ()

    def offer(self, read: Collection[str]) -> Offer | None:
        """The sentence to read: the one that was shown last if it was not given, else the next; None at the end.

        Args:
            read: Ids of the scripts that the user gave already.
        """
        reading, sheet = self._reading(), self.sheet()
        n_read = sum(script.script_id in read for script in sheet.scripts)
        script = reading.offered
        if script is None or script.script_id in read:
            left = (s for s in sheet.scripts if s.script_id not in read and s.script_id not in reading.skipped)
            script = next(left, None)
            self._keep(reading.model_copy(update={"offered": script}))
        if script is None:
            return None
        is_listed = any(script.script_id == other.script_id for other in sheet.scripts)
        return Offer(script, n_read, len(sheet.scripts), is_listed)

    def skip(self) -> None:
        """Do not ask for the sentence that was shown last again."""
        reading = self._reading()
        if reading.offered is not None:
            skipped = (*reading.skipped, reading.offered.script_id)
            self._keep(reading.model_copy(update={"offered": None, "skipped": skipped}))

    def _reading(self) -> _Reading:
        try:
            return _Reading.from_bytes((self._folder / "reading.json").read_bytes())
        except (FileNotFoundError, ContractError):  # a damaged note costs the place, no recording
            return _Reading()

    def _keep(self, reading: _Reading) -> None:
        make_folder(self._folder)
        write_atomically(self._folder / "reading.json", reading.to_bytes())
