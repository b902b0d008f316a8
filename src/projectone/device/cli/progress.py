"""One line on stderr that tells how far things are."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_TERMINAL_PAUSE_S = 0.1
_LOG_PAUSE_S = 2.0
_WIDTH = 100


class ProgressLine:
    """Rewrites itself on a terminal; elsewhere it prints a line now and then, and the last one always."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last_s = 0.0
        self._unshown: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._unshown is not None:
            self._print(self._unshown)
        if self._is_terminal and self._last_s:
            print(file=sys.stderr)

    def show(self, text: str) -> None:
        """Show `text`, unless something was shown a moment ago."""
        self._unshown = text
        if time.monotonic() - self._last_s >= (_TERMINAL_PAUSE_S if self._is_terminal else _LOG_PAUSE_S):
            self._print(text)

    def _print(self, text: str) -> None:
        self._last_s = time.monotonic()
        self._unshown = None
        if self._is_terminal:
            print(f"\r{text[:_WIDTH]:{_WIDTH}}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
