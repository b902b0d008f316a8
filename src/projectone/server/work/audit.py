"""`projectone-server audit`: who did what and when, and whether that record is as it was written."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from projectone.errors import SettingsError
from projectone.server.audit import ACTS, AuditEntry, AuditLog
from projectone.server.database import open_engine
from projectone.server.delivery.signing import load_signer
from projectone.server.home import RELEASE_KEY, require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.settings import ServerSettings
from projectone.server.work.checkpoints import kept_checkpoints, publish_checkpoint, read_checkpoint

SUMMARY = (
    "The record of consents, withdrawals, decisions about samples, exports, releases, keys and revocations. Each entry "
    "is bound to all before it; signed checkpoints, made every hour, show what was cut off or written anew."
)
EXAMPLES = """\
  projectone-server audit show                           the newest entries
  projectone-server audit show --act released --limit 5
  projectone-server audit show --subject 7d0c1f9e         what was done about this sample, consent, run or export
  projectone-server audit verify                         the whole chain and every checkpoint that is kept; 1 if bent
  projectone-server audit verify --checkpoint kept.json  also against one from elsewhere: GET /v1/audit/checkpoint
  projectone-server audit checkpoint                     sign one now, as the worker does every hour"""

EXIT_SOUND, EXIT_BENT = 0, 1
_MAX_LISTED = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    showing = actions.add_parser("show", help="entries, newest first")
    showing.add_argument("--act", choices=ACTS, metavar="ACT", help=f"only this one of {', '.join(ACTS)}")
    showing.add_argument("--subject", metavar="ID", help="only about what has this id, or one that begins like it")
    showing.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default 20)")
    verifying = actions.add_parser("verify", help="whether every entry is as it was written, and none is gone")
    verifying.add_argument(
        "--checkpoint", type=Path, action="append", default=[], metavar="FILE", help="may be repeated"
    )
    signing = actions.add_parser("checkpoint", help="sign the log as it is now")
    for action in (showing, verifying, signing):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Show, verify or sign."""
    if arguments.action == "show" and not 1 <= arguments.limit <= _MAX_LISTED:
        raise SettingsError(f"--limit: expected 1 to {_MAX_LISTED}, got {arguments.limit}")
    require_home(settings)
    engine = open_engine(settings.database_url)
    code = EXIT_SOUND
    try:
        upgrade_database(engine)
        log = AuditLog(engine)
        if arguments.action == "show":
            found = log.newest(arguments.limit, act=arguments.act, subject=arguments.subject)
            facts: dict[str, Any] = {"entries": [vars(entry) for entry in found]}
            text = "\n".join(map(_line, found)) or "no such entry"
        elif arguments.action == "verify":
            code, facts, text = _verify(log, arguments.checkpoint, settings)
        else:
            facts, text = _sign(settings)
    finally:
        engine.dispose()
    print(json.dumps(facts) if arguments.json else text)
    return code


def _verify(log: AuditLog, given: list[Path], settings: ServerSettings) -> tuple[int, dict[str, Any], str]:
    trusted = load_signer(settings.keys_folder / RELEASE_KEY).trusted
    checkpoints = [*kept_checkpoints(settings.checkpoints, trusted).values()]
    checkpoints += [read_checkpoint(path, trusted) for path in given]
    found = log.verify(checkpoints)
    facts = {"is_sound": found.is_sound, **vars(found), "problems": list(found.problems)}
    lines = list(found.problems)
    newest = max((item.n_entries for item in checkpoints), default=0)
    lines.append(
        f"{found.n_entries} entries, {found.n_checkpoints} checkpoints: "
        + (f"sound; what came after entry {newest} is bound by the chain alone" if found.is_sound else "CHANGED")
    )
    return EXIT_SOUND if found.is_sound else EXIT_BENT, facts, "\n".join(lines)


def _sign(settings: ServerSettings) -> tuple[dict[str, Any], str]:
    signed = publish_checkpoint(settings, datetime.now(UTC))
    if signed is None:
        return {"is_new": False}, "nothing was done since the last checkpoint"
    trusted = load_signer(settings.keys_folder / RELEASE_KEY).trusted
    newest = list(kept_checkpoints(settings.checkpoints, trusted).items())[-1]
    facts = {"is_new": True, "file": str(newest[0]), **newest[1].model_dump(mode="json")}
    return facts, f"{newest[1].n_entries} entries are signed: {newest[0]}; keep a copy where this machine cannot reach"


def _line(entry: AuditEntry) -> str:
    facts = " ".join(f"{name}={value}" for name, value in entry.facts.items() if value is not None)
    when = f"{datetime.fromisoformat(entry.at):%Y-%m-%d %H:%M:%S}"
    return f"{entry.seq:6}  {when}  {entry.act:17}  {entry.subject:36}  {entry.actor:10}  {facts}".rstrip()
