"""What a person sees while the demo runs: acts, tables, one live line, a box at the end."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from projectone.demo.story import Act
from projectone.server.work.progress import ProgressLine

_BOLD, _DIM, _GREEN, _RED = "\033[1m", "\033[2m", "\033[32m", "\033[31m"
_RESET = "\033[0m"
_WIDTH = 92
_INDENT = "    "
_KEPT_INTERVAL_S = 15.0


class Screen:
    """Prints the demo's progress; keeps when each act began and how long it took."""

    def __init__(self, stream: TextIO) -> None:
        self._is_live = stream.isatty()
        self._line = ProgressLine(stream)
        self._lock = threading.Lock()
        self._began_s = self._last_kept_s = time.monotonic()
        self.acts: list[Act] = []

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began_s

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        """One numbered step of the story."""
        started_s = self.elapsed_s
        heading = f"{len(self.acts) + 1}  {title}"
        self._line.say(f"\n{self._styled(_BOLD, heading)}")
        self._last_kept_s = time.monotonic()
        yield
        wall_s = self.elapsed_s - started_s
        self.acts.append(Act(title=title, started_s=round(started_s, 2), wall_s=round(wall_s, 2)))
        self._line.say(_INDENT + self._styled(_DIM, f"{wall_s:.1f} s"))

    def say(self, text: str) -> None:
        """A paragraph that stays."""
        self._line.say(textwrap.fill(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT))

    def good(self, text: str) -> None:
        """Something that went as it should."""
        self._marked(self._styled(_GREEN, "✓"), text)

    def bad(self, text: str) -> None:
        """Something that did not."""
        self._marked(self._styled(_RED, "✗"), text)

    def live(self, text: str, *, is_last: bool = False) -> None:
        """A line that the next one replaces; where the output is kept, one now and then, and the last. Any thread."""
        with self._lock:
            now_s = time.monotonic()
            if self._is_live or is_last or now_s - self._last_kept_s >= _KEPT_INTERVAL_S:
                self._last_kept_s = now_s
                self._line.show(f"{_INDENT}{text[: _WIDTH + 20]}", is_last=is_last)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Columns as wide as they need; numbers to the right."""
        first, *others = layout_table(head, rows)
        self._line.say("\n".join(f"{_INDENT}{line}" for line in [self._styled(_DIM, first), *others]))

    def box(self, lines: Sequence[str]) -> None:
        """The end of the story."""
        wrapped = [
            part for line in lines for part in ([line] if "  " in line else textwrap.wrap(line, _WIDTH - 4) or [""])
        ]
        width = max(len(line) for line in wrapped)
        framed = [f"│ {line.ljust(width)} │" for line in wrapped]
        self._line.say("\n".join(["", f"╭{'─' * (width + 2)}╮", *framed, f"╰{'─' * (width + 2)}╯"]))

    def _marked(self, mark: str, text: str) -> None:
        wrapped = textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent=f"{_INDENT}  ").lstrip()
        self._line.say(f"{_INDENT}{mark} {wrapped}")

    def _styled(self, style: str, text: str) -> str:
        return f"{style}{text}{_RESET}" if self._is_live else text


def layout_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a table, the head first."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(name), *(len(row[column]) for row in cells), 0) for column, name in enumerate(head)]
    is_number = [all(row[column][:1].isdigit() for row in cells) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, is_number, strict=True)
        ).rstrip()

    return [line(head), *map(line, cells)]
