"""`projectone-server`: one word chooses a command, and only that command's module is imported.

A command module offers `SUMMARY`, `EXAMPLES`, `add_arguments(parser)` and `execute(arguments, settings)`.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol, cast

from projectone import __version__
from projectone.contracts.texts import printable
from projectone.errors import ProjectOneError, UsageError, error_document, is_json_asked
from projectone.server.settings import ServerSettings

# Module and one line for `--help`, so that asking for help loads no model code.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("projectone.server.serve.initialise", "make the server's home: folders, database, keys"),
    "serve": ("projectone.server.serve.processes", "answer devices (API) and publishers (Hub)"),
    "work": ("projectone.server.work.worker", "train, judge, deploy: the AI Model Trainer's worker"),
    "run": ("projectone.server.work.request", "ask for a training run now"),
    "publish": ("projectone.server.work.publish", "put a model into production without training, such as the base"),
    "rollout": ("projectone.server.work.rollout", "how far a release has gone: pause, resume, halt, roll back"),
    "drift": ("projectone.server.work.drift", "whether models in use hear differently than they did"),
    "status": ("projectone.server.work.status", "what runs, what is released, what waits"),
    "quarantine": ("projectone.server.work.quarantine", "what was set aside, and the way back for sound samples"),
    "corpus": ("projectone.server.work.corpus", "the samples: list them, audit a decision, check the disk"),
    "scripts": ("projectone.server.work.scripts", "what the model gets wrong, and what people are asked to read"),
    "keys": ("projectone.server.work.keys", "the keys that seal samples, and a new master key"),
    "devices": ("projectone.server.work.devices", "who may send; revoke a device that was stolen"),
    "policies": ("projectone.server.work.policies", "what devices may answer: approve, measure, check, sign"),
    "golden": ("projectone.server.work.golden", "who may judge models: candidates, reviews, sealed versions"),
    "audit": ("projectone.server.work.audit", "who did what, and whether that record is as it was written"),
    "backup": ("projectone.server.work.backup", "copy the whole server while it serves: samples here, keys there"),
    "restore": ("projectone.server.work.restore", "make a server from a backup, without what was withdrawn since"),
    "console": ("projectone.server.serve.console", "pages on which reviewers listen, read and decide"),
    "hub": ("projectone.server.serve.hub", "the embedded Hub: tokens with roles, what it holds, what nobody needs"),
    "registry": ("projectone.server.work.registered", "versions on the Hub: where they come from, their names, verify"),
    "tokens": ("projectone.server.work.tokens", "who may look into the server over HTTP, in which role"),
    "train": ("projectone.server.work.train", "fine-tune a model on any manifest"),
    "evaluate": ("projectone.server.work.evaluate", "score a model on any manifest, alone or against another"),
    "assist": ("projectone.server.work.assist", "small classifiers: teach one from a few examples, judge one"),
    "vectors": ("projectone.server.work.vectors", "the store of vectors: check it, sweep it, forget a person"),
    "memories": ("projectone.server.work.hosted_memory", "memories of your product's people: who may keep them here"),
    "validate": ("projectone.server.work.validate", "hold-out suites on a classifier, an alarm or answers"),
    "job": ("projectone.server.work.job", "train, evaluate or teach on a machine that may be taken away"),
    "serve-assist": ("projectone.server.work.serve_assist", "small models as a service, here or on a cluster"),
    "convert": ("projectone.server.work.convert", "write a model in the layout that another program opens"),
    "doctor": ("projectone.server.doctor", "what this machine keeps of our promises, and how fast it is"),
}

EXIT_OK, EXIT_ERROR, EXIT_INTERRUPTED = 0, 2, 130


class Command(Protocol):
    """What the module of a command offers."""

    SUMMARY: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's own options."""
        ...

    def execute(self, arguments: argparse.Namespace, settings: ServerSettings) -> int:
        """Do it; gives the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code (0 well, 2 an error that was explained, 130 interrupted)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal's encoding lacks is no reason to stop
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            code = _run(arguments)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except (ProjectOneError, KeyboardInterrupt, OSError) as error:  # OSError: a full disk, a folder that is closed
            return _explain_error(error, arguments)
    except BrokenPipeError:
        # The reader of a pipe (`| head`) went away: not our error, but the interpreter must not flush into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    return code


def _explain_error(error: BaseException, arguments: list[str]) -> int:
    """A line for people on stderr, with `--json` also an object for programs on stdout; gives the exit code."""
    prog = " ".join(["projectone-server", *(word for word in arguments[:1] if word in COMMANDS)])
    if isinstance(error, UsageError):
        print(error.usage, file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        error = KeyboardInterrupt(str(error) or "interrupted; the same command goes on from here")
        print(file=sys.stderr)
    print(f"{prog}: {printable(str(error), keep=chr(10))}", file=sys.stderr)
    if is_json_asked(arguments):
        print(json.dumps(error_document(error)), flush=True)
    return EXIT_INTERRUPTED if isinstance(error, KeyboardInterrupt) else EXIT_ERROR


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Leave what is said, and where, to `main`."""
        raise UsageError(message, usage=self.format_usage().rstrip())


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        return _explain(arguments)
    name = arguments[0]
    # Loading takes seconds with some commands: Ctrl-C finds its words there too.
    command = cast(Command, importlib.import_module(COMMANDS[name][0]))
    # `words`: for a command that starts processes of its own kind.
    parsed = _parser(name, command).parse_args(arguments[1:], argparse.Namespace(words=arguments))
    return command.execute(parsed, ServerSettings.from_env(os.environ))


def _parser(name: str, command: Command) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"projectone-server {name}",
        description=command.SUMMARY,
        epilog=f"examples:\n{command.EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    _hand_down(command.EXAMPLES, parser)
    return parser


def _hand_down(examples: str, parser: argparse.ArgumentParser) -> None:
    """Give each action of a command, and its actions, those of the command's examples that call it."""
    for group in parser._actions:
        if not isinstance(group, argparse._SubParsersAction):
            continue
        for action in group.choices.values():
            own = _calls_of(action.prog, examples)
            if own and action.epilog is None:
                action.epilog = f"examples:\n{own}"
                action.formatter_class = argparse.RawDescriptionHelpFormatter
            _hand_down(examples, action)


def _calls_of(prog: str, examples: str) -> str:
    """The examples that call `prog`, with the lines that go on from them (indented deeper)."""
    calls = re.findall(r"^  \S.*\n?(?:^   +\S.*\n?)*", examples, re.MULTILINE)
    return "".join(call for call in calls if f"{prog} " in f"{' '.join(call.split())} ").rstrip()


def _explain(arguments: list[str]) -> int:
    lines = "\n".join(f"  {name:10} {summary}" for name, (_, summary) in COMMANDS.items())
    text = (
        f"usage: projectone-server COMMAND [options]\n\n{lines}\n\n"
        "`projectone-server COMMAND --help` shows options and examples. Settings come from PROJECTONE_SERVER_*\n"
        "variables (docs/settings.md)."
    )
    if arguments and arguments[0] in ("-h", "--help"):
        print(text)
        return EXIT_OK
    if arguments and arguments[0] == "--version":
        print(f"projectone-server {__version__}")
        return EXIT_OK
    wanted = next((word for word in arguments if word != "--json"), None)
    raise UsageError("which command?" if wanted is None else f"no command {wanted!r}", usage=f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
