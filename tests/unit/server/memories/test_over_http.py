"""Over real HTTP a product reaches its own people's memories, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.unit.server.memories.rooms import ANNA, BERT, DAY, NOW, OTHER_ANNA, Room, about, served

from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.first_turn import FirstTurn
from projectone.assist.policies import Policies
from projectone.assist.vectors.protocol import Owner
from projectone.contracts.policies import Policy, PolicyResponse, PolicySet, PolicyThreshold
from projectone.errors import DataError, RefusedError, TransportError
from projectone.server.memories.client import HttpMemories
from projectone.server.memories.tenants import Tenants

CARD = Policy(
    policy_id="card",
    version=1,
    text="Block a lost card at once.",
    examples=("i lost my card",),
    intents=(),
    responses=(
        PolicyResponse(response_id="card-1", text="I can block it now."),
        PolicyResponse(response_id="card-2", text="Again? I block it.", when="again"),
    ),
    approved_by="ada",
    approved_at=NOW,
)


class Service:
    """A room that is served, and its two products' tokens."""

    def __init__(self, room: Room, url: str) -> None:
        self.room, self.url = room, url
        self.tokens = {name: room.tenants.grant(name, by="ada", now=NOW) for name in ("shop", "bank")}

    def client(self, tenant: str) -> HttpMemories:
        return HttpMemories(self.url, tenant, self.tokens[tenant])

    def ask(self, method: str, path: str, **more: object) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.tokens['shop']}"}
        return httpx2.request(method, self.url + path, **{"headers": headers, "trust_env": False, **more})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    room = Room(tmp_path_factory.mktemp("memories"))
    approved = PolicySet(
        version=1,
        made_at=NOW,
        policies=(CARD,),
        otherwise=PolicyResponse(response_id="otherwise", text="I do not know."),
        unsafe=PolicyResponse(response_id="unsafe", text="No."),
        thresholds=(PolicyThreshold(embedder="hashing-64", distance=0.5, answered=1, n_of_policies=1, n_of_none=0),),
    )
    policies = Policies(approved, HashingEmbedder(64).embed, embedded_by="hashing-64")
    with served(room, FirstTurn(policies, recall=room.memories.recall)) as url:
        yield Service(room, url)
    room.close()


@pytest.fixture(autouse=True)
def nobody_remembered(service: Service) -> None:
    service.room.now = NOW
    for owner in (ANNA, BERT, OTHER_ANNA):
        service.room.memories.forget(owner, NOW)


def test_the_token_says_which_product_it_is_and_the_path_whose_memory(service: Service) -> None:
    with service.client("shop") as shop, service.client("bank") as bank:
        made = shop.remember(ANNA, "i like green tea", about(), NOW)
        bank.remember(OTHER_ANNA, "my account is empty", about("noted"), NOW)
        assert made is not None and shop.newest(ANNA, 5, NOW) == [made]
        assert [each.memory for each in shop.recall(ANNA, "green tea", 5, NOW)] == [made]
        assert shop.recall(BERT, "green tea", 5, NOW) == [] and shop.count(BERT, NOW) == 0
        assert [each.memory.text for each in bank.recall(OTHER_ANNA, "green tea", 5, NOW)] == ["my account is empty"]
        assert bank.drop(OTHER_ANNA, [made.memory_id]) == 0 and shop.count(ANNA, NOW) == 1
        with pytest.raises(ValueError, match="tenant"):
            shop.newest(OTHER_ANNA, 5, NOW)
        service.room.now = NOW + 90 * DAY
        assert not shop.newest(ANNA, 5, NOW) and not shop.recall(ANNA, "green tea", 5, NOW)
        assert bank.forget(OTHER_ANNA) == 1 and bank.count(OTHER_ANNA, NOW) == 0


def test_without_the_look_at_the_token_one_product_reads_the_other(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service.client("shop") as shop:
        shop.remember(ANNA, "i like green tea", about(), NOW)
    stranger = {"headers": {"authorization": "Bearer nobody"}}
    assert service.ask("GET", "/v1/memories/anna", **stranger).status_code == 401
    monkeypatch.setattr(Tenants, "of", lambda self, bearer: "shop")  # the control
    assert "green tea" in service.ask("GET", "/v1/memories/anna", **stranger).text


@pytest.mark.parametrize(
    "user", ["a b", "%2e", "recall", "\u00e4'; DROP TABLE hosted_memories; --", "\u202e", "*", "?x"]
)
def test_a_person_may_be_called_almost_anything(service: Service, user: str) -> None:
    owner = Owner("shop", user)
    with service.client("shop") as shop:
        shop.remember(owner, "mine", about(), NOW)
        assert [each.text for each in shop.newest(owner, 5, NOW)] == ["mine"]
        assert len(shop.recall(owner, "mine", 1, NOW)) == shop.forget(owner) == 1


def test_no_name_is_a_way_to_another_persons_path(service: Service) -> None:
    with service.client("shop") as shop:
        made = shop.remember(ANNA, "i like green tea", about(), NOW)
        assert made is not None
        for user in (f"anna/{made.memory_id}", ".", ".."):
            with pytest.raises(ValueError, match="without"):
                shop.forget(Owner("shop", user))
        assert service.ask("DELETE", f"/v1/memories/anna%2f{made.memory_id}").status_code == 422
        assert shop.newest(ANNA, 5, NOW) == [made]
        assert service.ask("DELETE", f"/v1/memories/anna/{made.memory_id}").json() == {"n_forgotten": 1}  # the control


@pytest.mark.parametrize("others", ["Ren%E8", "Ren%FF", "Ren%EF%BF%BD"])
def test_a_name_that_is_no_utf_8_is_refused_and_not_taken_for_another_persons(service: Service, others: str) -> None:
    own = Owner("shop", "Ren\ufffd")
    kept = service.room.memories.remember(own, "my secret", about(), NOW)
    try:
        for method, more in (("POST", {"json": {"text": "mine"}}), ("GET", {}), ("DELETE", {})):
            refused = service.ask(method, f"/v1/memories/{others}", **more)
            assert (refused.status_code, refused.json()["error"]["reason"]) == (422, "user")
            assert "UTF-8" in refused.text and "secret" not in refused.text
        assert service.room.memories.newest(own, 5, NOW) == [kept]
    finally:
        service.room.memories.forget(own, NOW)
    for name, text in (("Ren%C3%A9", "e acute"), ("Ren%C3%A8", "e grave")):  # the controls
        assert service.ask("POST", f"/v1/memories/{name}", json={"text": text}).status_code == 201
        (memory,) = service.ask("GET", f"/v1/memories/{name}").json()["memories"]
        assert memory["text"] == text and service.ask("DELETE", f"/v1/memories/{name}").json() == {"n_forgotten": 1}


def test_a_first_answer_is_chosen_by_what_was_said_before(service: Service) -> None:
    def answer(user: str) -> str:
        asked = service.ask("POST", f"/v1/memories/{user}/first-answer", json={"text": "i lost my card"})
        return str(asked.json()["response_id"])

    assert answer("anna") == "card-1"
    with service.client("shop") as shop:
        shop.remember(ANNA, "i lost my card", about(), NOW)
    assert (answer("anna"), answer("bert")) == ("card-2", "card-1")


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/v1/memories/anna", {"headers": {}}, 401),
        ("GET", "/v1/memories/anna", {"headers": {"authorization": "Bearer the-token-of-the-models"}}, 401),
        ("POST", "/v1/memories/anna", {"content": b"x" * 40_000}, 413),
        ("POST", "/v1/memories/anna", {"content": b'{"text": "purple zebra", "owner": "bert"}'}, 422),
        ("POST", "/v1/memories/anna", {"content": b'{"text": 7}'}, 422),
        ("POST", "/v1/memories/anna", {"content": b"purple zebra"}, 422),
        ("POST", "/v1/memories/anna", {"content": b'{"text": "a", "text": "purple zebra"}'}, 422),
        ("POST", "/v1/memories/anna", {"content": b'{"text": "purple zebra \xe9"}'}, 422),
        ("POST", "/v1/memories/anna", {"content": b'{"text": ' + b"[" * 30_000}, 422),
        ("POST", "/v1/memories/anna", {"json": {"text": "purple zebra", "said_at": "2026-01-01T00:00:00"}}, 422),
        ("POST", "/v1/memories/anna", {"json": {"text": "purple zebra " * 300}}, 422),
        ("POST", "/v1/memories/anna", {"json": {"text": "purple zebra", "kind": "purple zebra"}}, 422),
        ("POST", "/v1/memories/anna/recall", {"json": {"text": "purple zebra", "k": 0}}, 422),
        ("POST", "/v1/memories/anna/recall", {"json": {"text": "purple zebra", "k": True}}, 422),
        ("POST", "/v1/memories/anna/recall", {"content": b'{"text": "purple zebra", "k": 1, "k": 100}'}, 422),
        ("POST", f"/v1/memories/{'a' * 300}", {"json": {"text": "purple zebra"}}, 422),
        ("GET", "/v1/memories/anna?limit=1000", {}, 422),
        ("DELETE", "/v1/memories/anna/7", {}, 422),
    ],
)
def test_what_is_not_as_agreed_gets_a_problem_that_repeats_nothing(
    service: Service, method: str, path: str, more: dict[str, object], status: int
) -> None:
    answer = service.ask(method, path, **more)
    assert answer.status_code == status and set(answer.json()) == {"error"}
    assert "zebra" not in answer.text and service.room.memories.count(ANNA, NOW) == 0


def test_the_client_says_what_went_wrong(service: Service, tmp_path: Path) -> None:
    with service.client("shop") as shop, pytest.raises(DataError):
        shop.remember(ANNA, " ", about(), NOW)
    with HttpMemories(service.url, "shop", "nobody") as stranger, pytest.raises(RefusedError):
        stranger.newest(ANNA, 5, NOW)
    with HttpMemories("http://127.0.0.1:1", "shop", "x") as nobody, pytest.raises(TransportError):
        nobody.newest(ANNA, 5, NOW)


def test_a_new_token_ends_the_old_one_and_a_revoked_one_opens_nothing(service: Service) -> None:
    old = service.room.tenants.grant("club", by="ada", now=NOW)
    new = service.room.tenants.grant("club", by="ada", now=NOW)
    assert (service.room.tenants.of(old), service.room.tenants.of(new)) == (None, "club")
    assert service.room.tenants.revoke("club", by="ada", now=NOW)
    assert not service.room.tenants.revoke("club", by="ada", now=NOW)
    assert service.room.tenants.of(new) is None
