"""`projectone donate`: what to read, whether the recording is good, and the way back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from projectone.contracts.texts import MAX_TRANSCRIPT_CHARACTERS, clean_transcript
from projectone.device.cli.results import Command, Result, add_others_present, kept_result, undone_result
from projectone.device.client import DeviceClient
from projectone.device.scripts import Offer
from projectone.errors import DataError, UsageError
from projectone.storage.given_files import read_given

_SCRIPT = f"a text in UTF-8 of at most {MAX_TRANSCRIPT_CHARACTERS} characters"
_MAX_SCRIPT_BYTES = 4 * MAX_TRANSCRIPT_CHARACTERS + 3  # the longest letters, and the mark that some editors begin with
_ALL_READ = "you have read every sentence; thank you. The server chooses new ones after each training"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="a PCM WAV file; without it, the sentence to read is shown"
    )
    script = parser.add_mutually_exclusive_group()
    script.add_argument("--text", help="what was read aloud, if not the sentence that was shown")
    script.add_argument("--script", type=Path, metavar="FILE", help="a text file that holds what was read aloud")
    parser.add_argument("--script-id", metavar="NAME", help="the script's name, if it has one")
    parser.add_argument("--anyway", action="store_true", help="keep it though something seems wrong with it")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--skip", action="store_true", help="show another sentence, and this one never again")
    way.add_argument("--undo", action="store_true", help="take the last donation back")
    add_others_present(parser)


def _donate(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.undo:
        return _undo(client)
    text, script_id = _own_text(arguments), arguments.script_id
    if arguments.file is None:
        if text is not None:
            raise UsageError("donate: --text and --script say what is in FILE: expected a FILE", usage="")
        return _offered(client.donating.next_script(is_skipping=arguments.skip))
    if text is None:
        offer = client.donating.next_script(is_skipping=arguments.skip)
        if offer is None:
            raise DataError("scripts-read", f"{_ALL_READ}; --text gives something else")
        text, script_id = offer.script.text, offer.script.script_id
    return _give(client, arguments, text, script_id)


def _give(client: DeviceClient, arguments: argparse.Namespace, text: str, script_id: str | None) -> Result:
    client.donating.require_consent()  # before anybody is told to come closer
    check = client.donating.check(arguments.file, text)
    if check.finding is not None and not arguments.anyway:
        advice = f"not kept: {check.finding.advice}"
        facts = {"is_kept": False, "reason": check.finding.reason, "heard": check.heard, "text": text}
        return Result(facts, f"{advice}\n  the sentence: {text}", is_done=False, problem=advice)
    others_present = arguments.others_present or _asked("Can anybody else be heard? [y/N] ", arguments)
    kept = kept_result(client.donating.give(arguments.file, text, script_id, others_present=others_present))
    if script_id is None:
        return kept
    following = _offered(client.donating.next_script())
    return Result(kept.facts | {"next": following.facts}, f"{kept.text}\n{following.text}")


def _asked(question: str, arguments: argparse.Namespace) -> bool:
    """What a person answers; no where nobody can be asked."""
    if arguments.json or not sys.stdin.isatty():
        return False
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _offered(offer: Offer | None) -> Result:
    if offer is None:
        return Result({"script": None}, _ALL_READ)
    script = offer.script
    facts: dict[str, Any] = {
        "script": {"script_id": script.script_id, "text": script.text, "why": script.why},
        "n_read": offer.n_read,
        "n_scripts": offer.n_scripts,
    }
    lines = [
        f"sentence {offer.n_read + 1} of {offer.n_scripts}",
        f"  {script.text}",
        f"  why: {script.why}",
        "record it, then: projectone donate FILE    (--skip shows another)",
    ]
    return Result(facts, "\n".join(lines))


def _undo(client: DeviceClient) -> Result:
    undone = client.donating.undo()
    if undone is None:
        return Result({"is_undone": False}, "there is no donation to take back")
    return undone_result(undone)


def _own_text(arguments: argparse.Namespace) -> str | None:
    """What was read aloud, if the person says it themself: looked at before the sound is."""
    if arguments.script is None:
        return None if arguments.text is None else clean_transcript(arguments.text)
    name = repr(str(arguments.script))
    content = read_given(arguments.script, max_bytes=_MAX_SCRIPT_BYTES, expected=_SCRIPT)
    try:
        return clean_transcript(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError("file-unreadable", f"{name}: expected {_SCRIPT}, got other bytes") from error
    except DataError as error:
        raise DataError(error.reason, f"{name}: {error}") from error


DONATE = Command(
    "  projectone donate                        the sentence to read, and why\n"
    "  projectone donate reading.wav            check it, keep it, show the next one\n"
    "  projectone donate --undo                 take the last one back\n"
    '  projectone donate page1.wav --text "the quick brown fox"',
    _arguments,
    _donate,
)
