"""Rows of tokens: whom the Hub knows, for what, until when. Of the tokens themselves only digests are kept."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, delete, insert, select, update

from projectone.server.hubd.tables import TOKENS

Role = Literal["read", "write", "admin"]
ROLES: Final[tuple[Role, ...]] = ("read", "write", "admin")
"""Each may what those before it may; `write` adds commits, tags and branches, `admin` takes away for good."""

_ID_LENGTH = 12


@dataclass(frozen=True)
class Token:
    """What a bearer token allows.

    Attributes:
        name: The account that it stands for.
        role: What it may do where it counts.
        scopes: Namespaces, and repositories as ``namespace/name``; elsewhere its holder is a stranger.
        expires_at_s: Unix time; None for never.
    """

    name: str
    role: Role
    scopes: frozenset[str]
    expires_at_s: float | None


@dataclass(frozen=True)
class ListedToken:
    """A token as an operator sees it."""

    token_id: str
    token: Token
    created_at_s: float


class TokenRows:
    """Tokens inside one transaction. A part of `Rows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def token(self, digest: str) -> Token | None:
        """The token with this SHA-256."""
        row = self._connection.execute(select(TOKENS).where(TOKENS.c.digest == digest)).one_or_none()
        return None if row is None else _token(row)

    def add_token(self, digest: str, token: Token) -> str:
        """Keep a token by its SHA-256, and give its id; the same one twice is the same row."""
        self._connection.execute(delete(TOKENS).where(TOKENS.c.digest == digest))
        values = {"digest": digest, "name": token.name, "role": token.role, "expires_at_s": token.expires_at_s}
        names = json.dumps(sorted(token.scopes))
        self._connection.execute(insert(TOKENS).values(**values, namespaces=names, created_at_s=time.time()))
        return digest[:_ID_LENGTH]

    def tokens(self) -> list[ListedToken]:
        """Every token that was given out, oldest first."""
        rows = self._connection.execute(select(TOKENS).order_by(TOKENS.c.created_at_s, TOKENS.c.digest))
        return [ListedToken(row.digest[:_ID_LENGTH], _token(row), row.created_at_s) for row in rows]

    def end_tokens(self, named: str, at_s: float) -> list[str]:
        """End the valid tokens of an account, or the one with this id; gives their ids."""
        ended = []
        for row in self._connection.execute(select(TOKENS)).all():
            is_meant = row.name == named or (len(named) == _ID_LENGTH and row.digest.startswith(named))
            if is_meant and (row.expires_at_s is None or row.expires_at_s > at_s):
                this = TOKENS.c.digest == row.digest
                self._connection.execute(update(TOKENS).where(this).values(expires_at_s=at_s))
                ended.append(row.digest[:_ID_LENGTH])
        return ended


def _token(row: Any) -> Token:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    return Token(row.name, row.role, frozenset(json.loads(row.namespaces)), row.expires_at_s)
