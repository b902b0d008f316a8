"""What must hold of an ID token before anything in it is believed.

Sources: OpenID Connect Core 1.0, 3.1.3.7; RFC 8725, what goes wrong with JWTs.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from projectone.errors import SignatureError

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "Ed25519", "EdDSA")
"""Signatures by a key that the provider alone has; never `none`, never a shared secret."""

LOGIN_TAKES: Final = timedelta(minutes=10)
"""From the way out to the way back, at most."""

_LEEWAY_S: Final = 60
_MAX_SUBJECT_CHARACTERS: Final = 255


def signed_claims(id_token: str, keys: KeySet) -> dict[str, Any]:
    """What a token says, if one of these keys signed it.

    Raises:
        SignatureError: if none did, or it says nothing.
    """
    try:
        claims = json.loads(jws.deserialize_compact(id_token, keys, algorithms=[*ALGORITHMS]).payload)
    except (JoseError, ValueError) as error:
        raise SignatureError(f"sign-in: the ID token is not signed by the provider: {error}") from error
    if not isinstance(claims, dict):
        raise SignatureError("sign-in: the ID token holds no claims")
    return claims


def check_claims(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, since: datetime | None, now: datetime
) -> None:
    """That a token was issued by whom we asked, to us, just now, in answer to this login.

    Args:
        claims: What it says; its signature holds.
        issuer: Whom we asked.
        client_id: Who we are there.
        nonce: What we sent along.
        since: They must have shown who they are after this; None if an earlier time will do.
        now: The time.

    Raises:
        SignatureError: naming the claims that are not as they must be.
    """
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    now_s, longest_s = now.timestamp(), LOGIN_TAKES.total_seconds()
    issued, shown = claims.get("iat"), claims.get("auth_time")
    subject = claims.get("sub")
    expected = {
        "iss": claims.get("iss") == issuer,
        "aud": isinstance(audiences, list) and client_id in audiences,
        # With another's audience beside ours it was issued to the party that it names.
        "azp": claims.get("azp") == client_id if "azp" in claims or audiences != [client_id] else True,
        "sub": isinstance(subject, str) and 0 < len(subject) <= _MAX_SUBJECT_CHARACTERS,
        "exp": _is_time(claims.get("exp")) and now_s < claims["exp"] + _LEEWAY_S,
        "iat": _is_time(issued) and -_LEEWAY_S <= now_s - claims["iat"] <= longest_s + _LEEWAY_S,
        "nbf": "nbf" not in claims or (_is_time(claims["nbf"]) and claims["nbf"] <= now_s + _LEEWAY_S),
        "nonce": hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()),
        "auth_time": since is None or (_is_time(shown) and claims["auth_time"] >= since.timestamp() - _LEEWAY_S),
    }
    if wrong := [name for name, is_right in expected.items() if not is_right]:
        raise SignatureError(f"sign-in: the ID token's {', '.join(wrong)} is not as it must be")


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**40
