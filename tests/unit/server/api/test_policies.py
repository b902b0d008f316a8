"""Every route of the service, tried by six identities: nobody gets in who is not named."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from tests.fakes.caller import a_clip
from tests.unit.server.api.conftest import Backend, reason

from projectone.contracts import endpoints
from projectone.server.api.app import _flat
from projectone.server.api.auth import Policy
from projectone.server.api.quotas import Quotas
from projectone.server.devices.operators import ROLES

IDENTITIES = ("nobody", "device", *ROLES)
EVERYBODY = frozenset(IDENTITIES)
DEVICE = frozenset({"device"})
# Written by hand: a new route is refused here until somebody says who may call it.
WHO: dict[tuple[str, str], frozenset[str]] = {
    ("POST", "/v1/devices"): EVERYBODY,
    ("PUT", "/v1/consents/{receipt_id}"): DEVICE,
    ("DELETE", "/v1/consents/{receipt_id}"): DEVICE,
    ("GET", "/v1/consents/{receipt_id}/erasure"): DEVICE,
    ("PUT", "/v1/samples/{sample_id}"): DEVICE,
    ("GET", "/v1/samples/{sample_id}"): DEVICE,
    ("DELETE", "/v1/samples/{sample_id}"): DEVICE,
    ("GET", "/v1/samples/{sample_id}/uses"): DEVICE,
    ("POST", "/upload-training-data"): DEVICE,
    ("GET", "/v1/scripts"): EVERYBODY,
    ("GET", "/v1/policies"): EVERYBODY,
    ("GET", "/latest-model-info"): EVERYBODY,
    ("GET", "/v1/releases/{sha256}.zip"): EVERYBODY,
    ("GET", "/v1/releases/{sha256}.delta"): EVERYBODY,
    ("GET", "/tuf/metadata/{name}"): EVERYBODY,
    ("GET", "/tuf/targets/{path:path}"): EVERYBODY,
    ("POST", "/v1/health/tickets"): DEVICE,
    ("POST", "/v1/health/reports"): EVERYBODY,
    ("GET", "/v1/quality/weeks/{week}"): EVERYBODY,
    ("POST", "/v1/quality/tickets"): DEVICE,
    ("POST", "/v1/quality/reports"): EVERYBODY,
    ("GET", "/v1/audit/checkpoint"): EVERYBODY,
    ("GET", "/v1/audit/consistency"): EVERYBODY,
    ("GET", "/v1/audit/entries"): frozenset({"admin", "auditor"}),
    ("GET", "/v1/review/queue"): frozenset({"admin", "reviewer"}),
    ("POST", "/v1/review/decisions"): frozenset({"admin", "reviewer"}),
    ("POST", "/v1/runs"): frozenset({"admin", "trainer"}),
    ("GET", "/v1/approvals"): frozenset({"admin", "reviewer"}),
    ("POST", "/v1/approvals/answers"): frozenset({"admin", "reviewer"}),
    ("POST", "/v1/hub-events"): EVERYBODY,
    ("GET", "/health/live"): EVERYBODY,
    ("GET", "/health/ready"): EVERYBODY,
}
# Refused for who they are, and not for what they sent.
STOPPED = {(401, "device-unknown"), (401, "signature"), (401, "token"), (403, "role")}

Send = Callable[[str, str], Any]


def routes(app: FastAPI) -> list[tuple[str, str]]:
    found = [route for route in _flat(app.routes) if isinstance(route, APIRoute)]
    return [(method, route.path) for route in found for method in sorted(route.methods or ()) if method != "HEAD"]


def identities(backend: Backend) -> dict[str, Send]:
    """How each of the six sends a request."""
    caller = backend.caller()
    now = backend.services.clock()
    senders: dict[str, Send] = {
        "nobody": lambda method, path: backend.http.request(method, path),
        "device": lambda method, path: caller.signed(method, path),
    }
    for role in ROLES:
        created = backend.services.operators.create(
            f"{role}-1", role, lifetime=timedelta(days=1), by="test", now=now - timedelta(seconds=1)
        )
        senders[role] = bearing(backend.http, created[0])
    return senders


def bearing(http: TestClient, bearer: str) -> Send:
    return lambda method, path: http.request(method, path, headers={"Authorization": f"Bearer {bearer}"})


def admitted(backend: Backend) -> dict[tuple[str, str], frozenset[str]]:
    """Who gets past the door of each route, by trying."""
    object.__setattr__(backend.services, "quotas", Quotas())
    found: dict[tuple[str, str], set[str]] = {route: set() for route in routes(backend.http.app)}  # type: ignore[arg-type]
    senders = identities(backend)
    for (method, path), (identity, send) in itertools.product(found, senders.items()):
        url = re.sub(r"\{sha256\}", "0" * 64, path)
        answer = send(method, re.sub(r"\{\w+\}", str(uuid.UUID(int=7)), url))
        is_stopped = answer.status_code in (401, 403) and reason(answer) in STOPPED
        if not is_stopped:
            found[method, path].add(identity)
    return {route: frozenset(who) for route, who in found.items()}


def test_each_route_lets_in_exactly_whom_it_names(backend: Backend) -> None:
    found = admitted(backend)
    assert len(found) == len(WHO) >= 24
    assert found == WHO


def test_without_the_question_for_the_role_everybody_with_a_token_gets_everywhere(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    admits = Policy.admits
    monkeypatch.setattr(Policy, "admits", lambda self, role: role not in ("device", "public") or admits(self, role))
    found = admitted(backend)
    too_many = sum(len(found[route] - WHO[route]) for route in WHO)
    assert too_many == 12, "six routes, two roles too many at each"


@pytest.mark.parametrize("who", [frozenset(), frozenset({"public", "admin"}), frozenset({"device", "auditor"})])
def test_a_policy_that_names_nobody_or_mixes_doors_cannot_be_made(who: frozenset[Any]) -> None:
    with pytest.raises(ValueError, match="policy"):
        Policy(who)


def test_expired_revoked_and_made_up_tokens_open_nothing(backend: Backend) -> None:
    tokens, now = backend.services.operators, backend.services.clock()
    entries = endpoints.AUDIT_ENTRIES
    bearer, operator = tokens.create("ada", "auditor", lifetime=timedelta(days=1), by="test", now=now)
    assert bearing(backend.http, bearer)("GET", entries).status_code == 200
    old, _ = tokens.create("old", "auditor", lifetime=timedelta(days=1), by="test", now=now - timedelta(days=2))
    for refused in (old, bearer[:-1], f"{bearer}x", "", bearer.upper(), operator.token_id):
        assert reason(bearing(backend.http, refused)("GET", entries)) == (401, "token")
    twice = [("Authorization", f"Bearer {bearer}"), ("Authorization", f"Bearer {bearer}")]
    assert reason(backend.http.request("GET", entries, headers=twice)) == (401, "token")
    assert reason(backend.http.get(entries, headers={"Authorization": f"Basic {bearer}"})) == (401, "token")
    assert tokens.revoke("ada", by="test", now=now) == [operator.token_id]
    assert reason(bearing(backend.http, bearer)("GET", entries)) == (401, "token")


def test_a_token_is_kept_as_a_digest_alone_and_on_record(backend: Backend) -> None:
    bearer, operator = backend.services.operators.create(
        "ada", "reviewer", lifetime=timedelta(days=1), by="root", now=backend.services.clock()
    )
    content = b"".join(path.read_bytes() for path in backend.home.rglob("*") if path.is_file())
    assert bearer.encode() not in content and operator.token_id.encode() in content
    (entry,) = [entry for entry in backend.services.audit.newest(9) if entry.act == "token-created"]
    assert (entry.subject, entry.actor, entry.facts) == (operator.token_id, "root", {"name": "ada", "role": "reviewer"})


def test_a_reviewer_decides_and_the_record_names_them(backend: Backend) -> None:
    tokens = backend.services.operators
    bearer, _ = tokens.create("grace", "reviewer", lifetime=timedelta(days=1), by="root", now=backend.services.clock())
    headers = {"Authorization": f"Bearer {bearer}"}
    ada = backend.caller()
    sent = ada.put(a_clip())
    assert sent.status_code == 201
    sample_id = backend.catalog.waiting()[0].sample_id
    decide = {"sample_ids": [str(sample_id)], "decision": "accepted", "why": "heard it"}
    url = endpoints.REVIEW_DECISIONS
    assert reason(backend.http.post(url, json=decide, headers=headers)) == (422, "not-held")
    backend.services.reviews.decide([sample_id], "doubted", by="root", why=None, now=backend.services.clock())
    (queued,) = backend.http.get(endpoints.REVIEW_QUEUE, headers=headers).json()
    assert (queued["sample_id"], queued["reasons"]) == (str(sample_id), ["doubted"]) and "text" not in queued
    assert backend.http.post(url, json=decide, headers=headers).json() == {"sample_ids": [str(sample_id)]}
    newest = backend.services.audit.newest(1)[0]
    assert (newest.act, newest.subject, newest.actor) == ("sample-accepted", str(sample_id), "grace")
