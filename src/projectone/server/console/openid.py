"""Sign-in by OpenID Connect: authorization code with PKCE, and an ID token that is believed in nothing unchecked.

The provider says who somebody is; what they may do stays in our own rows of operators. Sources: OpenID Connect Core
1.0 (3.1.3.7, what is checked of an ID token), RFC 7636 (PKCE), RFC 9207 (the answer names its issuer).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx2
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from projectone.errors import SettingsError, SignatureError, TransportError
from projectone.server.console.id_tokens import LOGIN_TAKES, check_claims, signed_claims
from projectone.server.console.identity import Identity, Login, Purpose

_TIMEOUT_S: Final = 10.0
_KEYS_AGE_S: Final = 600.0
_KEYS_PAUSE_S: Final = 30.0
_MAX_ANSWER_BYTES: Final = 256 * 1024
_MAX_LOGINS: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class OpenIdSettings:
    """What our console is to the provider.

    Attributes:
        issuer: The provider's name, an address; compared letter by letter.
        client_id: Ours, as registered there.
        client_secret: Ours; None for a public client, which PKCE protects.
        redirect_url: Where the provider sends people back to, as registered there.
    """

    issuer: str
    client_id: str
    client_secret: str | None
    redirect_url: str


class OpenIdProvider:
    """One provider, and the people who are on their way there and back.

    Args:
        settings: What we are to it.
        clock: Now, with its zone.
        http: The client; it follows no redirect.
    """

    def __init__(
        self, settings: OpenIdSettings, clock: Callable[[], datetime], http: httpx2.Client | None = None
    ) -> None:
        _require_tls(settings.issuer, "issuer")
        self._settings = settings
        self._clock = clock
        self._http = http or httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False)
        self._logins: dict[str, Login] = {}
        self._lock = threading.Lock()
        self._metadata: dict[str, str] | None = None
        self._keys: KeySet | None = None
        self._keys_at_s = -_KEYS_AGE_S

    def begin(self, purpose: Purpose, session: str = "") -> tuple[str, str]:
        """Send somebody on their way: the address at the provider, and a secret for their browser's cookie.

        Raises:
            TransportError: if the provider cannot be reached, or says of itself what cannot be believed.
        """
        metadata, secret = self._discovered(), secrets.token_urlsafe(32)
        login = Login(purpose, secrets.token_urlsafe(24), secrets.token_urlsafe(48), session, self._clock())
        state = _digest(secret)
        with self._lock:
            too_old = [key for key, other in self._logins.items() if login.begun_at - other.begun_at > LOGIN_TAKES]
            for key in too_old:
                del self._logins[key]
            if len(self._logins) >= _MAX_LOGINS:  # the one that began longest ago
                del self._logins[next(iter(self._logins))]
            self._logins[state] = login
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_url,
            "scope": "openid email",
            "state": state,
            "nonce": login.nonce,
            "code_challenge": _digest(login.verifier),
            "code_challenge_method": "S256",
        }
        if purpose == "prove":
            query |= {"prompt": "login", "max_age": "0"}
        return f"{metadata['authorization_endpoint']}?{urlencode(query)}", secret

    def finish(self, secret: str, answer: Mapping[str, str]) -> tuple[Login, Identity]:
        """Who came back, if the answer belongs to the browser that was sent away and the ID token to the answer.

        Args:
            secret: Of the browser's cookie.
            answer: The query that the provider sent the browser back with.

        Raises:
            SignatureError: if anything about it is not as it must be. A login can be tried once.
            TransportError: if the provider cannot be reached.
        """
        state = answer.get("state", "")
        with self._lock:
            login = self._logins.pop(state, None)
        if login is None or not hmac.compare_digest(state, _digest(secret)):
            raise SignatureError("sign-in: expected an answer that this browser asked for")
        now = self._clock()
        if now - login.begun_at > LOGIN_TAKES:
            raise SignatureError(f"sign-in: took more than {LOGIN_TAKES.seconds // 60} minutes")
        if answer.get("iss", self._settings.issuer) != self._settings.issuer:
            raise SignatureError("sign-in: the answer is another provider's")
        if "code" not in answer:
            raise SignatureError("sign-in: the provider refused")
        claims = self.verify(self._exchange(answer["code"], login.verifier), login, now)
        email = claims.get("email") if claims.get("email_verified") is True else None
        return login, Identity(claims["sub"], email if isinstance(email, str) else None)

    def verify(self, id_token: str, login: Login, now: datetime) -> dict[str, Any]:
        """The claims of an ID token that answers this login.

        Raises:
            SignatureError: naming what is not as it must be.
            TransportError: if the provider's keys cannot be had.
        """
        claims = self._claims(id_token)
        check_claims(
            claims,
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
            nonce=login.nonce,
            since=login.begun_at if login.purpose == "prove" else None,
            now=now,
        )
        return claims

    def _claims(self, id_token: str) -> dict[str, Any]:
        """What the token says, if a key of the provider signed it; it may have new ones since we asked."""
        try:
            return signed_claims(id_token, self._key_set(is_fresh=False))
        except SignatureError:
            return signed_claims(id_token, self._key_set(is_fresh=True))

    def _exchange(self, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_url,
            "client_id": self._settings.client_id,
            "code_verifier": verifier,
        }
        secret = self._settings.client_secret
        auth = None if secret is None else httpx2.BasicAuth(self._settings.client_id, secret)
        answer = self._call("POST", self._discovered()["token_endpoint"], data=form, auth=auth)
        if not isinstance(answer.get("id_token"), str):
            raise SignatureError("sign-in: the provider gave no ID token")
        return str(answer["id_token"])

    def _discovered(self) -> dict[str, str]:
        """The provider's addresses, asked for once."""
        if self._metadata is None:
            found = self._call("GET", f"{self._settings.issuer}/.well-known/openid-configuration")
            if found.get("issuer") != self._settings.issuer:
                raise TransportError(f"provider: expected issuer {self._settings.issuer!r}, got another one")
            names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            for name in names:
                _require_tls(str(found.get(name)), name)
            self._metadata = {name: str(found[name]) for name in names}
        return self._metadata

    def _key_set(self, *, is_fresh: bool) -> KeySet:
        """The provider's keys, at most ten minutes old; for one that is missing they are asked for twice a minute."""
        age_s = time.monotonic() - self._keys_at_s
        if self._keys is None or age_s > _KEYS_AGE_S or (is_fresh and age_s > _KEYS_PAUSE_S):
            keys = self._call("GET", self._discovered()["jwks_uri"]).get("keys")
            # A secret key in a public list would let anybody sign.
            public = [key for key in keys if isinstance(key, dict) and key.get("kty") != "oct"] if keys else []
            try:
                self._keys = KeySet.import_key_set({"keys": public})
            except (JoseError, ValueError) as error:
                raise TransportError(f"provider: its keys cannot be read: {error}") from error
            self._keys_at_s = time.monotonic()
        return self._keys

    def _call(self, method: str, url: str, **what: Any) -> dict[str, Any]:  # noqa: ANN401 - as httpx2 takes it
        try:
            with self._http.stream(method, url, **what) as answer:
                body = b""
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > _MAX_ANSWER_BYTES:
                        raise TransportError("provider: its answer is too long")
        except httpx2.HTTPError as error:
            raise TransportError(f"provider: {type(error).__name__}") from error
        if answer.status_code != 200:
            raise TransportError(f"provider: expected status 200, got {answer.status_code}")
        try:
            found = json.loads(body)
        except ValueError as error:
            raise TransportError("provider: expected JSON") from error
        if not isinstance(found, dict):
            raise TransportError("provider: expected a JSON object")
        return found


def _require_tls(url: str, name: str) -> None:
    """Whoever could read or change what is said on the way could sign in as anybody."""
    parts = urlsplit(url)
    is_local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not (parts.scheme == "https" and parts.hostname) and not is_local:
        raise SettingsError(f"OpenID provider's {name}: expected an https:// address, got {url!r}")


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
