"""What takes long to load, a library or the weights of a model, is loaded behind the back of whoever asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from projectone.assist.generation.protocol import Event, GenerationError, GenerationRequest, Generator
from projectone.assist.generation.wrapping import Ask, WrappingGenerator


class PreparedGenerator(WrappingGenerator):
    """Asks another generator once it is loaded.

    The first request begins that, and waits as long as its own time allows: what is left of it is the other one's.
    Then it is told `busy`, and the loading goes on for those that come later. What goes wrong in it the other one says
    itself.

    Args:
        inner: Who is asked.
        load: Loads it.
    """

    def __init__(self, inner: Generator, load: Callable[[], object]) -> None:
        super().__init__(inner)
        self._load = load
        self._starting = threading.Lock()
        self._is_begun = False
        self._is_ready = threading.Event()

    def prepare(self, wait_s: float = 0.0) -> bool:
        """Begin to load it, before anybody asks; says whether it is ready after so many seconds at most."""
        with self._starting:
            if not self._is_begun:
                self._is_begun = True
                threading.Thread(target=self._loaded, name=f"load {self.name}", daemon=True).start()
        return self._is_ready.wait(wait_s)

    def _around(self, request: GenerationRequest, ask: Ask) -> Iterator[Event]:
        begun_s = time.monotonic()
        if not self.prepare(request.deadline_s):
            raise GenerationError("busy", f"{self.name} is still being loaded")
        yield from ask(request.within(request.deadline_s - (time.monotonic() - begun_s)))

    def _loaded(self) -> None:
        try:
            self._load()
        except Exception:  # the request that follows finds the same, and has a name for it
            return
        finally:
            self._is_ready.set()
