"""Who is signed in: kept in this process alone, for a quarter of an hour after the last page."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from projectone.server.console.identity import Identity
from projectone.server.devices.operators import Operator, OperatorTokens

IDLE: Final = timedelta(minutes=15)
LONGEST: Final = timedelta(hours=8)
STEPPED_UP_FOR: Final = timedelta(minutes=5)
"""How long after showing the token again somebody may let samples into training."""
_CLOCK_TURNS: Final = timedelta(seconds=10)
"""By so much a clock that is kept right may go back; one that was set back ends what was timed by it."""

ROLES: Final = frozenset({"reviewer", "admin"})
_MAX_SESSIONS = 100


@dataclass(frozen=True)
class Session:
    """A signed-in operator.

    Attributes:
        form_token: Stands in each form of this session.
        proved_at: When the token was last shown.
    """

    operator: Operator
    form_token: str
    begun_at: datetime
    seen_at: datetime
    proved_at: datetime

    def is_stepped_up(self, now: datetime) -> bool:
        """Whether the token was shown just now."""
        return -_CLOCK_TURNS <= now - self.proved_at < STEPPED_UP_FOR


class Sessions:
    """The sessions of one console.

    Args:
        tokens: Asked at every page: a token that is revoked ends its sessions.
        clock: Now, with its zone.
    """

    def __init__(self, tokens: OperatorTokens, clock: Callable[[], datetime]) -> None:
        self._tokens = tokens
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def begin(self, bearer: str) -> str | None:
        """A new session's secret; None unless the token is valid and of a role that reviews."""
        return self._begin(self._reviewer(bearer))

    def begin_for(self, identity: Identity) -> str | None:
        """The same for whom the sign-in provider let in; None unless they are known here in a role that reviews."""
        return self._begin(self._known(identity))

    def _begin(self, operator: Operator | None) -> str | None:
        if operator is None:
            return None
        now, secret = self._clock(), secrets.token_urlsafe(32)
        with self._lock:
            if len(self._sessions) >= _MAX_SESSIONS:  # the one that was seen longest ago
                del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].seen_at)]
            self._sessions[secret] = Session(operator, secrets.token_urlsafe(32), now, now, now)
        return secret

    def find(self, secret: str) -> Session | None:
        """The session, seen now; None if there is none, it was idle or too long, or its token is gone."""
        now = self._clock()
        with self._lock:
            session = self._sessions.get(secret)
        if session is None:
            return None
        is_over = now - session.seen_at > IDLE or now - session.begun_at > LONGEST
        is_over = is_over or now - session.seen_at < -_CLOCK_TURNS
        if is_over or not self._tokens.is_valid(session.operator.token_id, now):
            self.end(secret)
            return None
        session = replace(session, seen_at=now)
        with self._lock:
            self._sessions[secret] = session
        return session

    def prove(self, secret: str, bearer: str) -> bool:
        """Note that the same operator showed the token again; False if it is not theirs."""
        return self._prove(secret, self._reviewer(bearer))

    def prove_for(self, secret: str, identity: Identity) -> bool:
        """The same for whom the sign-in provider has just asked again."""
        return self._prove(secret, self._known(identity))

    def _prove(self, secret: str, operator: Operator | None) -> bool:
        session = self.find(secret)
        if session is None or operator is None or operator.token_id != session.operator.token_id:
            return False
        with self._lock:
            self._sessions[secret] = replace(session, proved_at=self._clock())
        return True

    def end(self, secret: str) -> None:
        """Forget a session."""
        with self._lock:
            self._sessions.pop(secret, None)

    def _reviewer(self, bearer: str) -> Operator | None:
        return _if_reviewer(self._tokens.find(bearer, self._clock()))

    def _known(self, identity: Identity) -> Operator | None:
        """By the verified address, else by the subject; a subject that looks like an address proves none."""
        names = [identity.email, identity.subject if "@" not in identity.subject else None]
        found = (self._tokens.find_identity(name, self._clock()) for name in names if name)
        return _if_reviewer(next((operator for operator in found if operator is not None), None))


def _if_reviewer(operator: Operator | None) -> Operator | None:
    return operator if operator is not None and operator.role in ROLES else None
