"""Asked for before anything is prepared: whether the person agreed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from projectone.assist.generation.protocol import Event, GenerationError, GenerationRequest, Generator
from projectone.assist.generation.wrapping import Ask, WrappingGenerator
from projectone.errors import ConsentError


class ConsentedGenerator(WrappingGenerator):
    """Asks another generator if that is allowed.

    Args:
        inner: Who is asked.
        require: Raises `ConsentError` if it is not allowed.
    """

    def __init__(self, inner: Generator, require: Callable[[], object]) -> None:
        super().__init__(inner)
        self._require = require

    def _around(self, request: GenerationRequest, ask: Ask) -> Iterator[Event]:
        try:
            self._require()
        except ConsentError as error:
            raise GenerationError("no-consent", str(error)) from error
        yield from ask(request)
