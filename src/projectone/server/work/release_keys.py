"""`projectone-server keys show|renew|replace|replace-root`: what signs releases, and new keys for old ones."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from projectone.contracts.releases import ReleaseManifest, line_of
from projectone.contracts.versions import FAMILIES
from projectone.errors import RollbackError, SettingsError
from projectone.server.audit import record
from projectone.server.database import Connection, open_engine, writing
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.roles import ONLINE_ROLES, TOP_ROLES, OnlineRole
from projectone.server.home import require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.settings import ServerSettings
from projectone.server.work.quarantine import user_name

ACTIONS = ("show", "renew", "replace", "replace-root")


def add_actions(actions: Any) -> None:  # noqa: ANN401 - argparse does not name the type of its sub-parsers
    """Declare the actions on the keys of releases."""
    actions.add_parser("show", help="the roles that sign releases: keys, versions, and until when they are believed")
    actions.add_parser("renew", help="sign again what expires soon; the worker does it, too")
    replacing = actions.add_parser("replace", help="give roles new keys: what the old ones sign is believed no more")
    replacing.add_argument("roles", nargs="+", choices=ONLINE_ROLES, metavar="ROLE", help=", ".join(ONLINE_ROLES))
    replacing.add_argument(
        "--stolen",
        action="store_true",
        help="a thief may have signed high version numbers: new keys for snapshot and timestamp, too",
    )
    again = actions.add_parser("replace-root", help="a new root: without lost keys, or the same for another year")
    again.add_argument("--without", action="append", default=[], metavar="KEYID", help="a root key that is gone")
    again.add_argument("--new-keys", type=int, default=0, metavar="N", help="how many keys to make in their place")
    again.add_argument("--into", type=Path, metavar="DIR", help="where to write them")
    for action in (replacing, again):
        action.add_argument(
            "--root-key", action="append", default=[], type=Path, metavar="FILE", help="a root key; given twice"
        )


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Show or change what signs releases."""
    require_home(settings)
    act = {"show": _no_act, "renew": _renew, "replace": _replace, "replace-root": _replace_root}[arguments.action]
    act(arguments, settings)
    facts = describe(settings)
    print(json.dumps(facts) if arguments.json else _told(facts))
    return 0


def describe(settings: ServerSettings) -> dict[str, Any]:
    """The roles as they are: keys by id, versions, and until when each is believed."""
    from projectone.server.delivery.opening import role_keys, signed_files

    files, keys = signed_files(settings.home), role_keys(settings.keys_folder)
    root = files.root().signed
    roles = {"root": _role(root.version, root.expires, root.roles["root"].keyids, root.roles["root"].threshold)}
    timestamp = files.timestamp()
    if timestamp is not None:
        snapshot = files.snapshot(timestamp.signed.snapshot_meta.version)
        targets = files.listed("targets", snapshot.signed.meta["targets.json"].version).signed
        rollout = files.listed("rollout", snapshot.signed.meta["rollout.json"].version).signed
        for role, signed in zip(TOP_ROLES, (targets, snapshot.signed, timestamp.signed), strict=True):
            roles[role] = _role(signed.version, signed.expires, root.roles[role].keyids, 1)
        roles["rollout"] = _role(rollout.version, rollout.expires, targets.get_delegated_role("rollout").keyids, 1)
    return {"roles": roles, "n_root_keys_here": keys.root_keys_here(), "root_keys_folder": str(keys.root_folder)}


def _role(version: int, expires: datetime, key_ids: Iterable[str], threshold: int) -> dict[str, Any]:
    return {"version": version, "expires": expires.isoformat(), "keys": list(key_ids), "threshold": threshold}


def _told(facts: dict[str, Any]) -> str:
    lines = [
        f"{name:<10} version {role['version']:<6} until {role['expires'][:16]}  {role['threshold']} of "
        f"{len(role['keys'])}: {', '.join(key[:16] for key in role['keys'])}"
        for name, role in facts["roles"].items()
    ]
    if facts["n_root_keys_here"]:
        lines.append(f"{facts['n_root_keys_here']} root keys lie in {facts['root_keys_folder']}: take them away")
    return "\n".join(lines)


@contextmanager
def _recording(settings: ServerSettings) -> Iterator[Connection]:
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        with writing(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def _no_act(arguments: argparse.Namespace, settings: ServerSettings) -> None:
    pass


def _renew(arguments: argparse.Namespace, settings: ServerSettings) -> None:
    """Sign again, and list the newest release if whoever wrote its row died before that."""
    from projectone.server.delivery.opening import open_publisher

    publisher = open_publisher(settings.home, settings.keys_folder, release_days=settings.release_days)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        ledger = Ledger(engine)

        def newest() -> list[ReleaseManifest]:
            lines = (line_of(family, settings.channel) for family in FAMILIES)
            found = [release for line in lines if (release := ledger.newest(line)) is not None]
            return [manifest for release in found for manifest in release.tiers.values()]

        publisher.publish(newest)
    except RollbackError:  # rows of an old backup: what is listed stays
        publisher.renew()
    finally:
        engine.dispose()


def _replace(arguments: argparse.Namespace, settings: ServerSettings) -> None:
    from projectone.server.delivery.opening import open_ceremonies
    from projectone.server.delivery.role_keys import load_root_keys

    roles: list[OnlineRole] = list(dict.fromkeys(arguments.roles))
    if arguments.stolen:
        roles += [role for role in ("snapshot", "timestamp") if role not in roles]
    signers = load_root_keys(arguments.root_key)
    with _recording(settings) as connection:
        root = open_ceremonies(settings.home, settings.keys_folder).replace(roles, signers)
        now = datetime.now(UTC)
        record(connection, "role-key-replaced", *roles, by=user_name(), now=now, root=root, stolen=arguments.stolen)
    _renew(arguments, settings)


def _replace_root(arguments: argparse.Namespace, settings: ServerSettings) -> None:
    from projectone.server.delivery.opening import open_ceremonies
    from projectone.server.delivery.role_keys import forget_root_keys, load_root_keys, make_root_keys

    if not 0 <= arguments.new_keys <= 9:
        raise SettingsError(f"--new-keys: expected 0 to 9, got {arguments.new_keys}")
    if arguments.new_keys and arguments.into is None:
        raise SettingsError("--new-keys: say with --into where to write them, best on something that can be taken away")
    signers = load_root_keys(arguments.root_key)
    with _recording(settings) as connection:
        ceremonies = open_ceremonies(settings.home, settings.keys_folder)
        new = make_root_keys(arguments.into, arguments.new_keys) if arguments.new_keys else []
        try:
            root = ceremonies.replace_root(signers, without=arguments.without, new=new)
        except SettingsError:  # nothing was signed: keys that no root names would be taken for its keys later
            forget_root_keys(arguments.into, new)
            raise
        now, n_gone = datetime.now(UTC), len(arguments.without)
        record(connection, "root-replaced", root, by=user_name(), now=now, without=n_gone, new=len(new))
    _renew(arguments, settings)
