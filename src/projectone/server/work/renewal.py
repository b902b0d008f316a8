"""Keeps the signed list of releases young beside whatever else the worker does: a training run may take days."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from threading import Event, Thread

from projectone.errors import ProjectOneError
from projectone.server.delivery.publisher import Publisher

_INTERVAL_S = 600.0


@contextlib.contextmanager
def keeping_signed(
    publisher: Publisher, say: Callable[[str], None], *, interval_s: float = _INTERVAL_S
) -> Iterator[None]:
    """Sign again what expires soon, every few minutes, until the block ends; problems are said and tried again."""
    should_stop = Event()

    def renew() -> None:
        while not should_stop.wait(interval_s):
            try:
                publisher.renew()
            except (ProjectOneError, OSError) as error:
                say(f"releases could not be signed again: {error}")

    thread = Thread(target=renew, name="keeping-signed", daemon=True)
    thread.start()
    try:
        yield
    finally:
        should_stop.set()
        thread.join()
