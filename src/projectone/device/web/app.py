"""The app: every page's routes behind the guard."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from projectone.device.client import DeviceClient
from projectone.device.web import (
    consents,
    cues,
    departures,
    donate,
    editor,
    harmless,
    meanings,
    memory,
    model,
    privacy,
    proofs,
    quality,
    record,
    shelf,
    speaking,
    sync,
    vocabulary,
)
from projectone.device.web.answers import json_answer
from projectone.device.web.assets import Assets
from projectone.device.web.context import WebContext
from projectone.device.web.guard import Guard, new_token
from projectone.device.web.jobs import Jobs
from projectone.device.web.problems import problem_handlers

Routes = Callable[[WebContext], list[Route]]

# A page is one line here.
PAGES: tuple[Routes, ...] = (
    record.routes,
    shelf.routes,
    editor.routes,
    speaking.routes,
    donate.routes,
    privacy.routes,
    consents.routes,
    departures.routes,
    proofs.routes,
    sync.routes,
    cues.routes,
    meanings.routes,
    harmless.routes,
    vocabulary.routes,
    memory.routes,
    quality.routes,
    model.routes,
)


def create_app(
    client: DeviceClient, *, port: int, token: str, renew: Callable[[], str] = new_token, jobs: Jobs | None = None
) -> Guard:
    """The pages over `client`, for the browser window that knows `token`.

    Args:
        client: Everything they do.
        port: Where the app listens: other `Host` headers are refused.
        token: What the opened address holds; good for one window.
        renew: Gives the token for the next window.
        jobs: Where long work runs; whoever starts the app may wait for it at the end.
    """
    context = WebContext(client, jobs or Jobs(), Assets())
    return Guard(_pages(context), port=port, token=token, renew=renew, locked=context.locked_page())


def create_pages(client: DeviceClient, jobs: Jobs) -> Starlette:
    """The pages without what keeps others out: never to be served as they are."""
    return _pages(WebContext(client, jobs, Assets()))


def _pages(context: WebContext) -> Starlette:
    routes: list[BaseRoute] = [
        context.assets.route(),
        Route("/api/jobs/{job_id}", lambda request: _job(request, context.jobs), methods=["GET", "DELETE"]),
    ]
    for page in PAGES:
        routes += page(context)
    context.know_paths(frozenset(route.path for route in routes if isinstance(route, Route)))
    return Starlette(routes=routes, exception_handlers=problem_handlers(context))


def _job(request: Request, jobs: Jobs) -> Response:
    """How far a job is; DELETE has it stop where it next can."""
    find = jobs.stop if request.method == "DELETE" else jobs.find
    job = find(request.path_params["job_id"])
    if job is None:
        raise HTTPException(404)
    return json_answer(job.document())
