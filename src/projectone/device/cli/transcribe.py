"""`projectone transcribe`: recordings to text, word by word, or to subtitles."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from projectone.device.cli.progress import ProgressLine
from projectone.device.cli.results import Command, Result, recording_facts
from projectone.device.cli.transcripts import (
    add_format_arguments,
    check_format_arguments,
    transcript,
    write_transcript,
)
from projectone.device.client import DeviceClient
from projectone.device.heard import OnProgress
from projectone.device.recordings import Recording
from projectone.errors import DataError, SettingsError

_EXAMPLES = """\
  projectone transcribe note.wav
  projectone transcribe --words note.wav                  when each word was said; doubtful ones have a question mark
  projectone transcribe --format srt -o talk.srt talk.wav
  projectone transcribe --format vtt -o subtitles/ *.wav  one file for each, in a folder that is there
  projectone transcribe --json *.wav"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="PCM WAV files")
    add_format_arguments(parser)


def _execute(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    _check(arguments)
    done: list[tuple[Path, Recording]] = []
    errors: list[tuple[Path, DataError]] = []
    for path in arguments.files:
        try:
            with ProgressLine() as line:
                done.append((path, client.transcribe(path, on_progress=_minutes(line, path))))
        except DataError as error:  # one bad file must not cost the others
            errors.append((path, error))
            print(f"projectone transcribe: {error}", file=sys.stderr)
    recordings, lines = [], []
    for path, recording in done:
        facts = {"file": str(path), **recording_facts(recording)}
        if arguments.out is None:
            lines.append(transcript(recording, arguments))
        else:
            facts["written"] = str(write_transcript(recording, path.stem, arguments))
            lines.append(f"{recording.recording_id[:8]}  {facts['written']}")
        recordings.append(facts)
    refused = [{"file": str(path), "reason": error.reason, "message": str(error)} for path, error in errors]
    return Result(
        {"recordings": recordings, "errors": refused},
        "\n".join(lines),
        is_done=not errors,
        problem="; ".join(str(error) for _, error in errors),
    )


def _minutes(line: ProgressLine, path: Path) -> OnProgress:
    return lambda done_s, total_s: line.show(f"{path.name}: {done_s / 60:.1f} of {total_s / 60:.1f} minutes")


def _check(arguments: argparse.Namespace) -> None:
    check_format_arguments(arguments)
    out, n_files = arguments.out, len(set(arguments.files))
    if out is None or n_files == 1:
        return
    if not out.is_dir():
        raise SettingsError(f"--out: expected a folder that is there for {n_files} recordings, got {str(out)!r}")
    if len({path.stem for path in arguments.files}) < n_files:
        raise SettingsError("--out: two of the recordings have the same name; what is written of them would, too")


TRANSCRIBE = Command(_EXAMPLES, _add_arguments, _execute)
