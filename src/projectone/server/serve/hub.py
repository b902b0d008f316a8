"""`projectone-server hub`: the embedded Hub's tokens, what it holds, and what nobody needs any more."""

from __future__ import annotations

import argparse
import getpass
import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from projectone.errors import DataError, SettingsError
from projectone.server.audit import record
from projectone.server.database import open_engine
from projectone.server.home import require_home
from projectone.server.hubd.auth import issue_token
from projectone.server.hubd.garbage import collect
from projectone.server.hubd.repos import HubStore
from projectone.server.hubd.settings import HubSettings
from projectone.server.hubd.token_rows import ROLES, ListedToken
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.settings import ServerSettings

SUMMARY = (
    "The embedded Hub. A token counts in namespaces or single repositories, and has a role: `read`; `write` adds "
    "commits, tags and branches; `admin` also hides, squashes and deletes for good. A token is shown once; only its "
    "digest is kept."
)
EXAMPLES = """\
  projectone-server hub tokens create ci --role write --scope projectone/whisper --days 30
  projectone-server hub tokens list
  projectone-server hub tokens revoke ci                every token of the account, at once
  projectone-server hub usage                           bytes by namespace
  projectone-server hub gc --dry-run                    what nobody refers to; without --dry-run it goes"""

_DAYS = 90.0
_DAY_S = 86_400.0
_GC_HOURS = 24.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    tokens = actions.add_parser("tokens", help="who may do what")
    verbs = tokens.add_subparsers(dest="verb", required=True, metavar="VERB")
    creating = verbs.add_parser("create", help="a new token, printed once")
    creating.add_argument("name", metavar="NAME", help="account: author of commits, and named by the audit log")
    creating.add_argument("--role", choices=ROLES, required=True, help="what it may do")
    creating.add_argument(
        "--scope", action="append", required=True, metavar="SCOPE", help="namespace or namespace/name; may be repeated"
    )
    creating.add_argument("--days", type=float, default=_DAYS, help=f"until it expires (default {_DAYS:g})")
    listing = verbs.add_parser("list", help="every token that was given out")
    revoking = verbs.add_parser("revoke", help="end tokens from the next request on")
    revoking.add_argument("name", metavar="NAME", help="an account, or the id of one token")
    using = actions.add_parser("usage", help="bytes by namespace")
    collecting = actions.add_parser("gc", help="remove what nobody refers to")
    collecting.add_argument("--dry-run", action="store_true", help="only say what would go")
    collecting.add_argument(
        "--hours", type=float, default=_GC_HOURS, help=f"younger files stay (default {_GC_HOURS:g}, at least 2)"
    )
    for action in (creating, listing, revoking, using, collecting):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Do one of them."""
    require_home(settings)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        store = HubStore(engine, settings.home / "hub", record=record)
        if arguments.action == "tokens":
            facts, text = _TOKENS[arguments.verb](store, arguments)
        elif arguments.action == "usage":
            facts, text = _usage(store, settings)
        else:
            facts, text = _collect(store, arguments)
    finally:
        engine.dispose()
    print(json.dumps(facts) if arguments.json else text)
    return 0


def _create(store: HubStore, arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    if not 0 < arguments.days <= 3660:  # nan compares as false
        raise SettingsError(f"--days: expected more than 0 and at most 3660, got {arguments.days:g}")
    lifetime_s = arguments.days * _DAY_S
    try:
        bearer = issue_token(
            store, arguments.name, arguments.role, arguments.scope, lifetime_s=lifetime_s, by=_operator()
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error
    until = datetime.fromtimestamp(time.time() + lifetime_s, UTC)
    facts = {"name": arguments.name, "role": arguments.role, "scopes": arguments.scope, "expires_at": until.isoformat()}
    text = f"{bearer}\n{arguments.role} in {', '.join(arguments.scope)} until {until:%Y-%m-%d}; it is shown this once"
    return {**facts, "token": bearer}, text


def _list(store: HubStore, arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    with store.reading() as rows:
        found = [_plain(one) for one in rows.tokens()]
    lines = [
        f"{one['token_id']}  {one['name']:16}  {one['role']:5}  {'valid' if one['is_valid'] else 'ended'}  "
        f"until {(one['expires_at'] or 'further notice')[:10]}  {', '.join(one['scopes'])}"
        for one in found
    ]
    return {"tokens": found}, "\n".join(lines) or "no token was given out"


def _revoke(store: HubStore, arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    with store.writing() as rows:
        ended = rows.end_tokens(arguments.name, time.time())
        for token_id in ended:
            rows.note("hub-token-revoked", token_id, _operator())
    if not ended:
        raise DataError("token-unknown", f"{arguments.name!r}: has no token that is valid; see `hub tokens list`")
    return {"revoked": ended}, f"revoked: {', '.join(ended)}"


_TOKENS = {"create": _create, "list": _list, "revoke": _revoke}


def _usage(store: HubStore, settings: ServerSettings) -> tuple[dict[str, Any], str]:
    with store.reading() as rows:
        names = sorted({repo.namespace for repo in rows.repos()})
        used = {name: rows.used_bytes(name) for name in names}
    quota = quota_bytes(settings)
    limit = "" if quota is None else f" of {quota / 1e9:.3f} GB"
    text = "\n".join(f"{name:24}  {n_bytes / 1e9:.3f} GB{limit}" for name, n_bytes in used.items())
    return {"namespaces": used, "quota_bytes": quota}, text or "no repository yet"


def _collect(store: HubStore, arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    shortest_s = 2 * HubSettings(public_url="http://hub").url_lifetime_s
    if not arguments.hours * 3600 >= shortest_s:
        raise SettingsError(f"--hours: expected at least {shortest_s / 3600:g}, the life of upload URLs")
    found = collect(store, older_than_s=arguments.hours * 3600, by=_operator(), is_dry_run=arguments.dry_run)
    what = "would go" if arguments.dry_run else "are gone"
    text = (
        f"{found.n_blobs} files ({found.n_bytes / 1e9:.3f} GB) {what}, with {found.n_objects} objects of old "
        f"histories, {found.n_uploads} uploads that no commit used and {found.n_parts} that were not finished"
    )
    return {**asdict(found), "is_dry_run": arguments.dry_run}, text


def quota_bytes(settings: ServerSettings) -> int | None:
    """What a namespace of the Hub may hold; None for no limit."""
    return int(settings.hub_quota_gb * 1e9) or None


def _operator() -> str:
    """Who is at the keyboard, for the audit log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container often has a number and no name
        return "operator"


def _plain(listed: ListedToken) -> dict[str, Any]:
    token = listed.token
    until = None if token.expires_at_s is None else datetime.fromtimestamp(token.expires_at_s, UTC).isoformat()
    is_valid = token.expires_at_s is None or token.expires_at_s > time.time()
    facts = {"token_id": listed.token_id, "name": token.name, "role": token.role, "scopes": sorted(token.scopes)}
    return {**facts, "expires_at": until, "is_valid": is_valid}
