"""`projectone sent` and `projectone undo`: what left this device, and the way back for each of it."""

from __future__ import annotations

import argparse

from projectone.device.cli.results import Command, Result, undone_result
from projectone.device.client import DeviceClient
from projectone.errors import SettingsError

_MAX_LISTED = 1_000_000


def _sent_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many, the last first (default 20)")


def _sent(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    if not 1 <= arguments.limit <= _MAX_LISTED:
        raise SettingsError(f"--limit: expected 1 to {_MAX_LISTED}, got {arguments.limit}")
    items = client.sent(arguments.limit)
    facts = {
        "sent": [
            {
                "sample_id": str(item.point.sample_id),
                "kind": item.point.kind,
                "text": item.point.text,
                "made_at": item.point.created_at.isoformat(),
                "duration_s": round(item.point.duration_s, 3),
                "whereabouts": item.whereabouts,
            }
            for item in items
        ]
    }
    lines = [
        f"{str(item.point.sample_id)[:8]}  {item.point.created_at:%Y-%m-%d %H:%M}  {item.point.kind:10}  "
        f"{item.whereabouts:13}  {item.point.text}"
        for item in items
    ]
    if lines:
        lines.append("`projectone undo ID` takes one back, also from the server")
    return Result(facts, "\n".join(lines) or "nothing was sent yet")


def _undo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sample", metavar="ID", help="id as `projectone sent` shows it, its beginning, or 'last'")


def _undo(client: DeviceClient, arguments: argparse.Namespace) -> Result:
    return undone_result(client.undo(arguments.sample))


SENT = Command(
    "  projectone sent                          what left this device, and whether the server has it\n"
    "  projectone sent --limit 100 --json",
    _sent_arguments,
    _sent,
)

UNDO = Command(
    "  projectone undo last                     the last correction or donation counts no more\n"
    "  projectone undo 3f2a91c0                 `sync` then makes the server delete it, if it has it",
    _undo_arguments,
    _undo,
)
