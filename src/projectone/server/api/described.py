"""What OpenAPI says of the routes beyond what can be read off them: who may call, media types, refusals, examples.

A client in another language is built from this page of JSON; `tests/unit/server/api/test_described.py` holds it to the
routes and to the contracts.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from fastapi import FastAPI

from projectone.contracts import endpoints
from projectone.server.api.examples import EXAMPLES
from projectone.server.api.problems import MEDIA_TYPE

_JSON: Final = "application/json"
_REF: Final = "#/components/schemas/"
_FILE: Final = {"type": "string", "format": "binary"}
# What a route answers whose body is no contract.
_FILES: Final[Mapping[str, str]] = {
    endpoints.RELEASES + "/{sha256}.zip": "application/zip",
    endpoints.RELEASES + "/{sha256}.delta": "application/octet-stream",
    endpoints.SIGNED_METADATA + "/{name}": _JSON,
    endpoints.SIGNED_DOCUMENTS + "/{path}": _JSON,
}
_SCHEMES: Final = {
    "deviceSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": (
            "RFC 9421 with Ed25519 in one form: `Signature-Input` names `@method`, `@path`, `@query`, "
            "`content-digest`, `x-device-id`, `x-sample`, with `created`, `nonce`, `keyid`, `alg`; `Content-Digest` "
            "and `X-Device-Id` go with it. Vectors: `tests/conformance/vectors/signing/requests.json`."
        ),
    },
    "operatorToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of an operator in one of the roles that the route names in `x-roles`.",
    },
}


Callers = Mapping[tuple[str, str], frozenset[str]]
"""Who may call a method of a path: everybody, devices, or roles of operators."""


def describe(app: FastAPI, callers: Callers) -> None:
    """Let the app say all of it, wherever it is asked."""
    build, kept = app.openapi, dict[str, Any]()

    def described() -> dict[str, Any]:
        if not kept:
            kept.update(_completed(deepcopy(build()), callers))  # routes share what they say
        return kept

    app.openapi = described  # type: ignore[method-assign]


def _completed(document: dict[str, Any], callers: Callers) -> dict[str, Any]:
    document["components"]["securitySchemes"] = _SCHEMES
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            who = callers[method.upper(), path]
            if "device" in who:
                operation["security"] = [{"deviceSignature": []}]
            elif "public" not in who:
                operation["security"] = [{"operatorToken": []}]
                operation["x-roles"] = sorted(who)
            else:
                operation["security"] = []
            _describe_answers(path, operation)
            _describe_body(operation, document["components"]["schemas"])
    return document


def _describe_answers(path: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    refused = {"schema": {"$ref": f"{_REF}Problem"}, "example": EXAMPLES["Problem"]}
    answers["4XX"] = {"description": answers["4XX"]["description"], "content": {MEDIA_TYPE: refused}}
    answers["5XX"] = {"description": "Not now: `Retry-After` says when", "content": {MEDIA_TYPE: refused}}
    if path in _FILES:
        content = {_FILES[path]: {"schema": _FILE if _FILES[path] != _JSON else {"type": "object"}}}
        answers["200"] = {"description": "The file, with its ETag", "content": content}
        answers["304"] = {"description": "It is the one of `If-None-Match`"}
    if path.startswith(endpoints.RELEASES):
        answers["206"] = {"description": "The part that `Range` asks for", "content": content}
        answers["307"] = {"description": "Somebody else has it; `?direct=true` asks this server alone"}
    for status, answer in answers.items():
        body = answer.get("content", {}).get(_JSON)
        if body is not None and status[0] == "2":
            _add_example(body)


def _describe_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        for name, schema in body["schema"].pop("$defs", {}).items():
            schemas.setdefault(name, schema)
        if media_type == _JSON:
            _add_example(body)


def _add_example(body: dict[str, Any]) -> None:
    name = body["schema"].get("$ref", "").removeprefix(_REF) or body["schema"].get("title", "")
    if name in EXAMPLES:
        body["example"] = EXAMPLES[name]
