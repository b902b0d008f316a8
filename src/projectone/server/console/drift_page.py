"""The page of models in use: whether they do differently than they did, with a picture of what moved."""

from __future__ import annotations

from dataclasses import dataclass

from projectone.contracts.questions import ASKED_FAMILIES, TITLES
from projectone.server.monitoring.drift_desk import NAMED, DriftDesk, ModelDrift, chance_shown, drift_shown
from projectone.server.monitoring.drift_pictures import histogram_svg
from projectone.server.monitoring.quality import MIN_GROUP


@dataclass(frozen=True)
class Row:
    """One histogram in words."""

    name: str
    window: str
    n_answers: int
    index: str
    chance: str
    is_drift: bool


@dataclass(frozen=True)
class Model:
    """One model version. `pictures` are SVG of our own making: nothing that anybody sent is in them."""

    heading: str
    n_weeks: int
    n_reports: int
    judged: str
    rows: tuple[Row, ...]
    moved: tuple[str, ...]
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class DriftPanel:
    """What the page shows."""

    models: tuple[Model, ...]
    false_alarms: str
    least_group: int


def drift_panel(desk: DriftDesk) -> DriftPanel:
    """The page's contents, family by family, the newest model first."""
    found = desk.read()
    models = tuple(_model(model) for family in ASKED_FAMILIES for model in reversed(found) if model.family == family)
    return DriftPanel(models, f"{desk.limits.alpha:.0%}", MIN_GROUP)


def _model(found: ModelDrift) -> Model:
    watched = found.watched
    moved = {drift.comparison.histogram: drift.comparison for drift in watched.drifts}
    shown = moved or {item.histogram: item for item in watched.comparisons}
    return Model(
        heading=f"{NAMED[found.family].capitalize()} {found.version}",
        n_weeks=len(found.weeks),
        n_reports=sum(sum(map(sum, answers.values())) for answers in found.weeks.values()),
        judged=f"{watched.judged[0]} to {watched.judged[-1]}" if watched.judged else "",
        rows=tuple(
            Row(
                name=TITLES[item.histogram],
                window=item.week if item.n_weeks == 1 else f"{item.n_weeks} weeks to {item.week}",
                n_answers=sum(item.after),
                index=f"{item.index:.2f}",
                chance=chance_shown(item.p_value),
                is_drift=item.histogram in moved,
            )
            for item in watched.comparisons
        ),
        moved=tuple(drift_shown(drift) for drift in watched.drifts),
        pictures=tuple(histogram_svg(item) for item in shown.values()),
    )
