"""`projectone-server memories`, and what the worker and `vectors forget` do with them."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from sqlalchemy import select
from tests.fakes.caller import Caller

from projectone.assist import usual_encoder
from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.memory import About
from projectone.assist.protocols import Judgement
from projectone.assist.vectors.protocol import Owner
from projectone.contracts import endpoints
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.erasures import ErasureReceipt, SignedErasure
from projectone.errors import ProjectOneError
from projectone.server.api.app import create_app
from projectone.server.cli import main
from projectone.server.corpus.catalog import Catalog
from projectone.server.corpus.retention import withdraw
from projectone.server.corpus.vault import Vault
from projectone.server.database import reading
from projectone.server.memories.rows import HostedRows, every_link
from projectone.server.memories.tables import HOSTED_MEMORIES
from projectone.server.replicas.costs import CostBook
from projectone.server.serve.initialise import initialise
from projectone.server.serve.processes import api_services
from projectone.server.settings import ServerSettings
from projectone.server.work import hosted_memory
from projectone.server.work.workshop import Workshop
from projectone.storage.blobs import FileBlobs

ANNA = Owner("shop", "anna")
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerSettings:
    monkeypatch.setattr(usual_encoder, "weights_folder", lambda: None)
    monkeypatch.setattr(usual_encoder, "_encoder", lambda: HashingEmbedder(usual_encoder.WIDTH))
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(tmp_path / "home"))
    made = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(tmp_path / "home")})
    initialise(made)
    return made


@pytest.fixture
def run(settings: ServerSettings, capsys: pytest.CaptureFixture[str]) -> Run:
    def asked(*words: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*words, "--json"]) == code
        facts: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return facts

    return asked


def remember(settings: ServerSettings, text: str, *, said: datetime) -> None:
    with (
        hosted_memory._rows(settings) as engine,
        hosted_memory._keys(settings) as keys,
        hosted_memory._memories(settings, engine, keys) as memories,
    ):
        memories.remember(ANNA, text, About(kind="said", said_at=said), said)


def test_a_product_is_let_in_its_people_are_swept_and_forgotten(
    settings: ServerSettings, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    assert run("memories", "list") == {"tenants": []} and run("memories", "sweep")["n_expired"] == 0
    assert run("memories", "grant", "shop", "--keep", "said=30")["token"].startswith("pm_")
    for words in (("grant", "a b"), ("grant", "shop", "--keep", "said=soon"), ("revoke", "bank")):
        assert "error" in run("memories", *words, code=2)
    remember(settings, "tea", said=now - timedelta(days=40))
    remember(settings, "more tea", said=now)
    (shop,) = run("memories", "list")["tenants"]
    assert (shop["people"], shop["keep"]["said"]) == (1, 30)
    assert run("memories", "sweep", "--mend") == {"n_torn": 0, "n_expired": 1, "n_removed": 1, "n_embedded": 0}
    assert run("vectors", "forget", "--tenant", "shop", "--user", "anna") == {"n_forgotten": 1}
    assert run("memories", "forget", "--tenant", "shop", "--user", "anna") == {"n_forgotten": 0}
    assert main(["memories", "list"]) == 0 and "shop" in capsys.readouterr().out
    begun: list[Any] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: begun.append(self.config.app.routes))
    shown = run("serve-assist", "run", "--memory", "--port", "0")
    assert (shown["kinds"], shown["memory"]) == ([], True)
    assert "/v1/memories/{user}/recall" in [route.path for route in begun[0]]
    assert run("memories", "revoke", "shop") == {"tenant": "shop"}


def test_the_worker_lets_go_of_what_ran_out(settings: ServerSettings) -> None:
    workshop = Workshop(settings)
    try:
        now = datetime.now(UTC)
        assert workshop.sweep_memories(now) is None  # no store is opened where nobody keeps memories
        assert not (settings.home / "vectors.sqlite").exists()
        remember(settings, "tea", said=now)
        swept = workshop.sweep_memories(now + timedelta(days=90))
        assert swept is not None and swept.n_expired == 1
    finally:
        workshop.close()


def test_what_is_approved_while_it_is_served_is_answered_from_then_on(
    settings: ServerSettings, run: Run, tmp_path: Path
) -> None:
    def approve(text: str) -> None:
        answer = {"response_id": "lost-card-1", "text": text}
        policy = {"policy_id": "lost-card", "text": "Block it.", "examples": ["i lost my card"], "intents": ["lost"]}
        (tmp_path / "draft.json").write_text(json.dumps({"policies": [{**policy, "responses": [answer]}]}))
        run("policies", "add", str(tmp_path / "draft.json"))

    lost = Judgement("lost", "lost", 0.9, 0.9)
    with (
        hosted_memory._rows(settings) as engine,
        hosted_memory._keys(settings) as keys,
        hosted_memory._memories(settings, engine, keys) as memories,
    ):
        chooser = hosted_memory._Chooser(settings, memories)

        def answered() -> str | None:
            first = chooser.now()
            return None if first is None else first.select("gone", ANNA, datetime.now(UTC), judgement=lost).text

        assert answered() is None
        approve("I can block it now.")
        assert answered() == "I can block it now."
        approve("It is blocked.")
        assert answered() == "It is blocked."
        (settings.home / "policies" / "set.json").write_bytes(b"{}")
        assert answered() == "It is blocked."  # nobody believes what is not signed
        with pytest.raises(ProjectOneError):
            hosted_memory._Chooser(settings, memories)  # and nothing starts with it


def test_a_products_token_shows_what_its_own_answers_cost_and_no_other_products(
    settings: ServerSettings, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = {name: run("memories", "grant", name)["token"] for name in ("shop", "bank")}
    book = CostBook.in_home(settings.home)
    for name in (*tokens, "office"):
        book.note_failure(name, "local", "down")
    seen: dict[str, list[str]] = {}

    def ask(self: Any, sockets: object) -> None:
        with TestClient(self.config.app) as http:
            for name, token in (*tokens.items(), ("all", (settings.home / "assist.token").read_text())):
                found = http.get("/v1/costs", headers={"authorization": f"Bearer {token}"}).json()
                seen[name] = [each["tenant"] for each in found["tenants"]]

    monkeypatch.setattr(uvicorn.Server, "run", ask)
    run("serve-assist", "run", "--memory", "--port", "0")
    assert seen == {"shop": ["shop"], "bank": ["bank"], "all": ["bank", "office", "shop"]}


def consents_of(person: Caller) -> tuple[uuid.UUID, uuid.UUID]:
    """The one that was withdrawn first, and the last one."""
    return person.intents_id, person.consent_id


def receipt_of(person: Caller, consent_id: uuid.UUID) -> bytes:
    """What the server signed of a withdrawal."""
    answer = person.signed("GET", endpoints.erasure(consent_id))
    assert answer.status_code == 200
    return base64.b64decode(SignedErasure.from_bytes(answer.content).receipt)


def test_the_last_consent_that_a_person_withdraws_takes_their_hosted_memories_along(
    settings: ServerSettings, run: Run
) -> None:
    now = datetime.now(UTC)
    remember(settings, "green tea", said=now)
    with (
        hosted_memory._rows(settings) as engine,
        hosted_memory._keys(settings) as keys,
        hosted_memory._memories(settings, engine, keys) as memories,
    ):
        memories.link(ANNA, "person-ada", now)
        (row,) = HostedRows(engine, ANNA).newest(1)
        (vector,) = HashingEmbedder(usual_encoder.WIDTH).embed(["green tea"])
        services = api_services(replace(settings, enrolment_code="seven sisters"), engine)

        def on_disk(words: bytes) -> bool:
            files = [path for path in settings.home.rglob("*") if path.is_file()]
            if engine.dialect.name != "sqlite":  # its files are elsewhere: what its rows hold
                with reading(engine) as connection:
                    kept = connection.execute(select(HOSTED_MEMORIES.c.sealed)).scalars()
                    if words in kept:
                        return True
            return any(words in path.read_bytes() for path in files)

        with TestClient(create_app(services)) as http:
            person = Caller(http, services.enrolment_code, "ada")
            assert person.enrol().status_code == 201
            assert person.grant().status_code == person.grant_intents().status_code == 200
            assert person.withdraw_intents().status_code == 200
            assert memories.count(ANNA, now) == 1 and on_disk(row.sealed)  # one consent is in force
            assert on_disk(vector.tobytes())
            assert person.withdraw().status_code == 200
            told = [ErasureReceipt.from_bytes(receipt_of(person, consent)) for consent in consents_of(person)]
        assert [(receipt.n_memories, receipt.is_complete) for receipt in told] == [(0, True), (1, True)]
        assert memories.count(ANNA, now) == 0 and not on_disk(row.sealed)
    assert run("memories", "sweep")["n_expired"] == 0
    assert not on_disk(vector.tobytes())


@pytest.mark.parametrize("is_withdrawn", [True, False])
def test_the_worker_lets_go_of_what_no_process_that_answers_a_withdrawal_could(
    settings: ServerSettings, run: Run, is_withdrawn: bool
) -> None:
    now = datetime.now(UTC)
    remember(settings, "green tea", said=now)
    consent = ConsentReceipt(
        receipt_id=uuid.uuid4(),
        contributor_id="person-ada",
        scope="corrections",
        text_version=1,
        method="demo",
        granted_at=now - timedelta(days=1),
    )
    with (
        hosted_memory._rows(settings) as engine,
        hosted_memory._keys(settings) as keys,
        hosted_memory._memories(settings, engine, keys) as memories,
    ):
        memories.link(ANNA, "person-ada", now)
        catalog = Catalog(engine, Vault(keys))
        catalog.grant(consent, now)
        if is_withdrawn:  # and the process ends before it comes to the memories
            later, blobs = now + timedelta(seconds=1), FileBlobs(settings.home / "blobs")
            assert withdraw(catalog, blobs, consent.receipt_id, contributor_id="person-ada", now=later)
        assert memories.count(ANNA, now) == 1
        run("work", "--once")
        assert memories.count(ANNA, now) == (0 if is_withdrawn else 1)
        assert len(every_link(engine)) == (0 if is_withdrawn else 1)


@pytest.mark.parametrize("agreed_before", [False, True])
def test_who_agrees_again_before_the_memories_went_is_still_promised_that_they_go(
    settings: ServerSettings, agreed_before: bool
) -> None:
    """The process that took the last consent back ended before it came to them. Who agreed before lost no last one."""
    now = datetime.now(UTC)
    remember(settings, "green tea", said=now)
    with (
        hosted_memory._rows(settings) as engine,
        hosted_memory._keys(settings) as keys,
        hosted_memory._memories(settings, engine, keys) as memories,
    ):
        memories.link(ANNA, "person-ada", now)
        catalog, blobs = Catalog(engine, Vault(keys)), FileBlobs(settings.home / "blobs")
        # The device's clock is an hour ahead: the order in which they came is what counts.
        first, again = (consent_of("person-ada", now + timedelta(hours=1)) for _ in range(2))
        catalog.grant(first, now)
        if agreed_before:
            catalog.grant(again, now)
        later = now + timedelta(seconds=1)
        assert withdraw(catalog, blobs, first.receipt_id, contributor_id="person-ada", now=later)
        catalog.grant(again, later + timedelta(seconds=1))
        services = api_services(settings, engine)  # the next start
        assert memories.count(ANNA, now) == (1 if agreed_before else 0)
        told = services.erasure(first.receipt_id, "person-ada")
        assert told is not None
        receipt = ErasureReceipt.from_bytes(base64.b64decode(told.receipt))
        assert (receipt.n_memories, receipt.is_complete) == ((0 if agreed_before else 1), True)


def consent_of(contributor_id: str, granted_at: datetime) -> ConsentReceipt:
    return ConsentReceipt(
        receipt_id=uuid.uuid4(),
        contributor_id=contributor_id,
        scope="corrections",
        text_version=1,
        method="demo",
        granted_at=granted_at,
    )
