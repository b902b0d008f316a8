"""The API as a web application. A route without a declared policy does not start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from projectone import __version__
from projectone.contracts.endpoints import MAX_BATCH_BYTES
from projectone.server.api import (
    approvals,
    approved_policies,
    audit,
    consents,
    devices,
    health,
    operators,
    quality,
    releases,
    reports,
    samples,
    scripts,
    uploads,
    webhooks,
)
from projectone.server.api.answers import PROBLEM
from projectone.server.api.auth import Policy
from projectone.server.api.described import describe
from projectone.server.api.problems import add_problems
from projectone.server.api.public import PublicAnswers, PublicMemory
from projectone.server.api.requests import RequestLog
from projectone.server.api.services import Services

_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_OPENAPI_PATH = "/openapi.json"


class SafeAnswers:
    """Adds to every answer what keeps browsers and caches in bounds, and hangs up on bodies without an end.

    What is left of a refused body of known length is read and dropped by the server, so that the caller gets to the
    answer; one without a length, or of an absurd one, could go on for ever.
    """

    def __init__(self, app: _Application) -> None:
        self._app = app

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Pass the request on, and add the headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_whole = False

        async def receive_counting() -> _Message:
            nonlocal is_whole
            message = await receive()
            is_whole = not message.get("more_body", False)
            return message

        async def send_safely(message: _Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                extra = [(b"x-content-type-options", b"nosniff")]
                if b"cache-control" not in names:
                    extra.append((b"cache-control", b"no-store"))
                if not is_whole and _is_endless(scope):
                    extra.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        await self._app(scope, receive_counting, send_safely)


def _is_endless(scope: _Scope) -> bool:
    headers = dict(scope["headers"])
    stated = headers.get(b"content-length", b"0")
    return b"transfer-encoding" in headers or not stated.isdigit() or int(stated[:19]) > MAX_BATCH_BYTES


def create_app(services: Services) -> FastAPI:
    """The API over `services`.

    Raises:
        ValueError: if a route declares no policy.
    """
    services.staging.mkdir(parents=True, exist_ok=True)
    app = _bare_app()
    app.state.services = services
    app.state.public = PublicMemory(services)
    return app


def openapi_document() -> dict[str, Any]:
    """What the API says of itself; needs no services."""
    return _bare_app().openapi()


def require_policies(app: FastAPI) -> None:
    """Refuse an application in which somebody forgot to say who may call.

    Raises:
        ValueError: naming the route.
    """
    for route in _flat(app.routes):
        if isinstance(route, APIRoute):
            calls = [dependency.call for dependency in route.dependant.dependencies]
            if not any(isinstance(call, Policy) for call in calls):
                raise ValueError(
                    f"{sorted(route.methods or ())} {route.path}: expected a Policy among its dependencies"
                )
        elif getattr(route, "path", None) != _OPENAPI_PATH:
            raise ValueError(f"{route!r}: only plain routes with a Policy are served")


def _callers(app: FastAPI) -> dict[tuple[str, str], frozenset[str]]:
    """Who may call which route."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for route in _flat(app.routes):
        if isinstance(route, APIRoute):
            (policy,) = (item.call for item in route.dependant.dependencies if isinstance(item.call, Policy))
            found |= {(method, route.path_format): frozenset[str](policy.who) for method in route.methods or ()}
    return found


def _flat(routes: Sequence[object]) -> Iterator[object]:
    """The routes, those of included routers too; what is neither is given as it is, and then refused."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from _flat(included.routes)


def _bare_app() -> FastAPI:
    app = FastAPI(
        title="ProjectOne",
        summary="Consented samples in, better models out.",
        version=__version__,
        openapi_url=_OPENAPI_PATH,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        responses=PROBLEM,
        redirect_slashes=False,
    )
    for room in (
        devices,
        consents,
        samples,
        uploads,
        scripts,
        approved_policies,
        releases,
        reports,
        quality,
        audit,
        operators,
        approvals,
        webhooks,
        health,
    ):
        app.include_router(room.router)
    require_policies(app)
    describe(app, _callers(app))
    add_problems(app)
    app.add_middleware(SafeAnswers)
    app.add_middleware(PublicAnswers)
    app.add_middleware(RequestLog)
    return app
