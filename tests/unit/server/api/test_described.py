"""OpenAPI says enough to build a client from: who may call, every media type, the form of refusals, real examples."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from typing import Any

import pytest

import projectone.contracts
from projectone.contracts.base import Contract
from projectone.server.api.app import openapi_document
from projectone.server.api.examples import EXAMPLES

DOCUMENT = openapi_document()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
# Operators and the Hub; no client on a device calls these, and what they get is no contract.
NO_CONTRACT = ("/health/", "/v1/audit/entries", "/v1/review/", "/v1/runs", "/v1/approvals", "/v1/hub-events")


def contracts() -> dict[str, type[Contract]]:
    modules = [
        importlib.import_module(f"projectone.contracts.{item.name}")
        for item in pkgutil.iter_modules(projectone.contracts.__path__)
    ]
    members = [member for module in modules for member in vars(module).values()]
    return {m.__name__: m for m in members if isinstance(m, type) and issubclass(m, Contract)}


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_an_operation_says_who_may_call_what_comes_back_and_how_it_refuses(
    name: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["security"] in ([], [{"deviceSignature": []}], [{"operatorToken": []}])
    assert bool(operation.get("x-roles")) == (operation["security"] == [{"operatorToken": []}])
    good = [answer for status, answer in operation["responses"].items() if status[0] == "2"]
    assert good
    assert all(answer.get("content") or "204" in operation["responses"] for answer in good)
    for status in ("4XX", "5XX"):
        assert list(operation["responses"][status]["content"]) == ["application/problem+json"]
    bodies = [answer.get("content", {}) for answer in good] + [operation.get("requestBody", {}).get("content", {})]
    if not name.split()[1].startswith(NO_CONTRACT) and "/tuf/" not in name:
        assert all("example" in body[kind] for body in bodies for kind in body if kind == "application/json")


def test_every_example_is_a_value_of_its_contract() -> None:
    known = contracts()
    for name, value in EXAMPLES.items():
        assert known[name].model_validate(value).model_dump(mode="json") == value


def test_every_reference_leads_somewhere() -> None:
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert named <= set(DOCUMENT["components"]["schemas"])


def test_every_security_scheme_is_declared() -> None:
    used = {scheme for _, operation in OPERATIONS for item in operation["security"] for scheme in item}
    assert used == set(DOCUMENT["components"]["securitySchemes"])


def test_every_contract_says_what_it_is() -> None:
    assert [name for name, kind in contracts().items() if not kind.__doc__] == []
