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


def last_run(path: Path) -> list[dict[str, Any]]:
    """The events of the last run in a log, in order; a step that was taken again after an interruption counts once.

    Half a line, as a kill may leave, is skipped.
    """
    events: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event["event"] == "start":
            events = []
        if event["event"] in ("resume", "sequence_resume"):
            # What came after the checkpoint was lost, and comes again.
            events = _up_to(events, event["step"], event["event"])
            events = [e for e in events if e["event"] not in ("alpha", "sequence_finish")]
        if event["event"] in ("rollback", "sequence_rollback"):
            events = _up_to(events, event["back_to"], event["event"])
        events.append(event)
    return events


def _up_to(events: list[dict[str, Any]], step: int, of: str) -> list[dict[str, Any]]:
    """Without what came after a step of one stage; the two stages count their steps each for itself."""

    def is_of_second(kind: str) -> bool:
        return kind.startswith("sequence_")

    return [
        e
        for e in events
        if e["event"] == "start" or is_of_second(e["event"]) != is_of_second(of) or e.get("step", 0) <= step
    ]
