"""`projectone-server status`: runs, releases and what waits, read from the rows alone."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from projectone.contracts.releases import family_of
from projectone.contracts.texts import printable
from projectone.contracts.versions import Family
from projectone.server.corpus.catalog import Catalog
from projectone.server.database import open_engine
from projectone.server.delivery.ledger import Ledger, Release
from projectone.server.home import require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.notifications.outbox import NotificationOutbox
from projectone.server.runs import RunRow, Runs, to_json
from projectone.server.settings import ServerSettings
from projectone.server.work.families import add_family, settings_of

SUMMARY = "Show what runs, what is released and what waits."
EXAMPLES = """\
  projectone-server status
  projectone-server status --json
  projectone-server status --family intents              the classifier of intents"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_family(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Print the status."""
    require_home(settings)
    settings = settings_of(arguments, settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        runs = Runs(engine).newest(family=settings.family)
        releases = _of_family(Ledger(engine, public_url=settings.public_url).releases(), settings.family)
        catalog = Catalog(engine)
        samples, discarded = catalog.counts(settings.family), catalog.discard_reasons(settings.family)
        n_unsent = len(NotificationOutbox(engine).waiting())
    finally:
        engine.dispose()
    in_production = next((release for release in reversed(releases) if _is_of(release, settings.channel)), None)
    if arguments.json:
        status = {
            "production": None if in_production is None else _release(in_production),
            "channel": settings.channel,
            "runs": [_existing(run, settings.home) for run in to_json(runs)],
            "releases": [_release(release) for release in releases],
            "samples": samples,
            "discarded": discarded,
            "unsent_notifications": n_unsent,
        }
        print(json.dumps(status))
        return 0
    version = "none yet" if in_production is None else in_production.manifest.version
    print(f"production  {version} (channel {settings.channel})")
    print("samples     " + ", ".join(f"{n} {state}" for state, n in samples.items()))
    if discarded:
        print("discarded   " + ", ".join(f"{n} {reason}" for reason, n in discarded.items()))
    if n_unsent:
        print(f"messages    {n_unsent} not sent yet")
    for release in releases:
        print(f"release     {release.manifest.seq:3}  {release.manifest.version:10} {release.manifest.channel}")
    for run in runs:
        print(f"run         {run.run_id}  {_line(run)}")
    return 0


def _of_family(releases: Sequence[Release], family: Family) -> list[Release]:
    return [release for release in releases if family_of(release.manifest.channel) == family]


def _is_of(release: Release, channel: str) -> bool:
    return release.manifest.channel == channel


def _existing(run: dict[str, Any], home: Path) -> dict[str, Any]:
    """A run that names its log only where there is one: a run that trained nothing has written none."""
    has_log = run["log_path"] is not None and (home / run["log_path"]).is_file()
    return run if has_log else {**run, "log_path": None}


def _release(release: Release) -> dict[str, Any]:
    plain: dict[str, Any] = release.manifest.model_dump(mode="json", exclude={"files"})
    return {"run_id": release.run_id, **plain}


def _line(run: RunRow) -> str:
    if run.state == "running":
        return f"running      {run.node or 'beginning'}: {run.progress_message or ''}"
    if run.state == "waiting":
        return "waiting      for a person: projectone-server work waiting"
    if run.state == "succeeded":
        taught = "" if run.n_items is None else f", {run.n_items} samples ({run.n_new} new)"
        return f"succeeded    version {run.version}{taught}"
    return printable(f"{run.state:12} {run.reason or ''}".rstrip())
