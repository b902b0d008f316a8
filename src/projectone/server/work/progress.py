"""A live line on a screen; in a file or a pipe a plain line now and then."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TextIO

_PLAIN_INTERVAL_S = 5.0
_LIVE_INTERVAL_S = 0.1


class ProgressLine:
    """Shows one text at a time."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_live = stream.isatty()
        self._last_shown_s = float("-inf")
        self._width = 0

    def show(self, text: str, *, is_last: bool = False) -> None:
        """Show `text` instead of the text before, unless that was only just shown; the last of its kind always."""
        now_s = self._clock()
        if not is_last and now_s - self._last_shown_s < (_LIVE_INTERVAL_S if self._is_live else _PLAIN_INTERVAL_S):
            return
        self._last_shown_s = now_s
        self._write(f"\r{text.ljust(self._width)}" if self._is_live else f"{text}\n")
        self._width = len(text)

    def say(self, text: str) -> None:
        """A line that stays."""
        begin = f"\r{' ' * self._width}\r" if self._is_live and self._width else ""
        self._write(f"{begin}{text}\n")
        self._width = 0
        self._last_shown_s = float("-inf")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            # Whoever watched went away (`2>&1 | head`): that stops no hours of work. What comes later is lost, too.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        except OSError:  # the log's disk is full
            return
