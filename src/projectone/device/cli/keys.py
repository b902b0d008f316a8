"""Single keys of a terminal, without waiting for the end of a line."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO


class Keys:
    """The keys that were pressed; none where nobody can press one."""

    def __init__(self, stream: TextIO = sys.stdin) -> None:
        """Nothing is changed before it is entered."""
        self._stream = stream
        self.are_there = stream.isatty()
        self._restore: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        if self.are_there:
            import termios
            import tty

            before = termios.tcgetattr(self._stream)
            self._restore = lambda: termios.tcsetattr(self._stream, termios.TCSADRAIN, before)
            tty.setcbreak(self._stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def pressed(self) -> str:
        """What was pressed since the last time; does not wait."""
        if not self.are_there or not select.select([self._stream], [], [], 0)[0]:
            return ""
        return os.read(self._stream.fileno(), 64).decode(errors="replace")
