"""What answers cost is counted for each tenant where the service is asked, and no tenant sees another's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.server.replicas.test_serving import REQUEST, TOKEN

from projectone.assist.generation.protocol import Answer, Cost, GenerationError, GenerationRequest
from projectone.assist.vectors.protocol import Owner
from projectone.errors import TransportError
from projectone.server.replicas import wire
from projectone.server.replicas.app import create_app
from projectone.server.replicas.asking import Asking, LocalModels
from projectone.server.replicas.costs import COSTS, CostBook, CountedAsking, Prices
from projectone.server.replicas.models import Kind, ModelPlaces

PRICES = Prices(read=100.0, written=300.0)
SHOP, BANK = Owner("shop", "anna-of-the-shop"), Owner("bank", "anna-of-the-bank")
TOKENS = {"token-of-the-shop": "shop", "token-of-the-bank": "bank"}


class Model:
    """Reads 10 tokens and writes 4; asked for `again` it gives what was kept, and for `no` nothing."""

    name = model_version = "local"

    def generate(self, request: GenerationRequest) -> Answer:
        if request.prompt == "no":
            raise GenerationError("timeout", "too late")
        kept = request.prompt == "again"
        return Answer(
            text="a secret answer",
            by="template" if request.prompt == "plain" else "local",
            model_version="7",
            seed=0,
            cached="exact" if kept else "no",
            cost=Cost() if kept or request.prompt == "plain" else Cost(10, 4),
        )


class Service:
    """The service over one model, with its book in a home."""

    def __init__(self, home: Path, asking: Asking | None = None) -> None:
        self.book = CostBook.in_home(home)
        models = asking or LocalModels(ModelPlaces(), {"generate": Model()})
        counted = CountedAsking(models, self.book, by="local", prices=PRICES)
        self.http = TestClient(create_app(counted, ("generate",), token=TOKEN, costs=self.book, tenant_of=TOKENS.get))

    def ask(self, owner: Owner, prompt: str) -> int:
        body = wire.request_to_bytes(replace(REQUEST, owner=owner, prompt=prompt))
        return self.http.post("/v1/generate", content=body, headers={"authorization": f"Bearer {TOKEN}"}).status_code

    def costs(self, token: str, query: str = "") -> tuple[int, dict[str, Any]]:
        answer = self.http.get(f"/v1/costs{query}", headers={"authorization": f"Bearer {token}"})
        return answer.status_code, answer.json()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = Service(tmp_path)
    for prompt in ("a secret question", "a secret question", "again", "plain", "no"):
        made.ask(SHOP, prompt)
    made.ask(BANK, "a secret question")
    return made


def lines_of(found: dict[str, Any], tenant: str) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    (own,) = [each for each in found["tenants"] if each["tenant"] == tenant]
    return {
        (line["by"], line["outcome"]): (line["n"], line["prompt_tokens"], line["answer_tokens"], line["micros"])
        for line in own["lines"]
    }


def test_who_answered_tokens_cost_and_times_are_counted_for_each_tenant(service: Service) -> None:
    status, found = service.costs(TOKEN)
    assert status == 200 and [each["tenant"] for each in found["tenants"]] == ["bank", "shop"]
    assert lines_of(found, "shop") == {
        ("local", "answered"): (2, 20, 8, 2 * (10 * 100 + 4 * 300)),
        ("local", "kept"): (1, 0, 0, 0),
        ("template", "answered"): (1, 0, 0, 0),
        ("local", "timeout"): (1, 0, 0, 0),
    }
    assert lines_of(found, "bank") == {("local", "answered"): (1, 10, 4, 2_200)}
    times = {each["tenant"]: each["times"] for each in found["tenants"]}
    assert sum(times["shop"]["local"]["counts"]) == 3 and sum(times["shop"]["template"]["counts"]) == 1
    assert times["bank"]["local"]["p95_s"] in found["edges_s"]


def test_a_tenant_sees_its_own_costs_and_nothing_of_another_tenant(service: Service) -> None:
    for token, tenant in TOKENS.items():
        for query in ("", "?tenant=shop", "?tenant=bank&days=400"):
            status, found = service.costs(token, query)
            assert status == 200 and [each["tenant"] for each in found["tenants"]] == [tenant]
    for nobody in ("", "another", TOKEN[:-1]):
        status, found = service.costs(nobody)
        assert status == 401 and "tenants" not in found


def test_no_word_and_no_person_is_in_the_file(service: Service, tmp_path: Path) -> None:
    kept = b"".join(path.read_bytes() for path in sorted((tmp_path / COSTS).iterdir()))
    assert b"shop" in kept and b"bank" in kept  # the control: the rows are there to be read
    for word in (b"secret", b"anna", b"nine"):
        assert word not in kept


def test_counts_are_there_after_the_next_start(service: Service, tmp_path: Path) -> None:
    assert Service(tmp_path).costs(TOKEN)[1] == service.costs(TOKEN)[1]


def test_a_service_that_nobody_answers_for_is_counted_as_down(tmp_path: Path) -> None:
    class Away:
        def ask(self, kind: Kind, body: bytes) -> bytes:
            raise TransportError("nobody")

    service = Service(tmp_path, Away())
    assert service.ask(SHOP, "a question") == 503
    assert lines_of(service.costs(TOKEN)[1], "shop") == {("local", "down"): (1, 0, 0, 0)}


def test_what_is_no_question_costs_nobody_anything(tmp_path: Path) -> None:
    service = Service(tmp_path)
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert service.http.post("/v1/generate", content=b'{"prompt": "no owner"}', headers=headers).status_code == 422
    assert service.http.post("/v1/classify", content=b'{"texts": []}', headers=headers).status_code == 404
    assert service.costs(TOKEN)[1]["tenants"] == []


def test_a_disk_that_is_full_counts_nothing_and_keeps_nobody_waiting(service: Service, tmp_path: Path) -> None:
    before = service.costs(TOKEN)[1]
    service.book._accounts._database.execute("PRAGMA query_only = ON")
    assert service.ask(SHOP, "a secret question") == 200 and service.ask(SHOP, "no") == 503
    assert service.costs(TOKEN)[1] == before


@pytest.mark.parametrize("days", ["0", "401", "-1", "x", "9" * 400])
def test_days_that_are_none_are_refused(service: Service, days: str) -> None:
    assert service.costs(TOKEN, f"?days={days}")[0] == 422


def test_an_answer_that_was_billed_keeps_its_bill() -> None:
    answer = Answer(text="x", by="hosted", model_version="1", seed=0, cost=Cost(10, 4, 5))
    assert PRICES.of(answer).cost == Cost(10, 4, 5)
    assert Prices(read=0.15).of(replace(answer, cost=Cost(10, 4))).cost.micros == 2  # rounded up


def test_a_day_is_over_with_its_days(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, 23, tzinfo=UTC)]
    book = CostBook(CostBook.in_home(tmp_path)._accounts, clock=lambda: now[0])
    book.note_failure("shop", "local", "down")
    assert len(book.shown(1)["tenants"]) == 1
    now[0] = datetime(2026, 1, 2, 1, tzinfo=UTC)
    assert book.shown(1)["tenants"] == [] and len(book.shown(2)["tenants"]) == 1
