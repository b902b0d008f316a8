"""What is known of every model in use: read from the sums, for the command line, the console and the worker alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from projectone.contracts.quality import TITLES, UNITS, class_names
from projectone.server.database import Engine
from projectone.server.monitoring.drift import Drift, DriftLimits, Watched, watch
from projectone.server.monitoring.quality import Answers, Group, QualityCells


@dataclass(frozen=True)
class ModelDrift:
    """One model version.

    Attributes:
        version: Which.
        weeks: The answers of each week, over all devices.
        watched: What moved, and what did not.
    """

    version: str
    weeks: Mapping[str, Answers]
    watched: Watched


class DriftDesk:
    """Reads one channel."""

    def __init__(
        self,
        engine: Engine,
        *,
        channel: str,
        limits: DriftLimits | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.cells = QualityCells(engine)
        self.limits = limits or DriftLimits()
        self._channel = channel
        self._clock = clock

    def read(self) -> list[ModelDrift]:
        """Every model version of which enough was said, the oldest first."""
        found = self.cells.by_version(self._channel, self._clock())
        befores = [None, *found.values()]
        return [
            ModelDrift(version, weeks, watch(weeks, self.limits, earlier=before))
            for (version, weeks), before in zip(found.items(), befores, strict=False)
        ]

    def groups(self) -> list[Group]:
        """What is behind it, by size and app version."""
        return self.cells.groups(self._channel, self._clock())


def drift_shown(drift: Drift) -> str:
    """What moved, in a sentence or two."""
    found = drift.comparison
    names = class_names(found.histogram)
    unit = UNITS[found.histogram]
    classes = "; ".join(
        f"{names[place]} {unit}: {before:.0%} before, {after:.0%} now" for place, before, after in drift.moved
    )
    against = "against the model before" if found.is_release else "against its own first weeks"
    return (
        f"{TITLES[found.histogram]} moved since {drift.since}, {against}: {classes or 'many classes a little'} "
        f"(index {found.index:.2f}, by chance {chance_shown(found.p_value)}, {sum(found.after)} answers)"
    )


def chance_shown(p_value: float) -> str:
    """How likely chance alone is, in words."""
    return "less than once in a million" if p_value < 1e-6 else f"once in {round(1 / max(p_value, 1e-6)):,}"
