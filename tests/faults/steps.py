"""Every step that a server takes on its way to the disk and back to its caller, with something done before each.

A step is what the disk or the caller could notice: a file opened, made, renamed or removed below the home, a flush, a
statement, a commit, an answer; flushes, commits and answers count before and after.
"""

from __future__ import annotations

import asyncio.selector_events as selector_events
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from projectone.storage.files import StagedFile

OPERATIONS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}

Act = Callable[[str], None]


class Steps:
    """Calls `act` with a step's name before it is taken, for the block."""

    _active: Steps | None = None
    _is_hooked = False

    def __init__(self, home: Path, act: Act) -> None:
        self._home = str(home)
        self._act = act

    def __enter__(self) -> Steps:
        if not Steps._is_hooked:
            sys.addaudithook(Steps._on_event)  # cannot be taken back, so there is only ever one
            Steps._is_hooked = True
        self._held = [
            (os, "fsync", os.fsync),
            (DefaultDialect, "do_commit", DefaultDialect.do_commit),
            (DefaultDialect, "do_execute", DefaultDialect.do_execute),
            (_Transport, "write", _Transport.write),
            (StagedFile, "__init__", StagedFile.__init__),
            (tempfile, "TemporaryFile", tempfile.TemporaryFile),
        ]
        os.fsync = self._around("fsync", os.fsync)
        DefaultDialect.do_commit = self._around("commit", DefaultDialect.do_commit)  # type: ignore[method-assign]
        DefaultDialect.do_execute = self._around("execute", DefaultDialect.do_execute, is_after=False)  # type: ignore[method-assign]
        _Transport.write = self._around("answer", _Transport.write)
        staged, temporary, act = StagedFile.__init__, tempfile.TemporaryFile, self._act

        def stage(self: StagedFile, path: Path, stream: Any) -> None:
            staged(self, path, _Writing(stream, act))  # type: ignore[arg-type]

        tempfile.TemporaryFile = lambda **options: _Writing(temporary(**options), act)  # type: ignore[assignment]
        StagedFile.__init__ = stage  # type: ignore[method-assign]
        Steps._active = self
        return self

    def __exit__(self, *_: object) -> None:
        Steps._active = None
        for place, name, held in self._held:
            setattr(place, name, held)

    def _around(self, name: str, call: Callable[..., Any], *, is_after: bool = True) -> Callable[..., Any]:
        def stepped(*arguments: Any, **options: Any) -> Any:
            self._act(name)
            done = call(*arguments, **options)
            if is_after:
                self._act(f"after {name}")
            return done

        return stepped

    @staticmethod
    def _on_event(event: str, arguments: tuple[object, ...]) -> None:
        active = Steps._active
        if active is None or event not in OPERATIONS:
            return
        if any(isinstance(item, str | os.PathLike) and str(item).startswith(active._home) for item in arguments):
            active._act(event)


class _Writing:
    """A stream whose writes and flushes are steps."""

    def __init__(self, stream: Any, act: Act) -> None:
        self._stream = stream
        self._act = act

    def __enter__(self) -> _Writing:
        self._stream.__enter__()
        return self

    def __exit__(self, *arguments: Any) -> None:
        self._stream.__exit__(*arguments)

    def write(self, content: bytes) -> int:
        self._act("write")
        return int(self._stream.write(content))

    def flush(self) -> None:
        self._act("write")
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_Transport: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
