"""The service over HTTP: POST /v1/KIND with a question, GET /v1 for what there is. Whoever holds the token may ask.

GET /v1/costs shows what answers cost: all of it with the service's token, with a tenant's token that tenant's own.

It knows no model: it hands bytes to `Asking`, whether the models are in this process or on a cluster.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.errors import ContractError, DataError, ProjectOneError, TransportError, error_document
from projectone.server.replicas import wire
from projectone.server.replicas.asking import Asking
from projectone.server.replicas.costs import CostBook
from projectone.server.replicas.models import KINDS, Kind

_JSON = "application/json"
_BEARER = "Bearer "


def create_app(
    asking: Asking,
    kinds: Sequence[Kind],
    *,
    token: str,
    beside: Sequence[Route] = (),
    costs: CostBook | None = None,
    tenant_of: Callable[[str], str | None] = lambda bearer: None,
) -> Starlette:
    """The service over models that are somewhere.

    Args:
        asking: Where.
        kinds: What is served.
        token: What a request must bring as `Authorization: Bearer`.
        beside: Routes of others, who see to it themselves who may ask.
        costs: What was counted of answers.
        tenant_of: Whose token one is that is not the service's; None if nobody's.
    """

    def is_allowed(request: Request) -> bool:
        given = request.headers.get("authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {token}".encode())

    async def show(request: Request) -> Response:
        if not is_allowed(request):
            return _refused(401, "token", "expected the service's token")
        return Response(json.dumps({"kinds": list(kinds)}), media_type=_JSON)

    async def answer(request: Request) -> Response:
        if not is_allowed(request):
            return _refused(401, "token", "expected the service's token")
        kind = next((known for known in KINDS if known == request.path_params["kind"]), None)
        if kind is None:
            return _refused(404, "no-such-kind", f"expected one of {', '.join(KINDS)}")
        body = await _read(request)
        if body is None:
            return _refused(413, "too-large", f"expected at most {wire.MAX_BODY_BYTES} bytes")
        try:
            content = await run_in_threadpool(asking.ask, kind, body)
        except TransportError as error:
            return _failed(503, error)
        return Response(content, wire.status_of(content), media_type=_JSON)

    asked = [Route("/v1", show), Route("/v1/{kind}", answer, methods=["POST"])]
    counted = [] if costs is None else [Route("/v1/costs", _showing(costs, is_allowed, tenant_of))]
    return Starlette(routes=[*counted, *asked, *beside])


def _showing(
    book: CostBook, may_see_all: Callable[[Request], bool], tenant_of: Callable[[str], str | None]
) -> Callable[[Request], Awaitable[Response]]:
    def read(request: Request) -> Response:
        # A tenant is named by its token alone: no part of the question can name another one.
        tenants = None
        if not may_see_all(request):
            given = request.headers.get("authorization", "")
            tenant = tenant_of(given.removeprefix(_BEARER)) if given.startswith(_BEARER) else None
            if tenant is None:
                return _refused(401, "token", "expected the service's token, or a tenant's")
            tenants = [tenant]
        days = request.query_params.get("days", "30")
        return Response(json.dumps(book.shown(_number(days), tenants=tenants)), media_type=_JSON)

    async def show(request: Request) -> Response:
        try:
            return await run_in_threadpool(read, request)
        except ProjectOneError as error:
            return _failed(422 if isinstance(error, DataError) else 503, error)

    return show


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 0


async def _read(request: Request) -> bytes | None:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > wire.MAX_BODY_BYTES:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _refused(status: int, reason: str, message: str) -> Response:
    problem = error_document(ContractError(message))
    problem["error"]["reason"] = reason
    return Response(json.dumps(problem), status, media_type=_JSON)


def _failed(status: int, error: ProjectOneError) -> Response:
    return Response(json.dumps(error_document(error)), status, media_type=_JSON)
