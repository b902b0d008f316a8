"""What every generator put round another one has in common: the other's name and version, and one way to ask."""

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

Ask = Callable[[GenerationRequest], Iterator[Event]]
"""Asks the other one: for its whole answer, or for its pieces. Nothing is asked before the first event is taken."""


class WrappingGenerator:
    """Asks another generator. What a wrapper adds stands in `_around`, once for whole answers and for streams.

    Args:
        inner: Who is asked.
    """

    def __init__(self, inner: Generator) -> None:
        self._inner = inner
        self.name = inner.name

    @property
    def model_version(self) -> str:
        """Of whom it asks."""
        return self._inner.model_version

    def generate(self, request: GenerationRequest) -> Answer:
        """The other one's whole answer.

        Raises:
            GenerationError: with this one's reason, or the other's.
        """
        for event in self._around(request, self._whole):
            if isinstance(event, Answer):
                return event
        raise GenerationError("failed", f"{self.name} ended without an answer")

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """The other one's pieces, then its answer.

        Raises:
            GenerationError: as `generate`, at any point.
        """
        return self._around(request, self._pieces)

    def _around(self, request: GenerationRequest, ask: Ask) -> Iterator[Event]:
        """What is told of what `ask` gives. Pieces come only where a stream was asked for."""
        return ask(request)

    def _whole(self, request: GenerationRequest) -> Iterator[Event]:
        yield self._inner.generate(request)

    def _pieces(self, request: GenerationRequest) -> Iterator[Event]:
        return stream_of(self._inner, request)
