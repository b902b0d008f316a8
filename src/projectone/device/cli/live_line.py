"""One line on a terminal while somebody speaks: the time, how loud it is, and the end of what was heard."""

from __future__ import annotations

import shutil
import sys
from collections import deque
from typing import TextIO

from projectone.device.live import Partial

_BARS = " ▁▂▃▄▅▆▇█"
_PLAIN_BARS = " .:-=+*#%"
_N_BARS = 12
_QUIET_DB, _LOUD_DB = -60.0, -10.0
_DIM, _NORMAL, _CLEAR = "\x1b[2m", "\x1b[0m", "\x1b[K"


class LiveLine:
    """Rewrites itself; on anything that is no terminal it says nothing."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr  # looked up now, not when this file was read
        self._stream = stream
        self._is_shown = stream.isatty()
        self._levels: deque[float] = deque([_QUIET_DB] * _N_BARS, _N_BARS)
        try:
            _BARS.encode(stream.encoding or "ascii")
            self._bars = _BARS
        except (UnicodeEncodeError, LookupError):
            self._bars = _PLAIN_BARS

    def note(self, level_db: float) -> None:
        """How loud the newest piece is."""
        self._levels.append(level_db)

    def show(self, seconds: float, partial: Partial, *, is_paused: bool = False) -> None:
        """Show where things stand."""
        if not self._is_shown:
            return
        width = shutil.get_terminal_size((80, 24)).columns - 1
        head = f"{int(seconds) // 60}:{int(seconds) % 60:02d} "
        head += f"{'paused':{_N_BARS}} " if is_paused else f"{self.meter()} "
        stable, tentative = tail(partial, max(0, width - len(head)))
        print(f"\r{head}{stable}{_DIM}{tentative}{_NORMAL}{_CLEAR}", end="", file=self._stream, flush=True)

    def meter(self) -> str:
        """The last levels as bars."""
        span, top = _LOUD_DB - _QUIET_DB, len(self._bars) - 1
        heights = (round((level_db - _QUIET_DB) / span * top) for level_db in self._levels)
        return "".join(self._bars[min(top, max(0, height))] for height in heights)

    def end(self) -> None:
        """Leave the terminal as it was found."""
        if self._is_shown:
            print(f"\r{_CLEAR}", end="", file=self._stream, flush=True)


def tail(partial: Partial, width: int) -> tuple[str, str]:
    """The last words that fit: those that stay, and those that may change yet."""
    text, n_tentative = partial.text, len(partial.tentative)
    shown = text if len(text) <= width else text[len(text) - width :].partition(" ")[2]
    n_tentative = min(n_tentative, len(shown))
    return shown[: len(shown) - n_tentative], shown[len(shown) - n_tentative :]
