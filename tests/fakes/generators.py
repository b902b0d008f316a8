"""Generators that do as they are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from projectone.assist.generation.protocol import Answer, Event, GenerationError, GenerationRequest
from projectone.assist.vectors.protocol import Owner

OWNER = Owner("home", "anna")


def asked(prompt: str = "how warm is it", **changes: object) -> GenerationRequest:
    return GenerationRequest(**{"owner": OWNER, "prompt": prompt, **changes})  # type: ignore[arg-type]


class Scripted:
    """Takes the next line of its script for each request: a text is answered, an error raised; the last one stays."""

    def __init__(self, *script: str | Exception, name: str = "scripted", model_version: str = "s1") -> None:
        self._script = list(script)
        self.name = name
        self.model_version = model_version
        self.requests: list[GenerationRequest] = []

    def generate(self, request: GenerationRequest) -> Answer:
        self.requests.append(request)
        line = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(line, Exception):
            raise line
        return Answer(text=line, by=self.name, model_version=self.model_version, seed=request.seed)


class Piecewise(Scripted):
    """Streams these pieces, then its script's next line: the whole answer, or the error that cuts it off."""

    def __init__(self, pieces: Sequence[str], *script: str | Exception, name: str = "piecewise") -> None:
        super().__init__(*script, name=name)
        self._pieces = pieces

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        yield from self._pieces
        yield self.generate(request)


class Stuck:
    """Answers when it is let go, and not before."""

    name, model_version = "stuck", "s1"

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def generate(self, request: GenerationRequest) -> Answer:
        self.let_go.wait()
        return Answer(text="at last", by=self.name, model_version=self.model_version, seed=request.seed)


def failing(reason: str = "down") -> GenerationError:
    return GenerationError(reason, f"it is {reason}")  # type: ignore[arg-type]
