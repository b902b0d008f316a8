"""A generator that does not ask twice: the exact question first, then one that says the same."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

from projectone.assist.generation.cache.content import content_of
from projectone.assist.generation.cache.kept_answers import KeptAnswers
from projectone.assist.generation.protocol import (
    Answer,
    Cost,
    Event,
    GenerationError,
    GenerationRequest,
    Generator,
)
from projectone.assist.generation.wrapping import Ask, WrappingGenerator
from projectone.errors import StorageError

# Counts up when `content_of` tells more questions apart: rows that an older one kept must not answer them.
_SAYS: Final = "says 2"


class CachedGenerator(WrappingGenerator):
    """Gives an answer again that another generator gave before to the same owner.

    The key is made of owner, model version, system text, prompt, length, temperature, seed, and the version of the
    words around them. A near answer has the same key but for the prompt, whose content must be the same (`content_of`).
    What was kept costs nothing and says that it was kept; it is read again before it is given, since what reads answers
    may have come after it. One that may not be given is asked for anew. A failing store is no reason to fail: then it
    is asked.

    Args:
        inner: Who is asked.
        kept: The rows.
        clock: Now, for the time that an answer is kept.
        wording: Version of whatever else shapes an answer, such as templates around the prompt.
        is_near_allowed: Whether a question that says the same is enough.
        may_give: Whether a text that was kept may be given now; what it raises is raised.
    """

    def __init__(
        self,
        inner: Generator,
        kept: KeptAnswers,
        *,
        clock: Callable[[], datetime],
        wording: str = "",
        is_near_allowed: bool = True,
        may_give: Callable[[str], bool] = lambda text: True,
    ) -> None:
        super().__init__(inner)
        self._kept = kept
        self._clock = clock
        self._wording = wording
        self._is_near_allowed = is_near_allowed
        self._may_give = may_give

    def _around(self, request: GenerationRequest, ask: Ask) -> Iterator[Event]:
        """What was kept in one piece, or the other one's pieces; kept only when they are whole."""
        begun_s = time.monotonic()
        key, content_key = self._keys(request)
        found = self._look(request, key, content_key)
        if found is not None and self._may_give(found.text):
            yield found.text
            yield replace(found, took_s=time.monotonic() - begun_s)
            return
        for event in ask(request):
            if isinstance(event, Answer):
                self._keep(request, key, content_key, event)
            yield event

    def _look(self, request: GenerationRequest, key: str, content_key: str) -> Answer | None:
        how: Literal["exact", "near"] = "exact"
        try:
            found = self._kept.exact(request.owner, key, self._clock())
            if found is None and content_key and self._is_near_allowed:
                found, how = self._kept.near(request.owner, content_key, self._clock()), "near"
        except StorageError:
            return None
        return None if found is None else replace(found, cached=how, cost=Cost())

    def _keep(self, request: GenerationRequest, key: str, content_key: str, answer: Answer) -> None:
        try:
            self._kept.keep(request.owner, key, content_key, request.prompt, answer, self._clock())
        except StorageError:
            return  # a full disk keeps nothing; the answer is there

    def _keys(self, request: GenerationRequest) -> tuple[str, str]:
        """Of the exact question, and of what it says; the second is empty where it says nothing."""
        try:
            version = self._inner.model_version
        except OSError as error:
            raise GenerationError("failed", f"{self.name}: {type(error).__name__}") from error
        around = [
            version,
            self._wording,
            request.owner.key,
            request.kind,
            sorted(request.facts.items()),
            request.system,
            request.max_tokens,
            request.temperature,
            request.seed,
        ]
        content = content_of(request.prompt)
        return _digest([*around, "exact", request.prompt]), _digest([*around, _SAYS, content]) if content else ""


def _digest(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()
