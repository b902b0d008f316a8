"""`projectone-server keys`: the keys that seal what people sent, those that sign releases, and new ones for old."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime

from projectone.errors import SettingsError
from projectone.server.audit import record
from projectone.server.database import open_engine, writing
from projectone.server.home import open_keys, require_home
from projectone.server.keys.places import name_of_place
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.settings import ServerSettings
from projectone.server.work import release_keys
from projectone.server.work.quarantine import user_name

SUMMARY = "The keys that seal samples (`status`, `rotate`) and those that sign releases (`show` and the others)."
EXAMPLES = """\
  projectone-server keys status
  projectone-server keys rotate        a new master key; what is sealed stays as it is, old backups of keys open nothing
  projectone-server keys rotate --older-than-days 7     only if the master key is older, as a daily job asks
  projectone-server keys show
  projectone-server keys replace timestamp --root-key /media/a/root-1.key --root-key /media/b/root-2.key
  projectone-server keys renew         sign again what expires soon
  projectone-server keys replace targets --stolen --root-key ... --root-key ...
  projectone-server keys replace-root --without 1f6c2a --new-keys 1 --into /media/c --root-key ... --root-key ..."""

_MAX_DAYS = 36_500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("status", help="keys alive and destroyed, and the age of the master key")
    rotating = actions.add_parser("rotate", help="wrap every key with a new master key, and destroy the old one")
    rotating.add_argument("--older-than-days", type=float, default=0.0, metavar="N", help="only if it is older")
    release_keys.add_actions(actions)
    for action in actions.choices.values():
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Show or rotate."""
    if arguments.action in release_keys.ACTIONS:
        return release_keys.execute(arguments, settings)
    days = arguments.older_than_days if arguments.action == "rotate" else 0.0
    if not 0 <= days <= _MAX_DAYS:  # no number is no comparison, so this refuses nan, too
        raise SettingsError(f"--older-than-days: expected 0 to {_MAX_DAYS}, got {days:g}")
    require_home(settings)
    keys = open_keys(settings, can_open=arguments.action == "rotate")
    try:
        before = keys.ensure_master()
        is_rotated = arguments.action == "rotate" and keys.rotate_if_older(days)
        if is_rotated:
            _record(settings, before, keys.ensure_master())
        facts = {
            "master_key": keys.ensure_master(),
            "place": name_of_place(keys.ensure_master()),
            "master_key_age_days": round(keys.master_age().total_seconds() / 86_400, 3),
            "is_rotated": is_rotated,
            **asdict(keys.counts()),
        }
    finally:
        keys.close()
    text = (
        f"master key  {facts['master_key']} in {facts['place']}, {facts['master_key_age_days']:.1f} days old"
        f"{', new: back it up apart from the samples, and destroy older backups of it' if is_rotated else ''}\n"
        f"consents    {facts['n_alive']} with a key, {facts['n_destroyed']} destroyed, "
        f"{facts['n_spent']} spent with their last sample, "
        f"{facts['n_to_rewrap']} wait to be wrapped anew"
    )
    print(json.dumps(facts) if arguments.json else text)
    return 0


def _record(settings: ServerSettings, before: str, after: str) -> None:
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        with writing(engine) as connection:
            record(connection, "keys-rotated", after, by=user_name(), now=datetime.now(UTC), before=before)
    finally:
        engine.dispose()
