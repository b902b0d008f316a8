"""Rows: which products keep memories here, by which token, and how long each kind is kept for them."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, delete, insert, select

from projectone.assist.memory import KINDS, Kind, Retention
from projectone.errors import SettingsError
from projectone.server.audit import record
from projectone.server.database import reading, writing
from projectone.server.memories.tables import MEMORY_TENANTS

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_PREFIX: Final = "pm_"
_MAX_KEEP: Final = 96
_ID_DIGITS: Final = 16


@dataclass(frozen=True)
class Tenant:
    """A product, and what it wants kept how long."""

    name: str
    keep: str


class Tenants:
    """The products that a token was given to, each one.

    Args:
        engine: The server's database.
        retention: The server's own; a tenant may keep things shorter, never longer.
    """

    def __init__(self, engine: Engine, retention: Retention) -> None:
        self._engine = engine
        self._retention = retention

    def grant(self, name: str, *, keep: str = "", by: str, now: datetime) -> str:
        """A new token for a tenant, which can be read this one time; an earlier one opens nothing any more.

        Raises:
            SettingsError: if the name is none, or `keep` says something else than a retention.
        """
        if not _NAME.fullmatch(name):
            raise SettingsError("tenant: expected letters, digits, '.', '_' and '-', at most 48")
        Retention.parse(keep)
        if len(keep) > _MAX_KEEP:
            raise SettingsError(f"retention: expected at most {_MAX_KEEP} characters")
        bearer = f"{_PREFIX}{secrets.token_urlsafe(32)}"
        digest = _digest(bearer)
        values = {"tenant": name, "token_sha256": digest, "keep": keep, "added_at": now}
        with writing(self._engine) as connection:
            connection.execute(delete(MEMORY_TENANTS).where(MEMORY_TENANTS.c.tenant == name))
            connection.execute(insert(MEMORY_TENANTS).values(**values))
            record(connection, "token-created", digest[:_ID_DIGITS], by=by, now=now, name=name, role="memories")
        return bearer

    def revoke(self, name: str, *, by: str, now: datetime) -> bool:
        """Let a tenant in no more; what is remembered stays until it is forgotten or runs out. False if unknown."""
        here = MEMORY_TENANTS.c.tenant == name
        with writing(self._engine) as connection:
            digest = connection.execute(select(MEMORY_TENANTS.c.token_sha256).where(here)).scalar_one_or_none()
            if digest is None:
                return False
            connection.execute(delete(MEMORY_TENANTS).where(here))
            record(connection, "token-revoked", digest[:_ID_DIGITS], by=by, now=now, name=name, role="memories")
        return True

    def of(self, bearer: str) -> str | None:
        """Whose token this is; None if nobody's."""
        query = select(MEMORY_TENANTS.c.tenant).where(MEMORY_TENANTS.c.token_sha256 == _digest(bearer))
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one_or_none()

    def all(self) -> list[Tenant]:
        """Every one, by name."""
        query = select(MEMORY_TENANTS.c.tenant, MEMORY_TENANTS.c.keep).order_by(MEMORY_TENANTS.c.tenant)
        with reading(self._engine) as connection:
            return [Tenant(row.tenant, row.keep) for row in connection.execute(query)]

    def retention(self, name: str) -> Retention:
        """How long a tenant's memories are kept: the shorter of its own and the server's."""
        query = select(MEMORY_TENANTS.c.keep).where(MEMORY_TENANTS.c.tenant == name)
        with reading(self._engine) as connection:
            keep = connection.execute(query).scalar_one_or_none()
        if not keep:  # nothing of its own, or a tenant who was let go
            return self._retention
        theirs = Retention.parse(keep)
        return Retention({kind: _shorter(self._retention, theirs, kind) for kind in KINDS})


def _shorter(one: Retention, other: Retention, kind: Kind) -> int | None:
    days = [each.days.get(kind, 0) for each in (one, other)]
    return min((each for each in days if each is not None), default=None)


def _digest(bearer: str) -> str:
    return hashlib.sha256(bearer.encode(errors="replace")).hexdigest()
