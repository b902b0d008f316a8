"""`projectone-server drift`: whether models in use do differently than they did, as far as devices say so."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from projectone.contracts.quality import EPSILON, estimated_shares
from projectone.contracts.questions import ASKED_FAMILIES, TITLES
from projectone.contracts.versions import Family
from projectone.errors import StorageError
from projectone.server.database import open_engine
from projectone.server.home import require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.monitoring.drift import Comparison, Drift
from projectone.server.monitoring.drift_desk import NAMED, DriftDesk, ModelDrift, chance_shown, drift_shown
from projectone.server.monitoring.drift_pictures import bars, histogram_svg
from projectone.server.monitoring.quality import MIN_GROUP, Group
from projectone.server.settings import ServerSettings
from projectone.storage.files import make_folder, write_atomically

SUMMARY = (
    "Whether a model in use hears or understands differently than it did. Devices that allow it say one class a week, "
    "by the toss of a coin; the worker looks every hour and writes to the people in charge. Exit code 1 if something "
    "moved."
)
EXAMPLES = """\
  projectone-server drift                          every model: what moved, since when, and how sure that is
  projectone-server drift --family intents         classifiers alone; --family safety: safety classifiers
  projectone-server drift --model 1.4.0 --groups   by size and app version, none smaller than twenty devices
  projectone-server drift --pictures out           a picture (SVG) of every histogram, before and now
  projectone-server drift --json"""

EXIT_STILL, EXIT_MOVED = 0, 1

_FamilyGroup = tuple[Family, Group]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--family", choices=ASKED_FAMILIES, help="of speech, of intents, or of safety alone")
    parser.add_argument("--model", metavar="VERSION", help="only this one")
    parser.add_argument("--groups", action="store_true", help="also what is behind it, by size and app version")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="write a picture of every histogram there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Show it; 1 if something moved."""
    require_home(settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        desk = DriftDesk(engine, channel=settings.channel)
        families = ASKED_FAMILIES if arguments.family is None else (arguments.family,)
        found = [model for model in desk.read() if model.family in families]
        groups = [(family, group) for family in families for group in desk.groups_of(family) if arguments.groups]
    finally:
        engine.dispose()
    if arguments.model is not None:
        found = [model for model in found if model.version == arguments.model]
        groups = [(family, group) for family, group in groups if group.model_version == arguments.model]
    pictures = [] if arguments.pictures is None else _draw(found, arguments.pictures)
    print(json.dumps(_facts(desk, found, groups, pictures)) if arguments.json else _text(found, groups, pictures))
    return EXIT_MOVED if any(model.watched.drifts for model in found) else EXIT_STILL


def _draw(found: list[ModelDrift], folder: Path) -> list[Path]:
    paths = []
    try:
        make_folder(folder)
        for model in found:
            moved = {drift.comparison.histogram: drift.comparison for drift in model.watched.drifts}
            for newest in model.watched.comparisons:
                paths.append(folder / f"{model.version}-{newest.histogram}.svg")  # no two families share a question
                write_atomically(paths[-1], histogram_svg(moved.get(newest.histogram, newest)).encode())
    except OSError as error:
        raise StorageError(f"{str(folder)!r}: {error.strerror}") from error
    return paths


def _facts(
    desk: DriftDesk, found: list[ModelDrift], groups: list[_FamilyGroup], pictures: list[Path]
) -> dict[str, Any]:
    limits = desk.limits
    return {
        "models": [
            {
                "family": model.family,
                "model_version": model.version,
                "weeks": {week: _n_answers(answers) for week, answers in model.weeks.items()},
                "reference": list(model.watched.reference),
                "judged": list(model.watched.judged),
                "comparisons": [_comparison(item) for item in model.watched.comparisons],
                "drifts": [_drift(item) for item in model.watched.drifts],
            }
            for model in found
        ],
        "groups": [
            {
                "family": family,
                "model_version": group.model_version,
                "week": group.week,
                "tier": group.tier,
                "app_version": group.app_version,
                "reports": group.n_reports,
                "answers": group.answers,
            }
            for family, group in groups
        ],
        "limits": {
            "false_alarms_a_year": limits.alpha,
            "each_test": {family: limits.alpha_each(family) for family in ASKED_FAMILIES},
            "least_index": limits.min_index,
            "least_answers": limits.min_answers,
            "least_group": MIN_GROUP,
            "epsilon": round(EPSILON, 3),
        },
        "pictures": [str(path) for path in pictures],
    }


def _n_answers(answers: Any) -> int:  # noqa: ANN401 - a mapping of histograms
    return sum(map(sum, answers.values()))


def _comparison(found: Comparison) -> dict[str, Any]:
    return {
        "histogram": found.histogram,
        "week": found.week,
        "weeks_together": found.n_weeks,
        "against": "model-before" if found.is_release else "own-first-weeks",
        "before": list(found.before),
        "after": list(found.after),
        "p_value": found.p_value,
        "index": round(found.index, 4),
        "is_drift": found.is_drift,
    }


def _drift(drift: Drift) -> dict[str, Any]:
    moved = [{"class": place, "before": round(old, 4), "after": round(new, 4)} for place, old, new in drift.moved]
    return _comparison(drift.comparison) | {"since": drift.since, "moved": moved, "text": drift_shown(drift)}


def _text(found: list[ModelDrift], groups: list[_FamilyGroup], pictures: list[Path]) -> str:
    if not found:
        return f"nothing to show: no model has {MIN_GROUP} reports of a week that is closed"
    lines: list[str] = []
    for model in found:
        watched = model.watched
        n_reports = sum(map(_n_answers, model.weeks.values()))
        lines.append(f"{NAMED[model.family]} {model.version}: {len(model.weeks)} weeks, {n_reports} reports")
        if not watched.judged:
            lines.append(f"  its reference is being taken: {len(watched.reference)} weeks so far")
        for item in watched.comparisons:
            pictures_of = " ".join(bars(estimated_shares(side)) for side in (item.before, item.after))
            lines.append(
                f"  {TITLES[item.histogram]:38} {pictures_of}  index {item.index:.2f}, "
                f"by chance {chance_shown(item.p_value)}"
            )
        lines += [f"  MOVED: {drift_shown(drift)}" for drift in watched.drifts] or ["  nothing moved"]
    for family, group in groups:
        release = f"{NAMED[family]} {group.model_version} {group.tier} app {group.app_version}"
        lines.append(f"{group.week} {release}: {group.n_reports}")
    lines += [f"picture: {path}" for path in pictures]
    return "\n".join(lines)
