"""A generator that is asked without the person's data, and whose answer gets them back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from projectone.assist.generation.masking.mask import Mask, words_left
from projectone.assist.generation.protocol import (
    Answer,
    Event,
    GenerationError,
    GenerationRequest,
    Generator,
)
from projectone.assist.generation.wrapping import Ask, WrappingGenerator

_MIN_WORDS: Final = 2
_LONGEST_WORD: Final = 200
HOW_TO_READ: Final = (
    "Words in brackets such as [NAME_1] stand for private details. Where you need one, write its mark unchanged."
)


class MaskedGenerator(WrappingGenerator):
    """Hides what is personal in prompt and system text, asks, and puts it back.

    A request of which fewer than two words are left is not sent at all (`masked-away`); an answer with a mark that
    nobody gave is `garbage`. Facts and hints do not leave: templates alone read them.

    Args:
        inner: Who is asked.
        names: Gives the names and words of the person's own, as they are now.
    """

    def __init__(self, inner: Generator, *, names: Callable[[], Iterable[str]] = tuple) -> None:
        super().__init__(inner)
        self._names = names

    def _around(self, request: GenerationRequest, ask: Ask) -> Iterator[Event]:
        """The pieces, word by word: a mark is never shown in halves."""
        mask, masked = self.mask(request)
        held = ""
        for event in ask(masked):
            if isinstance(event, str):
                # A mark has no space in it, so whatever stands before the last space is whole.
                ready, space, held = (held + event).rpartition(" ")
                if space:
                    yield self._restored(mask, ready + space)
                elif len(held) > _LONGEST_WORD:
                    raise GenerationError("garbage", f"{self.name} answered with a word without an end")
            elif isinstance(event, Answer):
                if held:
                    yield self._restored(mask, held)
                yield replace(event, text=self._restored(mask, event.text))
            else:
                held = ""
                yield event

    def mask(self, request: GenerationRequest) -> tuple[Mask, GenerationRequest]:
        """What would leave for a request, and what puts the answer right again.

        Raises:
            GenerationError: `masked-away`.
        """
        mask = Mask(self._names())
        prompt, system = mask.hide(request.prompt), mask.hide(request.system)
        if words_left(prompt) < _MIN_WORDS:
            raise GenerationError("masked-away", "without the personal data nothing is left to ask")
        if mask.n_hidden:
            system = f"{system}\n{HOW_TO_READ}".strip()
        return mask, replace(request, prompt=prompt, system=system, facts={}, hints={})

    def _restored(self, mask: Mask, text: str) -> str:
        try:
            return mask.restore(text)
        except ValueError:
            raise GenerationError("garbage", f"{self.name} made up a mark for private details") from None
