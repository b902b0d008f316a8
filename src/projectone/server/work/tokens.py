"""`projectone-server tokens`: who may look into the server over HTTP and decide, in which role, until when."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from projectone.errors import DataError
from projectone.server.database import open_engine
from projectone.server.devices.operators import ROLES, Operator, OperatorTokens
from projectone.server.home import require_home
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.settings import ServerSettings
from projectone.server.work.quarantine import user_name

SUMMARY = (
    "Tokens of operators. A role opens its own routes and no other: reviewer the queue of held samples, trainer the "
    "runs, auditor the audit log, admin all three. A token is shown once; only its digest is kept."
)
EXAMPLES = """\
  projectone-server tokens create ada --role reviewer           for 90 days; the token is printed once
  projectone-server tokens create ci --role trainer --days 7
  projectone-server tokens create bob --role reviewer --identity bob@example.org   signs in by OpenID
  projectone-server tokens list
  projectone-server tokens revoke ada                           every token of the account, at once
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8700/v1/review/queue"""

_DAYS = 90.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    creating = actions.add_parser("create", help="a new token, printed once")
    creating.add_argument("name", metavar="NAME", help="account of one person or program: the audit log names it")
    creating.add_argument("--role", choices=ROLES, required=True, help="what it may do")
    creating.add_argument(
        "--days", type=float, default=_DAYS, help=f"until it expires (default {_DAYS:g}, at most 366)"
    )
    creating.add_argument("--identity", help="who they are at the sign-in provider, instead of a token")
    listing = actions.add_parser("list", help="every token that was given out")
    revoking = actions.add_parser("revoke", help="end tokens from the next request on")
    revoking.add_argument("name", metavar="NAME", help="an account, or the id of one token")
    for action in (creating, listing, revoking):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Create, list or revoke."""
    require_home(settings)
    now = datetime.now(UTC)
    engine = open_engine(settings.database_url)
    try:
        upgrade_database(engine)
        tokens = OperatorTokens(engine)
        if arguments.action == "create":
            days = arguments.days if 0 < arguments.days < 10_000 else 0.0  # nan compares as false
            bearer, operator = tokens.create(
                arguments.name,
                arguments.role,
                lifetime=timedelta(days=days),
                by=user_name(),
                now=now,
                identity=arguments.identity,
            )
            until = f"{operator.role} until {operator.expires_at:%Y-%m-%d}"
            facts: dict[str, Any] = _plain(operator, now)
            if arguments.identity is None:
                facts, text = {**facts, "token": bearer}, f"{bearer}\n{until}; it is shown this once"
            else:  # nobody is told the token, so the provider is the only way in
                text = f"{operator.identity} signs in at the provider as {operator.name}, {until}"
        elif arguments.action == "list":
            found = tokens.listed()
            facts = {"tokens": [_plain(operator, now) for operator in found]}
            text = "\n".join(_line(operator, now) for operator in found) or "no token was given out"
        else:
            ids = tokens.revoke(arguments.name, by=user_name(), now=now)
            if not ids:
                raise DataError("token-unknown", f"{arguments.name!r}: has no token that is valid; see `tokens list`")
            facts, text = {"revoked": ids}, f"revoked: {', '.join(ids)}"
    finally:
        engine.dispose()
    print(json.dumps(facts) if arguments.json else text)
    return 0


def _plain(operator: Operator, now: datetime) -> dict[str, Any]:
    plain = {
        key: value.isoformat() if isinstance(value, datetime) else value for key, value in asdict(operator).items()
    }
    return {**plain, "is_valid": operator.is_valid(now)}


def _line(operator: Operator, now: datetime) -> str:
    state = "valid" if operator.is_valid(now) else "revoked" if operator.revoked_at is not None else "expired"
    return f"{operator.token_id}  {operator.name:16}  {operator.role:8}  until {operator.expires_at:%Y-%m-%d}  {state}"
