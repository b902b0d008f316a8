"""The reviewers' pages: nothing that people sent runs in them, no other site sends to them, every act has a name."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient
from jinja2 import Environment, PackageLoader
from tests.fakes.caller import Caller, a_clip

from projectone.errors import DataError
from projectone.server.api.app import create_app
from projectone.server.audit import AuditLog
from projectone.server.console import app as console
from projectone.server.console.app import COOKIE, ConsoleServices, create_console
from projectone.server.console.guard import Guard
from projectone.server.console.sessions import Session, Sessions
from projectone.server.corpus.review import Checks, HeldSample, Reviews
from projectone.server.database import Engine, open_engine
from projectone.server.devices.operators import OperatorTokens, Role
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.serve.console import console_services
from projectone.server.serve.initialise import initialise, with_secrets
from projectone.server.serve.processes import api_services
from projectone.server.settings import ServerSettings

HOST = "localhost:8702"
ORIGIN = f"https://{HOST}"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HELD, BROKEN = uuid.UUID(int=7), uuid.UUID(int=13)
_HANDLERS = ("onerror", "onload", "onfocus", "onmouseover", "ontoggle", "onclick", "onanimationstart", "onbegin")
PAYLOADS = (
    *(f"<img src=x {name}=alert(1)>" for name in _HANDLERS),
    *(f'"><svg {name}=alert(1)>' for name in _HANDLERS),
    *(f"' {name}=alert(1) autofocus x='" for name in _HANDLERS),
    *(
        f"<{tag}>alert(1)</{tag}>"
        for tag in ("script", "SCRIPT", "style", "iframe", "object", "form", "template", "title")
    ),
    *(f"</{tag}><script>alert(1)</script>" for tag in ("textarea", "style", "title", "article", "p", "audio", "input")),
    "<a href=javascript:alert(1)>x</a>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<link rel=stylesheet href=//evil.example>",
    "{{ 7*7 }}{% for x in ().__class__.__bases__ %}{% endfor %}",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<scr\x00ipt>alert(1)</script>",
    "\u2028<script>alert(1)</script>",
    "<math><mi xlink:href=javascript:alert(1)>x",
)


class Tags(HTMLParser):
    """The elements of a page, with the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@dataclass
class Desk:
    """Stands for the reviews: what waits, and what was decided."""

    held_now: list[HeldSample] = field(default_factory=list)
    decided: list[tuple[str, str]] = field(default_factory=list)

    def held(self, n: int) -> list[HeldSample]:
        return self.held_now[:n]

    def decide(self, ids: Sequence[uuid.UUID], decision: str, *, by: str, why: str | None, now: datetime) -> None:
        if ids[0] == BROKEN:
            raise DataError("not-held", why or "gone")
        self.decided.append((decision, by))


def a_sample(words: str) -> HeldSample:
    checks = Checks(held=(words,))
    return HeldSample(HELD, words, words, words, "0" * 64, 1.0, NOW, None, checks)


class Console:
    """A console at a stated time, with tokens for every role."""

    def __init__(self, engine: Engine) -> None:
        self.now = NOW
        self.desk = Desk([a_sample("seven")])
        self.tokens = OperatorTokens(engine)
        self.services = ConsoleServices(
            reviews=cast(Reviews, self.desk),
            open_clip=lambda sample_id, by: b"RIFF",
            sessions=Sessions(self.tokens, lambda: self.now),
            clock=lambda: self.now,
        )
        self.application: Any = create_console(self.services, [HOST])
        self.http = self.browser()

    def browser(self) -> TestClient:
        return TestClient(self.application, base_url=ORIGIN, follow_redirects=False, raise_server_exceptions=False)

    def token(self, role: Role = "reviewer") -> str:
        return self.tokens.create(f"{role}-1", role, lifetime=timedelta(days=1), by="test", now=self.now)[0]

    def post(self, path: str, origin: str | None = ORIGIN, **form: str) -> Any:
        headers = {} if origin is None else {"Origin": origin}
        return self.http.post(path, data=form, headers=headers)

    def signed_in(self, role: Role = "reviewer") -> str:
        """Signs in; gives the token."""
        bearer = self.token(role)
        assert self.post("/sign-in", token=bearer).status_code == 303
        return bearer

    @property
    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.http.get("/").text)
        assert found is not None
        return found[1]

    def decide(self, decision: str, sample_id: uuid.UUID = HELD, **form: str) -> Any:
        form = {"form_token": form.get("form_token") or self.form_token} | form
        return self.post("/decisions", **form, sample_id=str(sample_id), decision=decision)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Console]:
    engine = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    upgrade_database(engine)
    made = Console(engine)
    with made.http:
        yield made
    engine.dispose()


def pages(desk: Console, words: str) -> list[str]:
    """Every page that shows what somebody sent, with these words in it."""
    desk.desk.held_now = [a_sample(words)]
    queue = desk.http.get("/").text
    form_token = re.findall(r'name="form_token" value="([^"]+)"', queue)[0]
    return [queue, desk.decide("refuse", BROKEN, form_token=form_token, why=words).text]


def test_a_held_intent_is_read_not_heard(desk: Console) -> None:
    bearer = desk.signed_in()
    assert bearer
    held = replace(a_sample("weather"), kind="intent")
    desk.desk.held_now = [held]
    opened: list[tuple[uuid.UUID, str]] = []

    def open_clip(sample_id: uuid.UUID, by: str) -> bytes:
        opened.append((sample_id, by))
        return b"how <b>warm</b> is it"

    object.__setattr__(desk.services, "open_clip", open_clip)
    shown = desk.http.get("/").text
    assert "how &lt;b&gt;warm&lt;/b&gt; is it" in shown and "means: weather" in shown
    assert "<audio" not in shown
    assert opened == [(HELD, "reviewer-1")], "under the name of whoever reads it"


def test_nothing_that_people_sent_becomes_markup(desk: Console) -> None:
    desk.signed_in()
    assert len(PAYLOADS) == 50
    plain = [Tags(page).found for page in pages(desk, "seven")]
    for payload in PAYLOADS:
        for page, expected in zip(pages(desk, payload), plain, strict=True):
            assert Tags(page).found == expected, payload
            assert "49" not in "".join(Tags(page).words)


def test_without_escaping_most_of_it_does(desk: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    desk.signed_in()
    plain = [Tags(page).found for page in pages(desk, "seven")]
    loader = PackageLoader("projectone.server.console")
    monkeypatch.setattr(console, "_PAGES", Environment(loader=loader, autoescape=False))
    bent = sum(Tags(pages(desk, payload)[0]).found != plain[0] for payload in PAYLOADS)
    assert bent >= 35, "of 50; others are harmless between tags"


ELSEWHERE: tuple[dict[str, str], ...] = (
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://localhost"},
    {"Origin": f"https://{HOST}.evil.example"},
    {"Origin": f"{ORIGIN}/"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "none"},
    {"Origin": ORIGIN, "Host": "evil.example"},
)


def sent_from_elsewhere(desk: Console) -> int:
    """40 requests that a signed-in person's browser could be made to send; gives how many were let in."""
    form_token = desk.form_token
    forms: dict[str, dict[str, str]] = {
        "/decisions": {"sample_id": str(HELD), "decision": "refuse"},
        "/prove": {"token": "x"},
        "/sign-in": {"token": desk.token()},
        "/sign-out": {},
    }
    n_accepted = 0
    for headers, (path, form) in itertools.product(ELSEWHERE, forms.items()):
        answer = desk.http.post(path, data={**form, "form_token": form_token}, headers=headers)
        n_accepted += answer.status_code != 403 or (
            "Origin" not in answer.text and "site" not in answer.text and ("Host" not in answer.text)
        )
    return n_accepted


def test_no_other_site_sends_anything(desk: Console) -> None:
    desk.signed_in()
    assert sent_from_elsewhere(desk) == 0
    assert desk.desk.decided == [] and desk.http.get("/").status_code == 200


def test_without_the_guard_other_sites_do(desk: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: they hold the form token here, as they would after a leak."""
    desk.signed_in()
    monkeypatch.setattr(Guard, "_refusal", lambda self, scope: None)
    assert sent_from_elsewhere(desk) > 20 and desk.desk.decided != []


def test_a_form_without_the_token_of_its_session_is_refused(desk: Console) -> None:
    desk.signed_in()
    answer = desk.post("/decisions", sample_id=str(HELD), decision="refuse", form_token="x")
    assert (answer.status_code, desk.desk.decided) == (403, [])


def test_every_answer_carries_the_headers(desk: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        desk.http.get("/"),
        desk.http.get("/sign-in"),
        desk.http.get("/nowhere"),
        desk.post("/sign-in", token="x"),
    ]
    answers += [desk.post("/sign-in", origin=None), desk.http.get("/", headers={"Host": "evil.example"})]
    desk.signed_in()
    answers += [desk.http.get("/"), desk.http.get(f"/clips/{HELD}.wav"), desk.decide("refuse", BROKEN)]
    monkeypatch.setattr(desk.desk, "held", lambda n: 1 / 0)
    answers += [desk.http.get("/")]
    assert {answer.status_code for answer in answers} >= {200, 303, 403, 404, 409, 500}
    nonces = set()
    for answer in answers:
        headers = answer.headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        nonces.add(re.findall(r"nonce-([\w-]+)", policy)[0])
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
        assert headers["strict-transport-security"].startswith("max-age=")
        assert "<script" not in answer.text
    assert len(nonces) == len(answers)


def test_the_cookie_is_for_this_host_alone_and_no_script_reads_it(desk: Console) -> None:
    answer = desk.post("/sign-in", token=desk.token())
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=") and "Domain" not in cookie
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"))


@pytest.mark.parametrize(
    ("role", "is_let_in"), [("reviewer", True), ("admin", True), ("trainer", False), ("auditor", False)]
)
def test_only_roles_that_review_sign_in(desk: Console, role: Role, is_let_in: bool) -> None:
    assert desk.post("/sign-in", token=desk.token(role)).status_code == (303 if is_let_in else 403)
    assert (desk.http.get("/").status_code == 200) is is_let_in


def test_a_session_ends_when_idle_too_long_or_its_token_does(desk: Console) -> None:
    desk.signed_in()
    for minutes, status in ((14, 200), (14, 200), (16, 303)):
        desk.now += timedelta(minutes=minutes)
        assert desk.http.get("/").status_code == status
    desk.signed_in()
    desk.tokens.revoke("reviewer-1", by="test", now=desk.now)
    assert desk.http.get("/").status_code == 303
    desk.signed_in()
    for _ in range(8 * 6 + 1):
        desk.now += timedelta(minutes=10)
        status = desk.http.get("/").status_code
    assert status == 303, "after eight hours, however busy"


def test_to_let_a_sample_into_training_the_token_is_shown_again(desk: Console) -> None:
    bearer = desk.signed_in()
    desk.now += timedelta(minutes=6)
    assert (desk.decide("accept").status_code, desk.desk.decided) == (403, [])
    assert desk.decide("refuse").status_code == 303
    form_token = desk.form_token
    assert desk.post("/prove", form_token=form_token, token=desk.token("admin")).status_code == 403, "somebody else's"
    assert desk.post("/prove", form_token=form_token, token=bearer).status_code == 303
    assert desk.decide("accept").status_code == 303
    assert desk.desk.decided == [("refused", "reviewer-1"), ("accepted", "reviewer-1")]


def test_without_the_step_up_whoever_finds_a_browser_open_lets_samples_in(
    desk: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    desk.signed_in()
    desk.now += timedelta(minutes=6)
    monkeypatch.setattr(Session, "is_stepped_up", lambda self, now: True)
    assert desk.decide("accept").status_code == 303
    assert desk.desk.decided == [("accepted", "reviewer-1")]


def test_a_reviewer_hears_reads_and_decides_on_the_record(tmp_path: Path) -> None:
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "home")})
    initialise(settings)
    settings = with_secrets(settings)
    engine = open_engine(settings.database_url)
    with TestClient(create_app(api_services(settings, engine))) as http:
        ada = Caller(http, settings.enrolment_code)
        assert (ada.enrol().status_code, ada.grant().status_code) == (201, 200)
        assert ada.put(a_clip(), "seven & eight").status_code == 201
    real = Console(engine)
    real.services = console_services(settings, engine, lambda: real.now)
    real.application = create_console(real.services, [HOST])
    real.http = real.browser()
    real.signed_in()
    sample_id = ada.correction(a_clip()).sample_id
    url = f"/clips/{sample_id}.wav"
    assert real.http.get(url).status_code == 409, "it waits for nobody: the console does not open it"
    real.services.reviews.decide([sample_id], "doubted", by="root", why=None, now=NOW)
    assert "seven &amp; eight" in real.http.get("/").text
    assert real.http.get(url).content == a_clip()
    assert real.decide("accept", sample_id, why="heard it").status_code == 303
    acts = [(entry.act, entry.subject, entry.actor) for entry in AuditLog(engine).newest(2)]
    assert acts == [("sample-accepted", str(sample_id), "reviewer-1"), ("clip-opened", str(sample_id), "reviewer-1")]
    engine.dispose()
