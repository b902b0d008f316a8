"""Commands that can go on where they were, done as work that may be ended at any moment."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol, cast

from projectone.errors import DataError, UsageError
from projectone.server.settings import ServerSettings
from projectone.storage.files import make_folder, write_atomically
from projectone.storage.locks import exclusive_lock

EXIT_AGAIN = 75
"""`EX_TEMPFAIL` of sysexits.h: not done, and not wrong; start it again."""
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class _Resumable:
    """A command that can go on: its module, and the option that lets it."""

    module: str
    resume: str


RESUMABLE = {
    "train": _Resumable("projectone.server.work.train", "--resume"),
    "evaluate": _Resumable("projectone.server.work.evaluate", "--keep"),
    "assist": _Resumable("projectone.server.work.assist", "--resume"),
}


class _Work(Protocol):
    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def execute(self, arguments: argparse.Namespace, settings: ServerSettings) -> int: ...


def resumed(words: Sequence[str]) -> list[str]:
    """The words of the work, with those that let it go on.

    Raises:
        UsageError: if it is no work that can.
    """
    if not words or words[0] not in RESUMABLE or (words[0] == "assist" and words[1:2] != ["train"]):
        raise UsageError("job: expected train, evaluate or assist train, and their options")
    option = RESUMABLE[words[0]].resume
    if option == "--keep" and not any(word.split("=")[0] == option for word in words):
        raise UsageError(f"job {words[0]}: expected {option} DIR, where what was done is kept")
    return [*words, option] if option == "--resume" and option not in words else list(words)


def run_job(words: Sequence[str], result: Path, settings: ServerSettings) -> int:
    """Do the work in this process, unless its result is there; gives its exit code.

    Args:
        words: Of the work, as `resumed` gives them.
        result: Where what it prints is kept, with the words.
        settings: Of this server.

    Raises:
        LeaseError: if another process does it.
        DataError: if the result is that of other work.
    """
    make_folder(result.parent)
    with exclusive_lock(result.with_name(f"{result.name}.lock"), what=f"the job of {result.name!r}"):
        if result.exists():
            read_result(result, words)
            return 0
        said = io.StringIO()
        try:
            with _ended_by_sigterm(), contextlib.redirect_stdout(said):
                code = _do(words, settings)
        except KeyboardInterrupt:
            return EXIT_AGAIN
        if code == 0:
            facts = {"schema_version": _SCHEMA_VERSION, "work": list(words), "said": said.getvalue()}
            write_atomically(result, json.dumps(facts, indent=1).encode())
        else:
            print(said.getvalue(), end="")
        return code


def read_result(result: Path, words: Sequence[str]) -> str:
    """What the work printed when it was done.

    Raises:
        DataError: if the file is none, or that of other work.
    """
    try:
        facts = json.loads(result.read_bytes())
        is_ours, said = facts["work"] == list(words), str(facts["said"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("no-result", f"{result.name!r}: expected the result of a job") from error
    if not is_ours:
        raise DataError("other-work", f"{result.name!r} is the result of another job; name another --result")
    return said


def _do(words: Sequence[str], settings: ServerSettings) -> int:
    work = cast(_Work, importlib.import_module(RESUMABLE[words[0]].module))
    parser = _Parser(prog=f"projectone-server {words[0]}")
    work.add_arguments(parser)
    return work.execute(parser.parse_args(words[1:], argparse.Namespace(words=list(words))), settings)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, usage=self.format_usage().rstrip())


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does; a second one ends the process at once."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not the main thread: whoever runs us there hears of signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
