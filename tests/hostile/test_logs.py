"""Whatever callers put into their requests, and whatever errors say of it: none of it is in a log line or a message."""

from __future__ import annotations

import io
import json
import logging
import random
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from tests.fakes.caller import Caller, a_clip

from projectone.contracts import endpoints
from projectone.errors import DataError, StorageError
from projectone.server.api.app import create_app
from projectone.server.api.quotas import QuotaLimits, Quotas
from projectone.server.api.services import Services
from projectone.server.database import Engine, open_engine, reading
from projectone.server.logs import AllowlistFormatter, Pseudonyms, logging_to, truncated
from projectone.server.notifications.outbox import NOTIFICATIONS
from projectone.server.serve.initialise import initialise, with_secrets
from projectone.server.serve.processes import api_services
from projectone.server.settings import ServerSettings

N_REQUESTS, N_QUICK = 1_000, 160
MARK = "zebra"
_ERRORS = (RuntimeError, ValueError, KeyError, OSError, StorageError)


class Everything(logging.Formatter):
    """The control: a formatter that writes what it is given, as most do."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{super().format(record)} {getattr(record, 'fields', {})}".replace("\n", " ")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Services, Engine]]:
    home = tmp_path_factory.mktemp("marked") / "home"
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(home)})
    initialise(settings)
    settings = with_secrets(settings)
    engine = open_engine(settings.database_url)
    many = QuotaLimits(failed_enrolments=10**6, new_devices=10**6, device=10**6, address=10**6, total=10**6)
    services = replace(api_services(settings, engine), quotas=Quotas(many))
    with TestClient(create_app(services), raise_server_exceptions=False) as http:
        yield http, services, engine
    engine.dispose()


def marked(source: random.Random) -> str:
    """A word that is found again, in one of the ways in which people write."""
    return source.choice((f"{MARK}{source.randrange(10**6)}", f"my {MARK} {source.randrange(10**6)}", f"{MARK}\u00e9"))


def send(http: TestClient, caller: Caller, source: random.Random, number: int) -> None:
    """One request with marks in some of its fields."""
    word, plain = marked(source), f"{MARK}{number}"
    kind = number % 8
    headers = {"User-Agent": plain, "X-Device-Id": plain, "X-Forwarded-For": plain, "Cookie": f"session={plain}"}
    if number % 16 == 8:
        caller.put_intent(word, None if number % 32 == 8 else plain, name=f"intent {number}")
    elif kind == 0:
        caller.put(a_clip(number % 7), word, name=f"sample {number}", heard=word, accent=plain)
    elif kind == 1:
        caller.enrol(device_id=f"device-{plain}", contributor_id=f"person-{plain}", enrolment_code=word)
    elif kind == 2:
        http.get(f"/{plain}/{plain}?{plain}={plain}", headers=headers)
    elif kind == 3:
        http.request(f"{MARK.upper()}{number}", "/v1/scripts", headers=headers)
    elif kind == 4:
        http.put(endpoints.sample(uuid.UUID(int=number)), content=word.encode(), headers=headers)
    elif kind == 5:
        http.get(endpoints.AUDIT_ENTRIES, headers={**headers, "Authorization": f"Bearer {plain}"})
    elif kind == 6:
        http.get(f"{endpoints.LATEST_MODEL_INFO}?channel={plain}&{plain}=1", headers=headers)
    else:
        http.get(endpoints.READY, headers=headers)  # fails with an error that says the word: see below


def lines_of(
    site: tuple[TestClient, Services, Engine], monkeypatch: pytest.MonkeyPatch, formatter: logging.Formatter, n: int
) -> list[str]:
    """What the log says of `n` requests, one in eight of which breaks inside."""
    http, services, _ = site
    source = random.Random(11)

    def broken() -> dict[str, int]:
        raise source.choice(_ERRORS)(f"could not read {marked(source)!r}")

    def refused(*_arguments: object) -> None:
        raise DataError("sample-conflict", marked(source))

    monkeypatch.setattr(services.catalog, "counts", broken)
    monkeypatch.setattr(services.ledger, "latest", refused)
    caller = Caller(http, services.enrolment_code, "ada")
    assert caller.enrol().status_code in (200, 201) and caller.grant().status_code == 200
    assert caller.grant_intents().status_code == 200
    # As in `serve`, which gives uvicorn no log of its own; a server that another test ran here may have.
    for name in ("uvicorn", "uvicorn.error"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    stream = io.StringIO()
    with logging_to(stream, has_requests=True, formatter=formatter):
        for number in range(n):
            send(http, caller, source, number)
            # What a library says of its own accord, with a caller's word in it.
            logging.getLogger("h11").warning("bad header %s", marked(source))
            logging.getLogger("uvicorn.error").error(f"{marked(source)} went wrong")
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("n", [N_QUICK, pytest.param(N_REQUESTS, marks=pytest.mark.slow)])
def test_no_mark_of_a_thousand_requests_is_in_a_line_or_a_message(
    site: tuple[TestClient, Services, Engine], monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    lines = lines_of(site, monkeypatch, AllowlistFormatter(), n)
    assert len(lines) == 3 * n, "a line for each request and each word of a library"
    assert [line for line in lines if MARK in line.lower()] == []
    told = [json.loads(line) for line in lines]
    requests = [line for line in told if line["event"] == "request"]
    assert {line["status"] for line in requests} >= {201, 401, 403, 404, 405, 500}
    assert {line["route"] for line in requests if "route" in line} >= {"/v1/samples/{sample_id}", "/health/ready"}
    broken = [line for line in requests if line["status"] == 500]
    assert all(line["error"] and line["frames"] for line in broken if "error" in line)
    with reading(site[2]) as connection:
        messages = connection.execute(select(NOTIFICATIONS.c.subject, NOTIFICATIONS.c.body)).all()
    assert not any(MARK in f"{subject} {body}".lower() for subject, body in messages)


def test_without_the_list_marks_are_in_most_lines(
    site: tuple[TestClient, Services, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    lines = lines_of(site, monkeypatch, Everything(), 80)
    assert sum(MARK in line.lower() for line in lines) > 200


def test_addresses_lose_their_end_and_devices_get_another_name_every_day() -> None:
    assert truncated("192.0.2.77") == "192.0.2.0/24"
    assert truncated("2001:db8:1:2::77") == "2001:db8:1::/48"
    assert truncated("testclient") == "other"
    day = [0.0]
    names = Pseudonyms(lambda: day[0])
    first = names.of("phone-1")
    assert names.of("phone-1") == first != names.of("phone-2") and "phone" not in first
    day[0] += 24 * 3600
    assert names.of("phone-1") != first


def test_an_error_is_told_by_its_kind_and_our_lines(tmp_path: Path) -> None:
    stream = io.StringIO()
    with logging_to(stream, has_requests=False):
        try:
            open_engine(f"{MARK}://{tmp_path}")
        except Exception:
            logging.getLogger("asyncio").exception("Task %s failed", MARK)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert line["error"] == "SettingsError" and line["frames"][0].startswith("server/database.py:")
    assert MARK not in stream.getvalue()
