"""`projectone sent` and `projectone undo`: what left this device, and the way back for each of it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from projectone.device.cli.results import Command, Result, undone_result
from projectone.device.client import DeviceClient
from projectone.device.sent import SentPoint
from projectone.errors import DataError, SettingsError, UsageError
from projectone.storage.files import write_atomically

_MAX_LISTED = 1_000_000


def _sent_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sample", nargs="?", metavar="ID", help="show exactly what was sent of this one")
    parser.add_argument("--wav", type=Path, metavar="FILE", help="write its sound here, as it was sent")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many, the last first (default 20)")


def _sent(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if not 1 <= arguments.limit <= _MAX_LISTED:
        raise SettingsError(f"--limit: expected 1 to {_MAX_LISTED}, got {arguments.limit}")
    if arguments.sample is not None:
        return _one(client, arguments)
    if arguments.wav is not None:
        raise UsageError("sent: whose sound? expected the ID of one", usage="")
    items = client.sent(arguments.limit)
    lines = [_line(item) for item in items]
    if lines:
        lines.append("`projectone sent ID` shows one to the byte; `projectone undo ID` takes it back from the server")
    return Result({"sent": [_facts(item) for item in items]}, "\n".join(lines) or "nothing was sent yet")


def _line(item: SentPoint) -> str:
    moment = (item.departure.left_at or item.point.created_at).astimezone()
    return (
        f"{str(item.point.sample_id)[:8]}  {moment:%Y-%m-%d %H:%M}  {item.point.kind:10}  {item.whereabouts:13}  "
        f"{item.point.shown or '(it was deleted here)'}"
    )


def _facts(item: SentPoint) -> dict[str, Any]:
    point, departure = item.point, item.departure
    return {
        "sample_id": str(point.sample_id),
        "kind": point.kind,
        "text": point.text,
        "utterance": point.utterance,
        "made_at": point.created_at.isoformat(),
        "duration_s": round(point.duration_s, 3),
        "whereabouts": item.whereabouts,
        "left_at": departure.left_at and departure.left_at.isoformat(),
        "erased_at": departure.erased_at and departure.erased_at.isoformat(),
        "receipt_id": str(departure.receipt_id),
    }


def _one(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    letter = client.given.letter(arguments.sample)
    if not letter:
        raise DataError(
            "not-sent", f"{arguments.sample!r}: it is not to be sent, or was taken back: nothing is in line"
        )
    facts: dict[str, Any] = {"letter": json.loads(letter), "raw": letter.decode(), "wav": None}
    lines = ["beside the sound, to the byte:", letter.decode()]
    if arguments.wav is not None:
        write_atomically(arguments.wav, client.given.sound(arguments.sample))
        facts["wav"] = str(arguments.wav)
        lines.append(f"the sound: {arguments.wav}")
    return Result(facts, "\n".join(lines))


def _undo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sample", nargs="?", metavar="ID", help="id as `projectone sent` shows it, its beginning, or 'last'"
    )
    parser.add_argument("--all", action="store_true", help="take back everything that was sent")


def _undo(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if arguments.all == (arguments.sample is not None):
        raise UsageError("undo: which one? expected an ID, or --all for everything that was sent", usage="")
    if not arguments.all:
        return undone_result(client.undo(arguments.sample))
    undone = client.undo_all()
    facts = {"undone": [str(item.sample_id) for item in undone]}
    text = f"{len(undone)} taken back: the next `projectone sync` makes the server delete them"
    return Result(facts, text if undone else "the server has nothing of yours")


SENT = Command(
    "  projectone sent                          what left this device, and whether the server has it\n"
    "  projectone sent --limit 100 --json\n"
    "  projectone sent 3f2a91c0 --wav it.wav    exactly what was sent of one",
    _sent_arguments,
    _sent,
)

UNDO = Command(
    "  projectone undo last                     the last correction or donation counts no more\n"
    "  projectone undo 3f2a91c0                 `sync` then makes the server delete it, if it has it\n"
    "  projectone undo --all                    everything that was sent",
    _undo_arguments,
    _undo,
)
