"""Asked for before anything is prepared: whether the person agreed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from projectone.assist.generation.protocol import (
    Answer,
    Event,
    GenerationError,
    GenerationRequest,
    Generator,
    stream_of,
)
from projectone.errors import ConsentError


class ConsentedGenerator:
    """Asks another generator if that is allowed.

    Args:
        inner: Who is asked.
        require: Raises `ConsentError` if it is not allowed.
    """

    def __init__(self, inner: Generator, require: Callable[[], object]) -> None:
        self._inner = inner
        self._require = require
        self.name = inner.name

    @property
    def model_version(self) -> str:
        """Of whom it asks."""
        return self._inner.model_version

    def generate(self, request: GenerationRequest) -> Answer:
        """What the other one answers.

        Raises:
            GenerationError: `no-consent`, or the other's reason.
        """
        self._ask()
        return self._inner.generate(request)

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """The other one's pieces.

        Raises:
            GenerationError: as `generate`.
        """
        self._ask()
        yield from stream_of(self._inner, request)

    def _ask(self) -> None:
        try:
            self._require()
        except ConsentError as error:
            raise GenerationError("no-consent", str(error)) from error
