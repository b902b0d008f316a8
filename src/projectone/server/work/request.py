"""`projectone-server run`: ask for a training run. It writes a row; the worker does the work."""

from __future__ import annotations

import argparse
import json

from projectone.server.database import open_engine
from projectone.server.home import require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.runs import Runs, to_json
from projectone.server.settings import ServerSettings
from projectone.server.work.families import add_family, trained_settings_of

SUMMARY = "Ask for a training run now; a running worker takes it within seconds."
EXAMPLES = """\
  projectone-server run
  projectone-server run --family intents                 of a classifier of intents
  projectone-server run --json && projectone-server work --once"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_family(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object with the run")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Write the request; one that still waits is given again."""
    require_home(settings)
    family = trained_settings_of(arguments, settings).family
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        run = Runs(engine).request("on-demand", family)
    finally:
        engine.dispose()
    if arguments.json:
        print(json.dumps({"run": to_json([run])[0]}))
    else:
        print(f"run {run.run_id} is requested; see `projectone-server status`")
    return 0
