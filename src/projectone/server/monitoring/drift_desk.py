"""What is known of every model in use: read from the sums, for the command line, the console and the worker alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from projectone.contracts.questions import ASKED_FAMILIES, TITLES, UNITS, class_names
from projectone.contracts.releases import line_of
from projectone.contracts.versions import Family
from projectone.server.database import Engine
from projectone.server.monitoring.drift import Drift, DriftLimits, Watched, watch
from projectone.server.monitoring.quality import Answers, Group, QualityCells

NAMED: Final[Mapping[Family, str]] = {"speech": "model", "intents": "classifier", "safety": "safety classifier"}
"""What people call a model of each family."""


@dataclass(frozen=True)
class ModelDrift:
    """One model version.

    Attributes:
        family: What it is for.
        version: Which.
        weeks: The answers of each week, over all devices.
        watched: What moved, and what did not.
    """

    family: Family
    version: str
    weeks: Mapping[str, Answers]
    watched: Watched


class DriftDesk:
    """Reads one channel, all families of its models."""

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
        """Every model version of which enough was said: family by family, the oldest first."""
        return [model for family in ASKED_FAMILIES for model in self._read(family)]

    def groups(self) -> list[Group]:
        """What is behind it, by size and app version."""
        return [group for family in ASKED_FAMILIES for group in self.groups_of(family)]

    def groups_of(self, family: Family) -> list[Group]:
        """The same, of one family."""
        return self.cells.groups(line_of(family, self._channel), self._clock())

    def _read(self, family: Family) -> list[ModelDrift]:
        found = self.cells.by_version(line_of(family, self._channel), self._clock())
        befores = [None, *found.values()]
        return [
            ModelDrift(family, version, weeks, watch(weeks, self.limits, earlier=before, family=family))
            for (version, weeks), before in zip(found.items(), befores, strict=False)
        ]


def drift_shown(drift: Drift) -> str:
    """What moved, in a sentence or two."""
    found = drift.comparison
    names = class_names(found.histogram)
    unit = f" {UNITS[found.histogram]}".rstrip()
    classes = "; ".join(
        f"{names[place]}{unit}: {before:.0%} before, {after:.0%} now" for place, before, after in drift.moved
    )
    against = "against the model before" if found.is_release else "against its own first weeks"
    return (
        f"{TITLES[found.histogram]} moved since {drift.since}, {against}: {classes or 'many classes a little'} "
        f"(index {found.index:.2f}, by chance {chance_shown(found.p_value)}, {sum(found.after)} answers)"
    )


def chance_shown(p_value: float) -> str:
    """How likely chance alone is, in words."""
    return "less than once in a million" if p_value < 1e-6 else f"once in {round(1 / max(p_value, 1e-6)):,}"
