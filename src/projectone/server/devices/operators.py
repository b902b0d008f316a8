"""Rows: who may look into the server and decide, by which token, in which role, until when."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Column, DateTime, Engine, String, Table, insert, or_, select, update

from projectone.errors import SettingsError
from projectone.server.audit import record
from projectone.server.database import METADATA, reading, writing

Role = Literal["admin", "reviewer", "trainer", "auditor"]
ROLES: Final[tuple[Role, ...]] = ("admin", "reviewer", "trainer", "auditor")
MAX_LIFETIME: Final = timedelta(days=366)

OPERATOR_TOKENS = Table(
    "operator_tokens",
    METADATA,
    Column("token_id", String(16), primary_key=True),
    Column("name", String(48), nullable=False, index=True),
    Column("role", String(16), nullable=False),
    # The token itself is nowhere: it has 256 random bits, so a plain digest cannot be tried out.
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    # Who the sign-in provider says they are; such an operator has no token that anybody could show.
    Column("identity", String(255), index=True),
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_PREFIX = "po_"
_ID_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A token's holder. The name is an account of one person, so that the audit log says who it was."""

    token_id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    identity: str | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether the token still opens anything."""
        return self.revoked_at is None and now < self.expires_at


class OperatorTokens:
    """The tokens that were given out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self, name: str, role: Role, *, lifetime: timedelta, by: str, now: datetime, identity: str | None = None
    ) -> tuple[str, Operator]:
        """A new token, which can be read this one time, and its row.

        Args:
            name: Account of one person or program; the audit log names it.
            role: What it may do.
            lifetime: How long.
            by: Who gives it.
            now: The time.
            identity: Address or subject at the sign-in provider. Then the provider lets its holder in, and the token
                is to be thrown away.

        Raises:
            SettingsError: for a name that is none of an account, or a lifetime that makes no sense.
        """
        if not _NAME.fullmatch(name):
            raise SettingsError(f"name: expected letters, digits, '.', '_' and '-', at most 48, got {name!r}")
        if not timedelta(0) < lifetime <= MAX_LIFETIME:
            raise SettingsError(f"lifetime: expected more than 0 and at most {MAX_LIFETIME.days} days")
        bearer = f"{_PREFIX}{secrets.token_urlsafe(32)}"
        digest = _digest(bearer)
        values = {"token_id": digest[:_ID_DIGITS], "name": name, "role": role, "created_at": now}
        values |= {"expires_at": now + lifetime, "token_sha256": digest}
        values |= {"identity": None if identity is None else _as_written(identity)}
        with writing(self._engine) as connection:
            connection.execute(insert(OPERATOR_TOKENS).values(**values))
            record(connection, "token-created", digest[:_ID_DIGITS], by=by, now=now, name=name, role=role)
            row = connection.execute(select(OPERATOR_TOKENS).where(OPERATOR_TOKENS.c.token_sha256 == digest)).one()
        return bearer, _operator(row)

    def find(self, bearer: str, now: datetime) -> Operator | None:
        """Whose token this is; None if it is unknown, expired or revoked."""
        query = select(OPERATOR_TOKENS).where(OPERATOR_TOKENS.c.token_sha256 == _digest(bearer))
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        operator = None if row is None else _operator(row)
        return operator if operator is not None and operator.is_valid(now) else None

    def find_identity(self, identity: str, now: datetime) -> Operator | None:
        """Whom the sign-in provider let in, by its newest row; None if nobody valid is known by that name."""
        row = OPERATOR_TOKENS.c
        query = select(OPERATOR_TOKENS).where(row.identity == _as_written(identity)).order_by(row.created_at.desc())
        with reading(self._engine) as connection:
            operators = [_operator(found) for found in connection.execute(query)]
        return next((operator for operator in operators if operator.is_valid(now)), None)

    def is_valid(self, token_id: str, now: datetime) -> bool:
        """Whether a token still opens anything."""
        query = select(OPERATOR_TOKENS).where(OPERATOR_TOKENS.c.token_id == token_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return row is not None and _operator(row).is_valid(now)

    def listed(self) -> list[Operator]:
        """Every token that was ever given out, the newest first."""
        query = select(OPERATOR_TOKENS).order_by(OPERATOR_TOKENS.c.created_at.desc(), OPERATOR_TOKENS.c.token_id)
        with reading(self._engine) as connection:
            return [_operator(row) for row in connection.execute(query)]

    def revoke(self, named: str, *, by: str, now: datetime) -> list[str]:
        """End a token by its id, or all of an account by its name, from the next request on; gives the ids."""
        row = OPERATOR_TOKENS.c
        living = (row.revoked_at.is_(None), or_(row.name == named, row.token_id == named))
        with writing(self._engine) as connection:
            ids = list(connection.execute(select(row.token_id).where(*living)).scalars())
            connection.execute(update(OPERATOR_TOKENS).where(*living).values(revoked_at=now))
            record(connection, "token-revoked", *ids, by=by, now=now)
        return ids


def _digest(bearer: str) -> str:
    return hashlib.sha256(bearer.encode(errors="replace")).hexdigest()


def _as_written(identity: str) -> str:
    """An address is the same in capitals; a provider's subject is not."""
    return identity.casefold() if "@" in identity else identity


def _operator(row: Any) -> Operator:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    # SQLite forgets the zone; everything we write is UTC.
    return Operator(
        token_id=row.token_id,
        name=row.name,
        role=row.role,
        created_at=row.created_at.replace(tzinfo=UTC),
        expires_at=row.expires_at.replace(tzinfo=UTC),
        revoked_at=None if row.revoked_at is None else row.revoked_at.replace(tzinfo=UTC),
        identity=row.identity,
    )
