"""An answer is read before it is shown: is it harmless, and is it grounded in the facts that were given?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from projectone.assist.generation.protocol import (
    Answer,
    Event,
    GenerationError,
    GenerationRequest,
    Generator,
)
from projectone.assist.generation.wrapping import Ask, WrappingGenerator
from projectone.assist.grounding import unsupported


class CheckedGenerator(WrappingGenerator):
    """Passes another generator's answer on if nothing speaks against it.

    Where something is to be checked a stream is held back until it is whole: a word that was shown cannot be taken
    back. Where no facts were given nothing can be looked up, and only harm is asked about.

    Args:
        inner: Who is asked.
        flags: Whether a text raises the alarm of a safety classifier; None if there is none.
        is_guarded: Whether there is one just now: it may come while answers are given.
    """

    def __init__(
        self,
        inner: Generator,
        flags: Callable[[str], bool] | None,
        *,
        is_guarded: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(inner)
        self._flags = flags
        self._is_guarded = is_guarded

    def _around(self, request: GenerationRequest, ask: Ask) -> Iterator[Event]:
        if (self._flags is None or not self._is_guarded()) and not request.facts:
            yield from ask(request)
            return
        answer = self._checked(request)
        yield answer.text
        yield answer

    def _checked(self, request: GenerationRequest) -> Answer:
        """The other one's answer. The message of an error never says what was answered."""
        answer = self._inner.generate(request)
        if self._flags is not None and self._flags(answer.text):
            raise GenerationError("unsafe", f"the answer of {self.name} raised the alarm")
        if request.facts and (missing := unsupported(answer.text, [request.prompt, *request.facts.values()])):
            kinds = ", ".join(sorted({claim.kind for claim in missing}))
            raise GenerationError("ungrounded", f"the answer of {self.name} has what no fact has: {kinds}")
        return answer
