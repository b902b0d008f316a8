"""Requests that wait for the database at the same time, whatever the machine is doing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from projectone.server.group_commits import GroupCommits

T = TypeVar("T")
PATIENCE_S = 120


def together(commits: GroupCommits, works: Sequence[Callable[[], T]]) -> list[Future[T]]:
    """Each of `works` in a thread of its own, in this order; all of their transactions are one."""
    with ThreadPoolExecutor(len(works)) as pool:
        with held(commits):
            futures = []
            for work in works:
                futures.append(pool.submit(work))
                wait_until(lambda: len(commits._queue) == len(futures) or futures[-1].done())
        return futures


@contextmanager
def held(commits: GroupCommits) -> Iterator[None]:
    """Somebody else's transaction is open for the block."""
    is_open, may_end = threading.Event(), threading.Event()

    def hold(_connection: object) -> None:
        is_open.set()
        assert may_end.wait(PATIENCE_S)

    thread = threading.Thread(target=commits.run, args=(hold,))
    thread.start()
    assert is_open.wait(PATIENCE_S)
    try:
        yield
    finally:
        may_end.set()
        thread.join()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline_s, "it did not come to that"
        time.sleep(0.001)
