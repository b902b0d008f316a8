"""`projectone transcribe`: recordings to text, word by word, or to subtitles."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from projectone.device.cli.results import Command, Result, recording_facts, shown
from projectone.device.client import DeviceClient
from projectone.device.recordings import Recording
from projectone.device.subtitles import to_srt, to_vtt
from projectone.errors import DataError, SettingsError
from projectone.storage.files import write_atomically

_EXAMPLES = """\
  projectone transcribe note.wav
  projectone transcribe --words note.wav                  when each word was said; doubtful ones have a question mark
  projectone transcribe --format srt -o talk.srt talk.wav
  projectone transcribe --format vtt -o subtitles/ *.wav  one file for each, in a folder that is there
  projectone transcribe --json *.wav"""

_FORMATS: Final[dict[str, Callable[[Recording], str]]] = {
    "srt": lambda recording: to_srt(recording.words),
    "vtt": lambda recording: to_vtt(recording.words),
    "txt": lambda recording: f"{recording.text}\n",
    "json": lambda recording: f"{json.dumps(recording_facts(recording), ensure_ascii=False, indent=2)}\n",
}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="PCM WAV files")
    parser.add_argument("--words", action="store_true", help="say when each word was said, and how sure the model is")
    parser.add_argument("--format", choices=list(_FORMATS), help="subtitles (srt, vtt), the text or everything as JSON")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="PATH", help="where to write --format: a file, or a folder for several"
    )


def _execute(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    _check(arguments)
    done: list[tuple[Path, Recording]] = []
    errors: list[tuple[Path, DataError]] = []
    for path in arguments.files:
        try:
            done.append((path, client.transcribe(path)))
        except DataError as error:  # one bad file must not cost the others
            errors.append((path, error))
            print(f"projectone transcribe: {error}", file=sys.stderr)
    written = _write(done, arguments)
    facts = {
        "recordings": [
            {"file": str(path), **recording_facts(item), **({"written": str(written[path])} if written else {})}
            for path, item in done
        ],
        "errors": [{"file": str(path), "reason": error.reason, "message": str(error)} for path, error in errors],
    }
    text = _shown(done, written, arguments)
    return Result(facts, text, is_done=not errors, problem="; ".join(str(error) for _, error in errors))


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what could not be written before an hour is spent on hearing it."""
    out, n_files = arguments.out, len(set(arguments.files))
    if out is None:
        return
    if arguments.format is None:
        raise SettingsError(f"--out: expected --format with it, one of {', '.join(_FORMATS)}")
    if n_files > 1 and not out.is_dir():
        raise SettingsError(f"--out: expected a folder that is there for {n_files} recordings, got {str(out)!r}")
    if n_files > 1 and len({path.stem for path in arguments.files}) < n_files:
        raise SettingsError("--out: two of the recordings have the same name; their subtitles would, too")
    if not out.is_dir() and not out.parent.is_dir():
        raise SettingsError(f"--out: there is no folder {str(out.parent)!r}")


def _write(done: Sequence[tuple[Path, Recording]], arguments: argparse.Namespace) -> dict[Path, Path]:
    """Where each recording's transcript went; nothing if they are to be shown."""
    if arguments.out is None:
        return {}
    written = {}
    for path, recording in done:
        is_folder = arguments.out.is_dir()
        target = arguments.out / f"{path.stem}.{arguments.format}" if is_folder else arguments.out
        write_atomically(target, _FORMATS[arguments.format](recording).encode())
        written[path] = target
    return written


def _shown(done: Sequence[tuple[Path, Recording]], written: dict[Path, Path], arguments: argparse.Namespace) -> str:
    if written:
        return "\n".join(f"{item.recording_id[:8]}  {written[path]}" for path, item in done)
    if arguments.format is not None:
        return "\n".join(_FORMATS[arguments.format](item).rstrip("\n") for _, item in done)
    lines = []
    for _, item in done:
        lines.append(f"{item.recording_id[:8]}  {shown(item)}")
        lines += word_lines(item) if arguments.words else []
    return "\n".join(lines)


def word_lines(recording: Recording) -> list[str]:
    """A line for each word: begin and end in seconds, how sure the model is, and a question mark where it doubts."""
    return [
        f"  {word.start_s:8.2f} {word.end_s:8.2f}  {word.probability:4.0%}  {word.text}{' ?' * word.is_doubtful}"
        for word in recording.words
    ]


TRANSCRIBE = Command(_EXAMPLES, _add_arguments, _execute)
