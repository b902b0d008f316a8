"""Contracts as bodies: canonical JSON out, and their schemas for OpenAPI in."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from projectone.contracts.base import Contract
from projectone.contracts.uploads import Problem


def contract_response(value: Contract, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A contract as the answer."""
    return Response(value.to_bytes(), status_code=status, media_type="application/json", headers=headers)


def contract_body(kind: type[Contract]) -> dict[str, Any]:
    """What OpenAPI says of a request body that the route reads itself, because it is signed byte by byte.

    `described` puts its `$defs` where the others are.
    """
    return raw_body("application/json", schema=kind.model_json_schema(ref_template="#/components/schemas/{model}"))


def raw_body(*media_types: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """What OpenAPI says of a body of another type, or of one of several."""
    content = {media_type: {"schema": schema or {"type": "string", "format": "binary"}} for media_type in media_types}
    return {"requestBody": {"required": True, "content": content}}


def header(name: str, description: str) -> dict[str, Any]:
    """A header parameter for OpenAPI."""
    return {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}


PROBLEM: dict[int | str, dict[str, Any]] = {"4XX": {"model": Problem, "description": "Refused: read `reason`"}}
"""The answer that every route may give."""
