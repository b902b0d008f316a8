"""People sign in where their organisation does: a real provider on loopback, and everything that could be bent."""

from __future__ import annotations

import base64
import hmac
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient
from joserfc import jws
from joserfc.jwk import ECKey, KeySet, RSAKey

from projectone.errors import SettingsError, SignatureError, TransportError
from projectone.server.console import openid
from projectone.server.console.app import ConsoleServices, create_console
from projectone.server.console.identity import Login
from projectone.server.console.openid import OpenIdProvider, OpenIdSettings
from projectone.server.console.sessions import Sessions
from projectone.server.console.sign_in import COOKIE, LOGIN_COOKIE
from projectone.server.corpus.review import Reviews
from projectone.server.database import open_engine
from projectone.server.devices.operators import OperatorTokens
from projectone.server.migrations.upgrade import upgrade_database

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
HOST = "localhost:8702"
CLIENT, SECRET = "projectone", "s3cret"
KEY = RSAKey.generate_key(2048, parameters={"kid": "one"})
STRANGER = RSAKey.generate_key(2048, parameters={"kid": "one"})
OTHER = ECKey.generate_key("P-256", parameters={"kid": "two"})

Claims = dict[str, Any]


class Authority(ThreadingHTTPServer):
    """A provider that signs in ada: checks client, code, address and PKCE as real ones do."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.calls_itself = self.issuer
        self.keys = KeySet([KEY, OTHER]).as_dict(private=False)
        self.claims: Claims = {}
        self.asked: dict[str, str] = {}
        self.sign: Callable[[Claims], str] = lambda claims: jws.serialize_compact(
            {"alg": "RS256", "kid": "one"}, json.dumps(claims), KEY
        )
        self.n_key_requests = 0

    def visit(self, address: str) -> dict[str, str]:
        """What a browser is sent back with after its user signed in."""
        path, _, query = address.partition("?")
        assert path == f"{self.issuer}/authorize"
        self.asked = dict(urllib.parse.parse_qsl(query))
        return {"code": "c0de", "state": self.asked["state"], "iss": self.issuer}

    def token(self) -> str:
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "248289761001", "iat": NOW_S, "exp": NOW_S + 300}
        claims |= {"nonce": self.asked["nonce"], "email": "Ada@example.org", "email_verified": True}
        return self.sign({**claims, **self.claims})


class _Answers(BaseHTTPRequestHandler):
    server: Authority

    def do_GET(self) -> None:
        authority = self.server
        if self.path.endswith("/.well-known/openid-configuration"):
            places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
            found = {name: f"{authority.issuer}/{place}" for name, place in places.items()}
            self.say({"issuer": authority.calls_itself, **found})
        else:
            authority.n_key_requests += 1
            self.say(authority.keys)

    def do_POST(self) -> None:
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        asked = self.server.asked
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        is_ours = (
            self.headers["Authorization"] == f"Basic {basic}"
            and form["code"] == "c0de"
            and form["redirect_uri"] == asked["redirect_uri"]
            and openid._digest(form["code_verifier"]) == asked["code_challenge"]
        )
        self.say({"id_token": self.server.token(), "token_type": "Bearer"} if is_ours else {"error": "x"})

    def say(self, found: object) -> None:
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def authority() -> Iterator[Authority]:
    with Authority() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def a_provider(authority: Authority, clock: Callable[[], datetime] = lambda: NOW) -> OpenIdProvider:
    settings = OpenIdSettings(
        issuer=authority.issuer,
        client_id=CLIENT,
        client_secret=SECRET,
        redirect_url=f"http://{HOST}/sign-in/back",
    )
    return OpenIdProvider(settings, clock)


def test_who_comes_back_is_who_the_provider_says(authority: Authority) -> None:
    provider = a_provider(authority)
    address, secret = provider.begin("sign-in")
    login, identity = provider.finish(secret, authority.visit(address))
    assert (login.purpose, identity.subject, identity.email) == ("sign-in", "248289761001", "Ada@example.org")
    assert authority.asked["code_challenge_method"] == "S256" and "max_age" not in authority.asked
    authority.claims = {"email_verified": False}
    address, secret = provider.begin("sign-in")
    assert provider.finish(secret, authority.visit(address))[1].email is None, "an address that nobody verified"


def test_an_answer_is_taken_once_and_from_the_browser_that_was_sent_away(authority: Authority) -> None:
    now = NOW
    provider = a_provider(authority, lambda: now)
    address, secret = provider.begin("sign-in")
    answer = authority.visit(address)
    with pytest.raises(SignatureError, match="this browser"):
        provider.finish("another browser's", answer)
    with pytest.raises(SignatureError, match="this browser"):
        provider.finish(secret, answer)  # it was tried already
    for change, why in ({"iss": "https://evil.example"}, "another provider"), ({"code": None}, "refused"):
        address, secret = provider.begin("sign-in")
        bent = {name: value for name, value in {**authority.visit(address), **change}.items() if value is not None}
        with pytest.raises(SignatureError, match=why):
            provider.finish(secret, bent)
    address, secret = provider.begin("sign-in")
    now += timedelta(minutes=11)
    with pytest.raises(SignatureError, match="minutes"):
        provider.finish(secret, authority.visit(address))


def test_new_keys_of_the_provider_are_fetched_but_not_for_every_forgery(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = a_provider(authority)
    login = Login("sign-in", "n0nce", "v", "", NOW)
    authority.asked = {"nonce": "n0nce"}
    provider.verify(authority.token(), login, NOW)
    new = RSAKey.generate_key(2048, parameters={"kid": "new"})
    forged = jws.serialize_compact({"alg": "RS256", "kid": "new"}, json.dumps({}), new)
    for _ in range(20):
        with pytest.raises(SignatureError):
            provider.verify(forged, login, NOW)
    assert authority.n_key_requests == 1
    authority.keys = KeySet([new]).as_dict(private=False)
    authority.sign = lambda claims: jws.serialize_compact({"alg": "RS256", "kid": "new"}, json.dumps(claims), new)
    monkeypatch.setattr(openid, "_KEYS_PAUSE_S", 0.0)
    assert provider.verify(authority.token(), login, NOW)["sub"] == "248289761001"


def test_a_provider_without_tls_or_with_another_name_is_not_believed(authority: Authority) -> None:
    with pytest.raises(SettingsError, match="https"):
        OpenIdProvider(
            OpenIdSettings(issuer="http://example.org", client_id="x", client_secret=None, redirect_url=""), lambda: NOW
        )
    authority.calls_itself = "https://evil.example"
    with pytest.raises(TransportError, match="another one"):
        a_provider(authority).begin("sign-in")


def unsigned(header: Claims, payload: Claims, signature: str = "") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload)]
    return ".".join([*parts, signature])


def by_secret(claims: Claims) -> str:
    """HS256, with the public key as the secret: the oldest trick."""
    signed = unsigned({"alg": "HS256", "kid": "one"}, claims).rstrip(".")
    digest = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def a_key_of_its_own(claims: Claims) -> str:
    header = {"alg": "RS256", "kid": "one", "jwk": STRANGER.as_dict(private=False)}
    return jws.serialize_compact(header, json.dumps(claims), STRANGER)


def changed(claims: Claims) -> str:
    head, body, signature = honest(claims).split(".")
    payload = json.loads(base64.urlsafe_b64decode(body + "=="))
    return unsigned({"alg": "RS256", "kid": "one"}, {**payload, "email": "eve@example.org"}, signature) or head


def honest(claims: Claims) -> str:
    return jws.serialize_compact({"alg": "RS256", "kid": "one"}, json.dumps(claims), KEY)


def with_header(claims: Claims, **header: str) -> str:
    return jws.serialize_compact({"alg": "RS256", **header}, json.dumps(claims), STRANGER)


SIGNED: dict[str, Callable[[Claims], str]] = {
    "no signature, alg none": lambda claims: unsigned({"alg": "none"}, claims),
    "no signature, alg None": lambda claims: unsigned({"alg": "None"}, claims),
    "no signature, alg nOnE with a kid": lambda claims: unsigned({"alg": "nOnE", "kid": "one"}, claims),
    "no alg": lambda claims: unsigned({"kid": "one"}, claims),
    "RS256 and no signature": lambda claims: unsigned({"alg": "RS256", "kid": "one"}, claims),
    "RS256 and zeros": lambda claims: unsigned({"alg": "RS256", "kid": "one"}, claims, "A" * 342),
    "HS256 by the public key": by_secret,
    "a key of its own in the header": a_key_of_its_own,
    "a stranger's key": lambda claims: with_header(claims, kid="one"),
    "an unknown key": lambda claims: with_header(claims, kid="three"),
    "a kid that is a path": lambda claims: with_header(claims, kid="../../etc/passwd"),
    "another algorithm than signed": lambda claims: honest(claims).replace(
        honest(claims).split(".")[0], unsigned({"alg": "ES256", "kid": "two"}, {}).split(".")[0]
    ),
    "claims changed after signing": changed,
    "half a token": lambda claims: honest(claims)[:-200],
    "no token": lambda claims: "",
}
BENT: dict[str, Claims] = {
    "another issuer": {"iss": "https://evil.example"},
    "an issuer that begins alike": {"iss": "http://127.0.0.1"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "another-client"},
    "no audience": {"aud": None},
    "an audience that holds ours as a part": {"aud": "projectone-staging"},
    "issued to another party of two": {"aud": [CLIENT, "other"], "azp": "other"},
    "two audiences and no party": {"aud": [CLIENT, "other"]},
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "expired": {"exp": NOW_S - 61},
    "expires never": {"exp": None},
    "expires at infinity": {"exp": 1e300},
    "issued tomorrow": {"iat": NOW_S + 86_400},
    "issued yesterday": {"iat": NOW_S - 86_400},
    "not valid yet": {"nbf": NOW_S + 3_600},
    "no subject": {"sub": ""},
    "a subject that is a list": {"sub": ["ada"]},
}


def accepted(authority: Authority) -> list[str]:
    """Which of the bent tokens sign somebody in."""
    provider, found = a_provider(authority), []
    for name in (*SIGNED, *BENT):
        address, secret = provider.begin("sign-in")
        answer = authority.visit(address)
        authority.sign = SIGNED.get(name, honest)
        authority.claims = BENT.get(name, {})
        try:
            provider.finish(secret, answer)
        except SignatureError:
            continue
        found.append(name)
    return found


def test_no_bent_token_is_accepted(authority: Authority) -> None:
    assert len(SIGNED) + len(BENT) >= 30
    assert accepted(authority) == []


def test_without_the_checks_they_are(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a console that only reads what the token says."""

    def read(id_token: str, keys: KeySet) -> Claims:
        try:
            body = id_token.split(".")[1]
            return cast(Claims, json.loads(base64.urlsafe_b64decode(body + "==")))
        except (IndexError, ValueError) as error:
            raise SignatureError("no token") from error

    monkeypatch.setattr(openid, "signed_claims", read)
    assert len(accepted(authority)) == 14, "all but what is no token; the claims are still checked"
    monkeypatch.setattr(openid, "check_claims", lambda claims, **_: None)
    assert len(accepted(authority)) == 32


class Desk:
    """A console whose reviewers sign in at the provider."""

    def __init__(self, authority: Authority, tmp_path: Path) -> None:
        self.now = NOW
        self.authority = authority
        self.engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
        upgrade_database(self.engine)
        self.operators = OperatorTokens(self.engine)
        self.decided: list[tuple[str, str]] = []
        services = ConsoleServices(
            reviews=cast(Reviews, self),
            open_clip=lambda sample_id, by: b"RIFF",
            sessions=Sessions(self.operators, lambda: self.now),
            clock=lambda: self.now,
            provider=a_provider(authority, lambda: self.now),
        )
        self.http = TestClient(
            cast(Any, create_console(services, [HOST])), base_url=f"https://{HOST}", follow_redirects=False
        )

    def held(self, n: int) -> list[object]:
        return []

    def decide(self, ids: list[object], decision: str, *, by: str, why: str | None, now: datetime) -> None:
        self.decided.append((decision, by))

    def know(self, name: str, identity: str, role: Any = "reviewer") -> None:
        days = timedelta(days=1)
        self.operators.create(name, role, lifetime=days, by="test", now=self.now, identity=identity)

    def go(self, path: str) -> Any:
        """To the provider and back."""
        away = self.http.get(path)
        assert away.status_code == 303, away.text
        return self.http.get("/sign-in/back", params=self.authority.visit(away.headers["location"]))

    def accept(self) -> Any:
        found = re.search(r'name="form_token" value="([^"]+)"', self.http.get("/").text)
        assert found is not None
        form = {"form_token": found[1], "sample_id": "00000000-0000-0000-0000-000000000007", "decision": "accept"}
        return self.http.post("/decisions", data=form, headers={"Origin": f"https://{HOST}"})


@pytest.fixture
def desk(authority: Authority, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(authority, tmp_path)
    with made.http:
        yield made
    made.engine.dispose()


def test_a_reviewer_signs_in_at_the_provider_and_is_known_by_the_address(desk: Desk) -> None:
    desk.know("ada", "ada@example.org")
    assert "/sign-in/provider" in desk.http.get("/sign-in").text
    back = desk.go("/sign-in/provider")
    assert back.status_code == 200 and 'content="0;url=/"' in back.text
    assert desk.http.get("/").status_code == 200 and desk.accept().status_code == 303
    assert desk.decided == [("accepted", "ada")]
    desk.operators.revoke("ada", by="test", now=desk.now)
    assert desk.http.get("/").status_code == 303, "the row says who may, at every page"


def test_the_way_out_is_remembered_by_a_cookie_of_its_own(desk: Desk) -> None:
    desk.know("ada", "ada@example.org")
    cookie = desk.http.get("/sign-in/provider").headers["set-cookie"]
    assert cookie.startswith(f"{LOGIN_COOKIE}=") and "SameSite=lax" in cookie and "HttpOnly" in cookie
    entered = [value for value in desk.go("/sign-in/provider").headers.get_list("set-cookie") if "login" not in value]
    assert entered[0].startswith(f"{COOKIE}=") and "SameSite=strict" in entered[0]


@pytest.mark.parametrize("case", ["unknown", "another role", "not verified", "a subject like an address"])
def test_whom_the_provider_knows_and_we_do_not_gets_nowhere(desk: Desk, case: str) -> None:
    if case != "unknown":
        desk.know("ada", "ada@example.org", "auditor" if case == "another role" else "reviewer")
    if case == "not verified":
        desk.authority.claims = {"email_verified": "true"}
    if case == "a subject like an address":
        desk.authority.claims = {"sub": "ada@example.org", "email": "eve@example.org"}
    assert desk.go("/sign-in/provider").status_code == 403
    assert desk.http.get("/").status_code == 303


def test_to_let_a_sample_into_training_they_sign_in_again(desk: Desk) -> None:
    desk.know("ada", "ada@example.org")
    desk.know("bob", "bob-subject")
    desk.go("/sign-in/provider")
    desk.now += timedelta(minutes=6)
    later = {"iat": NOW_S + 360, "exp": NOW_S + 600}
    desk.authority.claims = later
    assert (desk.accept().status_code, desk.decided) == (403, [])
    assert desk.go("/prove/provider").status_code == 403, "the provider did not ask again: no auth_time"
    assert desk.authority.asked["prompt"] == "login" and desk.authority.asked["max_age"] == "0"
    desk.authority.claims = later | {"auth_time": NOW_S}
    assert desk.go("/prove/provider").status_code == 403, "it asked long ago"
    bob = {"sub": "bob-subject", "email": None}
    desk.authority.claims = later | bob | {"auth_time": NOW_S + 360}
    assert desk.go("/prove/provider").status_code == 403, "somebody else"
    desk.authority.claims = later | {"auth_time": NOW_S + 360}
    assert desk.go("/prove/provider").status_code == 200
    assert desk.accept().status_code == 303 and desk.decided == [("accepted", "ada")]


def test_while_the_provider_is_away_a_page_says_so(desk: Desk) -> None:
    desk.authority.calls_itself = "https://evil.example"
    answer = desk.http.get("/sign-in/provider")
    assert answer.status_code == 502 and "provider" in answer.text
    assert desk.http.get("/sign-in").status_code == 200, "a token still opens"
