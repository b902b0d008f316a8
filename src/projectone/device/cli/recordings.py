"""`projectone recordings`: what was heard before, all of it or one recording in any form."""

from __future__ import annotations

import argparse

from projectone.device.cli.results import Command, Result, recording_facts, shown
from projectone.device.cli.transcripts import (
    add_format_arguments,
    check_format_arguments,
    transcript,
    write_transcript,
)
from projectone.device.client import DeviceClient
from projectone.errors import SettingsError

_EXAMPLES = """\
  projectone recordings
  projectone recordings --limit 5 --json
  projectone recordings --search 'call Ana'
  projectone recordings last --words                      when each word was said; doubtful ones have a question mark
  projectone recordings 3f2a91c0 --format srt -o talk.srt"""

_MAX_LISTED = 1_000_000


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recording", metavar="ID", nargs="?", help="one alone: its id, a beginning of that, or 'last'")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many, newest first (default 20)")
    parser.add_argument("--search", default="", metavar="WORDS", help="those in which all of these words are")
    parser.add_argument(
        "--delete", metavar="ID", help="delete this one for good, sound and words, also from the server"
    )
    add_format_arguments(parser)


def _execute(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    check_format_arguments(arguments)
    if arguments.recording is not None and (arguments.delete is not None or arguments.search):
        asked = "--delete" if arguments.delete is not None else "--search"
        raise SettingsError(f"{asked}: expected no other ID before it; nothing was deleted or shown")
    if arguments.recording is not None:
        return _one(client, arguments)
    if arguments.words or arguments.format is not None:
        raise SettingsError("--words and --format: expected the ID of one recording with them, or 'last'")
    return _list(client, arguments)


def _one(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    recording = client.recording(arguments.recording)
    facts = recording_facts(recording)
    if arguments.out is None:
        return Result({"recordings": [facts]}, transcript(recording, arguments))
    written = write_transcript(recording, recording.recording_id, arguments)
    return Result({"recordings": [facts | {"written": str(written)}]}, f"{recording.recording_id[:8]}  {written}")


def _list(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if not 1 <= arguments.limit <= _MAX_LISTED:
        raise SettingsError(f"--limit: expected 1 to {_MAX_LISTED}, got {arguments.limit}")
    if arguments.delete is not None:
        recording = client.recording(arguments.delete)
        may_have_left = any(item.may_have_left for item in client.delete_recording(recording.recording_id))
        told = "; the next `projectone sync` makes the server delete what it has" if may_have_left else ""
        return Result({"deleted": recording.recording_id, "may_have_left": may_have_left}, f"deleted{told}")
    recordings = client.library.search(arguments.search, arguments.limit)
    lines = []
    for item in recordings:
        said = f"  -> {item.corrected_text or '(nothing was said)'}" if item.corrected_text is not None else ""
        lines.append(
            f"{item.recording_id[:8]}  {item.recorded_at.astimezone():%Y-%m-%d %H:%M}  {item.duration_s:5.1f} s  "
            f"{item.model_version:8}  {shown(item)}{said}"
        )
    nothing = "no recording has these words" if arguments.search else "no recordings yet: projectone transcribe FILE"
    text = "\n".join(lines) or nothing
    return Result({"recordings": [recording_facts(item) for item in recordings]}, text)


RECORDINGS = Command(_EXAMPLES, _add_arguments, _execute)
