"""Parse, wire, call, print. Every error of ours is one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence

from projectone import __version__
from projectone.device.cli.commands import COMMANDS, Command
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.errors import ProjectOneError

EXIT_OK, EXIT_NOT_DONE, EXIT_ERROR, EXIT_INTERRUPTED = 0, 1, 2, 130

_EPILOG = """\
first steps:
  export PROJECTONE_SERVER=... PROJECTONE_ENROLMENT_CODE=... PROJECTONE_RELEASE_KEY=...   (printed by the server's init)
  projectone update                        bring the newest model
  projectone transcribe note.wav           say what is in a recording, on this machine
  projectone consent grant corrections     allow corrections to be sent (what was corrected before stays here)
  projectone correct last "what I said"    keep the correction
  projectone sync                          send it

`projectone COMMAND --help` shows options and examples. Settings come from PROJECTONE_* variables (docs/settings.md).
Exit codes: 0 done, 1 not done (the output says why), 2 an error, 130 interrupted."""


class _Wide(argparse.RawDescriptionHelpFormatter):
    """Keeps each command and its summary on one line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=16, width=110)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, for `--help` and for the manual's tests."""
    parser = argparse.ArgumentParser(
        prog="projectone",
        description="Speech recognition on this machine, which learns from your corrections.",
        epilog=_EPILOG,
        formatter_class=_Wide,
    )
    parser.add_argument("--version", action="version", version=f"projectone {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary,
            epilog=f"examples:\n{command.examples}",
            formatter_class=_Wide,
        )
        command.add_arguments(subparser)
        subparser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    prog = "projectone"
    if isinstance(sys.stdout, io.TextIOWrapper):  # a word that the terminal's encoding lacks is no reason to stop
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        arguments = build_parser().parse_args(argv)
        prog = f"projectone {arguments.command}"
        return _run(COMMANDS[arguments.command], arguments)
    except ProjectOneError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print(f"\n{prog}: interrupted; the same command goes on from here", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe (`| head`) went away: not our error, but the interpreter must not flush into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:  # a full disk, a folder that may not be written to
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_ERROR


def _run(command: Command, arguments: argparse.Namespace) -> int:
    with open_client(DeviceSettings.from_env(os.environ)) as client:
        result = command.execute(client, arguments)
    if arguments.json:
        print(json.dumps(result.facts))
    elif result.text:
        print(result.text)
    sys.stdout.flush()
    return EXIT_OK if result.is_done else EXIT_NOT_DONE
