"""The training log: one JSON object a line, appended as things happen, kept after the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class TrainingLog:
    """Appends events to a file. A resumed run goes on in the same file and says so.

    Args:
        path: Made if it is missing.
        clock: Seconds, monotonic; every line says how long after the opening it came.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._clock = clock
        self._started = clock()

    def write(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - any JSON value
        """Append one event."""
        line = json.dumps({"event": event, "wall_s": round(self._clock() - self._started, 3), **facts})
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
