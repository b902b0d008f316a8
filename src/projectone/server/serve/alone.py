"""One server for each side of a home: a second one is told who the first is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from projectone.errors import LeaseError
from projectone.storage.locks import exclusive_lock


@contextlib.contextmanager
def serving_alone(home: Path, names: Sequence[str]) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Hold the sides `names` of a home for the block; gives what to call with their addresses once they answer.

    Raises:
        LeaseError: if one of them is served already, naming the process and its address.
    """
    # Two on one home would sweep each other's uploads, and limits that a process counts would hold half.
    with contextlib.ExitStack() as held:
        for name in names:
            path = _path(home, name)
            try:
                held.enter_context(exclusive_lock(path, what=f"serving the {name}"))
            except LeaseError as error:
                raise LeaseError(
                    f"{str(home)!r}: its {name} is served by {_holder(path)}; stop that first, or name another home in "
                    "PROJECTONE_SERVER_HOME"
                ) from error
            _note(path, "")

        def note(urls: Mapping[str, str]) -> None:
            for name, url in urls.items():
                _note(_path(home, name), url)

        yield note


def _path(home: Path, name: str) -> Path:
    return home / f"serve-{name}.lock"


def _note(path: Path, url: str) -> None:
    """Into the lock's own file: what a dead holder wrote there is read by nobody, because nobody holds the lock."""
    path.write_text(f"{os.getpid()} {url}".strip())


def _holder(path: Path) -> str:
    pid, _, url = path.read_text(errors="replace").partition(" ")
    if not pid.isdecimal():
        return "another process"
    return f"process {pid}, on {url}" if url else f"process {pid}"
