"""What was heard, as people and other programs read it: a table of words, subtitles, text, JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from projectone.contracts.assist import sure_shown
from projectone.device.cli.results import recording_facts, shown
from projectone.device.forms import FORMS
from projectone.device.heard import Word
from projectone.device.recordings import Recording
from projectone.errors import SettingsError
from projectone.storage.files import write_atomically

FORMATS: Final[dict[str, Callable[[Recording], str]]] = {
    **FORMS,
    "json": lambda recording: f"{json.dumps(recording_facts(recording), ensure_ascii=False, indent=2)}\n",
}


def add_format_arguments(parser: argparse.ArgumentParser) -> None:
    """In which form, and where to."""
    parser.add_argument("--words", action="store_true", help="say when each word was said, and how sure the model is")
    parser.add_argument("--format", choices=list(FORMATS), help="subtitles (srt, vtt), the text or everything as JSON")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="PATH", help="where to write --format: a file, or a folder that is there"
    )


def check_format_arguments(arguments: argparse.Namespace) -> None:
    """Refuse what could not be written before an hour is spent on hearing it.

    Raises:
        SettingsError: if there is no such folder, or nothing to be written to it.
    """
    out: Path | None = arguments.out
    if out is not None and arguments.format is None:
        raise SettingsError(f"--out: expected --format with it, one of {', '.join(FORMATS)}")
    if out is not None and not out.is_dir() and not out.parent.is_dir():
        raise SettingsError(f"--out: there is no folder {str(out.parent)!r}")


def write_transcript(recording: Recording, stem: str, arguments: argparse.Namespace) -> Path:
    """Write a recording in `--format` to `--out`, in a folder under this name; gives where it went.

    Raises:
        StorageError: if the disk refused.
    """
    out: Path = arguments.out
    target = out / f"{stem}.{arguments.format}" if out.is_dir() else out
    write_atomically(target, FORMATS[arguments.format](recording).encode())
    return target


def transcript(recording: Recording, arguments: argparse.Namespace) -> str:
    """A recording in `--format`, or for people, with `--words` word by word."""
    if arguments.format is not None:
        return FORMATS[arguments.format](recording).rstrip("\n")
    lines = [f"{recording.recording_id[:8]}  {shown(recording)}"]
    return "\n".join(lines + (word_lines(recording) if arguments.words else []))


def word_lines(recording: Recording) -> list[str]:
    """A line for each word: begin and end in seconds, how sure the model is, and a question mark where it doubts."""
    return [_word_line(word) for word in recording.words]


def _word_line(word: Word) -> str:
    sure, mark = sure_shown(word.probability), " ?" if word.is_doubtful else ""
    return f"  {word.start_s:8.2f} {word.end_s:8.2f}  {sure:>4}  {word.text}{mark}"
