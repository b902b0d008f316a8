"""What takes long to load is loaded before the time of a request begins: a library, the weights of a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final

from projectone.assist.generation.protocol import (
    Answer,
    Event,
    GenerationError,
    GenerationRequest,
    Generator,
    stream_of,
)

PATIENCE_S: Final = 10.0


class PreparedGenerator:
    """Asks another generator once it is loaded.

    The first request of a process waits for that, in addition to its deadline and `patience_s` at most; then it is told
    `busy`, and the loading goes on for those that come later. What goes wrong in it the other one says itself.

    Args:
        inner: Who is asked.
        prepare: Loads it.
        patience_s: How long the first ones wait.
    """

    def __init__(self, inner: Generator, prepare: Callable[[], object], *, patience_s: float = PATIENCE_S) -> None:
        self._inner = inner
        self._prepare = prepare
        self._patience_s = patience_s
        self._starting = threading.Lock()
        self._is_begun = False
        self._is_ready = threading.Event()
        self.name = inner.name

    @property
    def model_version(self) -> str:
        """Of whom it asks."""
        return self._inner.model_version

    def generate(self, request: GenerationRequest) -> Answer:
        """What the other one answers.

        Raises:
            GenerationError: `busy` while it is loaded, or the other's reason.
        """
        self._wait()
        return self._inner.generate(request)

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """The other one's pieces.

        Raises:
            GenerationError: as `generate`.
        """
        self._wait()
        yield from stream_of(self._inner, request)

    def _wait(self) -> None:
        with self._starting:
            if not self._is_begun:
                self._is_begun = True
                threading.Thread(target=self._load, name=f"load {self.name}", daemon=True).start()
        if not self._is_ready.wait(self._patience_s):
            raise GenerationError("busy", f"{self.name} is still being loaded")

    def _load(self) -> None:
        try:
            self._prepare()
        except Exception:  # the request that follows finds the same, and has a name for it
            return
        finally:
            self._is_ready.set()
