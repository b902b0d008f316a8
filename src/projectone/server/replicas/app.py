"""The service over HTTP: POST /v1/KIND with a question, GET /v1 for what there is. Whoever holds the token may ask.

It knows no model: it hands bytes to `Asking`, whether the models are in this process or on a cluster.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.errors import ContractError, ProjectOneError, TransportError, error_document
from projectone.server.replicas import wire
from projectone.server.replicas.asking import Asking
from projectone.server.replicas.models import KINDS, Kind

_JSON = "application/json"


def create_app(asking: Asking, kinds: Sequence[Kind], *, token: str, beside: Sequence[Route] = ()) -> Starlette:
    """The service over models that are somewhere.

    Args:
        asking: Where.
        kinds: What is served.
        token: What a request must bring as `Authorization: Bearer`.
        beside: Routes of others, who see to it themselves who may ask.
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

    return Starlette(routes=[Route("/v1", show), Route("/v1/{kind}", answer, methods=["POST"]), *beside])


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
