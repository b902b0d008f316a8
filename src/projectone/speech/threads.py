"""A thread on which mlx may work, and from which it leaves cleanly.

mlx ties work that it has put off, and streams, to the thread that asked for them: a weight that one thread loaded and
nobody used yet cannot be used on another ("There is no Stream in current thread"), and a thread that ends without
`mx.clear_streams` may abort the whole process at its exit (mlx pull requests 3395 and 4110). So whoever keeps a model
for longer than a call keeps it on one of these.
"""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import mlx.core as mx

T = TypeVar("T")

Task = tuple["Future[Any]", Callable[[], Any]]


class MlxThread:
    """Runs one call after the other on a thread of its own."""

    def __init__(self, name: str) -> None:
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._door = threading.Lock()
        self._is_closed = False
        # A daemon, or the interpreter would wait for it before it asks it to end.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def run(self, call: Callable[[], T]) -> T:
        """What `call` gives, or raises, on the thread."""
        future: Future[T] = Future()
        with self._door:
            if self._is_closed:
                raise ValueError(f"{self._thread.name}: expected an open thread, it was closed")
            self._tasks.put((future, call))
        return future.result()

    def close(self) -> None:
        """End the thread after what it was asked for; harmless when repeated."""
        atexit.unregister(self.close)
        with self._door:
            self._is_closed = True
            self._tasks.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, call = task
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            del task, future, call  # or the last call's arrays live until the next one
        mx.clear_streams()
