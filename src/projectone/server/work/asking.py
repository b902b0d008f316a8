"""Asks a sealed process about a stranger's bytes once more, alone, after whoever was asked about them failed or ended.

Never in the process that asks: it holds keys, files and the run. Where no process answers anything, nobody's bytes are
to blame, and that is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import TypeVar

T = TypeVar("T")
D = TypeVar("D")

# A process may end for another reason than what it was asked.
_TRIES_ALONE = 2


def send(submit: Callable[[], Future[T] | None]) -> Future[T]:
    """What was submitted; where processes have ended, the second try is the first that meets new ones.

    Args:
        submit: Begins to ask; None if that is not possible just now.

    Raises:
        BrokenExecutor: if no process can be started.
    """
    future = submit() or submit()
    if future is None:
        raise BrokenExecutor("no sealed process can be started")
    return future


def ask_alone(submit: Callable[[], Future[T] | None], control: Callable[[], Future[T] | None], otherwise: D) -> T | D:
    """The answer of a process that was asked nothing else; `otherwise` if each of them fails or ends at it.

    Args:
        submit: Asks the question.
        control: Asks nothing: what fails at that, fails at everything.
        otherwise: Stands for an answer that nobody can give.

    Raises:
        Exception: whatever it is that keeps processes from answering anything.
    """
    for _ in range(_TRIES_ALONE):
        try:
            return send(submit).result()
        except Exception:
            send(control).result()
    return otherwise
