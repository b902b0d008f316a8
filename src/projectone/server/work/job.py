"""`projectone-server job`: work that may be ended at any moment, on a machine that may be taken away.

SIGTERM, which is what a spot machine says before it goes, ends the work as Ctrl-C does: it is kept, and the exit code
75 asks whoever started the job to start it again. A kill that nobody could answer is no worse. The same command goes on
where the work was, on whichever machine, and comes to the same bytes; once it is done, it only says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from projectone.server.settings import ServerSettings
from projectone.server.work.resumable import EXIT_AGAIN, read_result, resumed, run_job

SUMMARY = (
    "Do work that survives being ended: `train`, `evaluate` or `assist train` on a machine that may be taken away. "
    "The same command goes on, on any machine that sees the same folders, and ends in the same bytes."
)
EXAMPLES = """\
  projectone-server job --result out/mine.json train --base starter --data speech --out out/mine --json
  projectone-server job --result out/eval.json evaluate --model starter --data speech --keep out/heard --json
  projectone-server job --result out/i.json assist train --data intents.jsonl --out out/intents --json
  projectone-server job --ray auto --result out/mine.json train --base starter --data speech --out out/mine --json
  (exit code 75: it was ended and can be gone on with; deploy/ has files for SkyPilot and Ray)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the job's own options; what follows them is the work's."""
    parser.add_argument(
        "--result", required=True, type=Path, metavar="FILE", help="what the work prints; once it is there, all is done"
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="do it on a Ray cluster, again wherever a machine of it goes (`local`, `auto`)"
    )
    parser.add_argument("work", nargs=argparse.REMAINDER, metavar="COMMAND ...", help="train, evaluate or assist train")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Do the work, or go on with it, or say what came of it."""
    words = resumed(arguments.work)
    result: Path = arguments.result.absolute()
    if arguments.ray is not None:
        from projectone.server.work.ray_jobs import run_on_ray  # only here is there Ray

        code = run_on_ray(arguments.ray, words, result, settings)
    else:
        code = run_job(words, result, settings)
    if code == 0:
        print(read_result(result, words), end="")
    elif code == EXIT_AGAIN:
        print("projectone-server job: ended before it was done; the same command goes on", file=sys.stderr)
    return code
