"""Who somebody says they are, and the way to whoever vouches for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Purpose = Literal["sign-in", "prove"]


@dataclass(frozen=True)
class Identity:
    """Who the provider says somebody is: the subject, and an address that it has verified, if it says one."""

    subject: str
    email: str | None


@dataclass(frozen=True)
class Login:
    """A way to the provider that somebody is on.

    Attributes:
        nonce: What their ID token must hold.
        verifier: Of PKCE.
        session: The session whose holder shows again who they are; empty for a new one.
    """

    purpose: Purpose
    nonce: str
    verifier: str
    session: str
    begun_at: datetime


class Provider(Protocol):
    """Where people sign in."""

    def begin(self, purpose: Purpose, session: str = "") -> tuple[str, str]:
        """Send somebody on their way: the address at the provider, and a secret for their browser's cookie.

        Raises:
            TransportError: if the provider cannot be reached, or says of itself what cannot be believed.
        """
        ...

    def finish(self, secret: str, answer: Mapping[str, str]) -> tuple[Login, Identity]:
        """Who came back, if the answer belongs to the browser that was sent away.

        Raises:
            SignatureError: if anything about it is not as it must be.
            TransportError: if the provider cannot be reached.
        """
        ...
