"""Parse, wire, call, print. Every error of ours is one line on stderr, with `--json` also an object on stdout.

What a command needs is imported when it is asked for: help comes at once, and Ctrl-C finds its words while they load.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from projectone import __version__
from projectone.errors import ProjectOneError, UsageError, error_document, is_json_asked

if TYPE_CHECKING:
    from projectone.device.cli.results import Command

# One line each for `--help`; `commands.COMMANDS` says the rest.
SUMMARIES: dict[str, str] = {
    "transcribe": "say what is in recordings, on this machine",
    "record": "speak, and see the text while you speak",
    "recordings": "list your recordings",
    "correct": "keep what was really said in a recording",
    "ask": "say what was meant in a text or a recording, on this machine",
    "answer": "answer a question in words: a model here, a server you allowed, or a template",
    "answers": "see who answers here, and every question that left",
    "vocabulary": "see and change the names and words that this device minds",
    "memory": "see, search and forget what this device remembers, or switch it on and off",
    "policies": "see what this device may answer, and which policy a text falls under",
    "harmless": "have answered what the safety classifier warned of and you know to be harmless",
    "donate": "read a sentence aloud from which the model learns most",
    "sent": "list what left this device",
    "undo": "take one correction or donation back, also from the server",
    "consent": "see, give or take back your consent",
    "sync": "send what you allowed to be sent",
    "update": "bring the newest model, or go back to the one before",
    "model": "see which model is in use, and what it changed for you",
    "health": "say, or say no more, how the model in use does: counts alone",
    "quality": "say once a week, in one class of eight, how well the model hears; or say it no more",
    "cues": "let the app be heard, softly, or keep it silent",
    "sound": "make a calm piece of sound: a MIDI file, and how it sounds",
    "ui": "open the app in the browser, on this machine alone",
    "status": "show model, recordings, consents and what waits",
}

# What a start makes stays. To look for garbage among it a hundred times takes a twentieth of the start.
_NEW_OBJECTS = 20_000

EXIT_OK, EXIT_NOT_DONE, EXIT_ERROR, EXIT_INTERRUPTED = 0, 1, 2, 130

_EPILOG = """\
first steps:
  export PROJECTONE_SERVER=... PROJECTONE_ENROLMENT_CODE=... PROJECTONE_RELEASE_KEY=... PROJECTONE_RELEASE_ROOT=...
                                 (all four are printed by the server's init)
  projectone update                        bring the newest model
  projectone transcribe note.wav           say what is in a recording, on this machine
  projectone consent grant corrections     allow corrections to be sent (what was corrected before stays here)
  projectone correct last "what I said"    keep the correction
  projectone sync                          send it

`projectone COMMAND --help` shows options and examples. Settings come from PROJECTONE_* variables (docs/settings.md).
Exit codes: 0 done, 1 not done (the output says why), 2 an error, 130 interrupted. With --json, whatever is not done
or fails prints an object with "error": {"kind": ..., "message": ...}."""


class _Wide(argparse.RawDescriptionHelpFormatter):
    """Keeps each command and its summary on one line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=16, width=110)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Leave what is said, and where, to `main`."""
        raise UsageError(message, usage=self.format_usage().rstrip())


def _parser_of_all() -> argparse.ArgumentParser:
    """Knows the commands by name, and no option of theirs."""
    parser = _Parser(
        prog="projectone",
        description="Speech recognition on this machine, which learns from your corrections.",
        epilog=_EPILOG,
        formatter_class=_Wide,
    )
    parser.add_argument("--version", action="version", version=f"projectone {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in SUMMARIES.items():
        commands.add_parser(name, help=summary)
    return parser


def _parser_of(name: str, command: Command) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"projectone {name}",
        description=SUMMARIES[name],
        epilog=f"examples:\n{command.examples}",
        formatter_class=_Wide,
    )
    command.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a word that the terminal's encoding lacks is no reason to stop
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(words)
        except BrokenPipeError:
            raise
        except (ProjectOneError, KeyboardInterrupt, OSError) as error:  # OSError: a full disk, a folder that is closed
            return _explain_error(error, words)
    except BrokenPipeError:
        # The reader of a pipe (`| head`) went away: not our error, but the interpreter must not flush into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK


def _explain_error(error: BaseException, words: list[str]) -> int:
    """A line for people on stderr, with `--json` also an object for programs on stdout; gives the exit code."""
    prog = " ".join(["projectone", *(word for word in words[:1] if word in SUMMARIES)])
    if isinstance(error, UsageError) and error.usage:
        print(error.usage, file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        error = KeyboardInterrupt("interrupted; the same command goes on from here")
        print(file=sys.stderr)
    print(f"{prog}: {error}", file=sys.stderr)
    if is_json_asked(words):
        print(json.dumps(error_document(error)), flush=True)
    return EXIT_INTERRUPTED if isinstance(error, KeyboardInterrupt) else EXIT_ERROR


def _run(words: list[str]) -> int:
    if not words or words[0] not in SUMMARIES:
        words = [_parser_of_all().parse_args(words).command]
    usual = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, 20, 50)
    try:
        return _execute(words)
    finally:
        gc.set_threshold(*usual)  # whoever calls this from a program of theirs has it back


def _execute(words: list[str]) -> int:
    from projectone.device.cli.commands import COMMANDS

    command = COMMANDS[words[0]]
    arguments = _parser_of(words[0], command).parse_args(words[1:])
    arguments.editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    from projectone.device.settings import DeviceSettings
    from projectone.device.wiring import open_client

    with open_client(DeviceSettings.from_env(os.environ)) as client:
        from projectone.device.cli.speaker import heard

        with heard(client, words[0], arguments) as after:
            result = command.execute(client, arguments)
            after(result.facts)
    if arguments.json:
        not_done = {} if result.is_done else {"error": {"kind": "not-done", "message": result.problem or result.text}}
        print(json.dumps(result.facts | not_done))
    elif result.text:
        print(result.text)
    sys.stdout.flush()
    return EXIT_OK if result.is_done else EXIT_NOT_DONE
