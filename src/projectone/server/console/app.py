"""The console as a web application: few pages, no script, one form for each decision."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qs
from uuid import UUID

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from projectone.contracts.versions import DEFAULT_FAMILY
from projectone.errors import DataError
from projectone.server.approvals import Answer
from projectone.server.console.decision_page import values_of
from projectone.server.console.drift_page import drift_panel
from projectone.server.console.guard import Guard
from projectone.server.console.identity import Provider
from projectone.server.console.rollouts import LABELS, WIDENING, may_turn, panel_of
from projectone.server.console.sessions import Session, Sessions
from projectone.server.console.sign_in import COOKIE, enter, send_away, take_back
from projectone.server.corpus.review import Decision, Reviews
from projectone.server.corpus.validation import EXPLAINED
from projectone.server.decisions import DecisionDesk
from projectone.server.monitoring.drift_desk import DriftDesk
from projectone.server.rollout_desk import TURNINGS, RolloutDesk

_MAX_FORM_BYTES = 16 * 1024
_MAX_WHY_CHARACTERS = 2_000
_SHOWN_AT_ONCE = 20
_ANSWERS: dict[str, Answer] = {"approved": "approved", "vetoed": "vetoed", "judge-again": "judge-again"}
_DECISIONS: dict[str, Decision] = {"accept": "accepted", "refuse": "refused"}
_PAGES = Environment(loader=PackageLoader("projectone.server.console"), autoescape=True, undefined=StrictUndefined)


@dataclass(frozen=True, kw_only=True)
class ConsoleServices:
    """Everything behind the pages.

    Attributes:
        reviews: What waits, and what was decided.
        open_clip: A sample's sound as a WAV file, on the record under an operator's name.
        sessions: Who is signed in.
        clock: Now, with its zone.
        provider: Where people sign in, if not by a token alone.
        rollout: The release of speech on its way.
        other_rollouts: The releases of other families.
        drift: What devices say of models in use.
        decisions: Runs, what they were decided on, and what waits for a person.
    """

    reviews: Reviews
    open_clip: Callable[[UUID, str], bytes]
    sessions: Sessions
    clock: Callable[[], datetime]
    provider: Provider | None = None
    rollout: RolloutDesk | None = None
    other_rollouts: Mapping[str, RolloutDesk] = field(default_factory=dict)
    drift: DriftDesk | None = None
    decisions: DecisionDesk | None = None


class PageError(Exception):
    """The page is not shown; `response` is shown instead."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


@dataclass(frozen=True)
class Visit:
    """A request that was let in: whose, by which cookie, and what its form says."""

    secret: str
    session: Session
    form: dict[str, str]

    @property
    def name(self) -> str:
        """The operator's account."""
        return self.session.operator.name


class SignedIn:
    """The door of a page: whoever is not signed in is sent to do so, a form that is not ours is refused."""

    async def __call__(self, request: Request) -> Visit:
        """Let the request in.

        Raises:
            PageError: with the way to sign in, or 403.
        """
        secret = request.cookies.get(COOKIE, "")
        session = _services(request).sessions.find(secret)
        if session is None:
            raise PageError(RedirectResponse("/sign-in", 303))
        form = await read_form(request) if request.method == "POST" else {}
        # Beside Origin and cookie: a page of this session wrote the form.
        is_ours = hmac.compare_digest(form.get("form_token", "").encode(), session.form_token.encode())
        if request.method == "POST" and not is_ours:
            raise PageError(_page(request, "sign_in", 403, problem="That form was too old; sign in again."))
        return Visit(secret, session, form)


class Anybody:
    """The door of the pages for signing in."""

    async def __call__(self, request: Request) -> dict[str, str]:
        """What the form says."""
        return await read_form(request) if request.method == "POST" else {}


_In = Annotated[Visit, Depends(SignedIn())]
_Anybody = Annotated[dict[str, str], Depends(Anybody())]


def create_console(services: ConsoleServices, hosts: Collection[str]) -> Guard:
    """The pages over `services`, for these `Host` headers.

    Raises:
        ValueError: if a page has no door.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = services
    app.get("/")(show_queue)
    app.get("/clips/{sample_id}.wav")(play)
    app.post("/decisions")(decide)
    app.get("/rollout")(show_rollout)
    app.post("/rollout")(turn_rollout)
    app.get("/drift")(show_drift)
    app.get("/runs")(show_runs)
    app.get("/runs/{run_id}")(show_decision)
    app.post("/runs/decisions")(answer)
    app.get("/golden")(play_golden)
    app.post("/prove")(prove)
    app.post("/sign-out")(sign_out)
    app.get("/sign-in")(show_sign_in)
    app.post("/sign-in")(sign_in)
    if services.provider is not None:
        app.get("/sign-in/provider")(go_to_provider)
        app.get("/sign-in/back")(come_back)
        app.get("/prove/provider")(prove_at_provider)
    for route in app.routes:
        doors = [item.call for item in route.dependant.dependencies] if isinstance(route, APIRoute) else []
        if not any(isinstance(door, SignedIn | Anybody) for door in doors):
            raise ValueError(f"{route!r}: expected a door among its dependencies")
    app.add_exception_handler(PageError, lambda request, error: _answer_of(error))
    app.add_exception_handler(DataError, lambda request, error: _page(request, "problem", 409, problem=str(error)))
    return Guard(app, hosts)  # around everything, so that no error goes out without its headers


def show_queue(request: Request, visit: _In) -> Response:
    """What waits, oldest first."""
    services = _services(request)
    held = services.reviews.held(_SHOWN_AT_ONCE)
    sentences = {}
    for sample in held:
        if sample.kind == "intent":
            with contextlib.suppress(DataError):  # it went with a withdrawal just now
                sentences[sample.sample_id] = services.open_clip(sample.sample_id, visit.name).decode(errors="replace")
    return _page(
        request,
        "queue",
        held=held,
        sentences=sentences,
        explained=EXPLAINED,
        visit=visit,
        is_stepped_up=visit.session.is_stepped_up(services.clock()),
    )


def play(sample_id: UUID, request: Request, visit: _In) -> Response:
    """One sample's sound."""
    return Response(_services(request).open_clip(sample_id, visit.name), media_type="audio/wav")


def decide(request: Request, visit: _In) -> Response:
    """Accept or refuse one sample; to let one into training, the token was shown within five minutes."""
    services, decision = _services(request), _DECISIONS.get(visit.form.get("decision", ""))
    try:
        sample_id = UUID(visit.form.get("sample_id", ""))
    except ValueError:
        sample_id, decision = UUID(int=0), None
    if decision is None:
        return _page(request, "problem", 422, problem="expected a sample and a decision")
    now = services.clock()
    if decision == "accepted" and not visit.session.is_stepped_up(now):
        return _page(request, "prove", 403, visit=visit, problem="Show your token again to let samples into training.")
    why = visit.form.get("why", "").strip()[:_MAX_WHY_CHARACTERS] or None
    services.reviews.decide([sample_id], decision, by=visit.name, why=why, now=now)
    return RedirectResponse("/", 303)


def show_rollout(request: Request, visit: _In) -> Response:
    """A family's release on its way: who has it, and what speaks against it."""
    services, family = _services(request), request.query_params.get("family", DEFAULT_FAMILY)
    desk = _rollout_desk(services, family)
    found = None if desk is None else desk.read()
    return _page(
        request,
        "rollout",
        family=family,
        families=[name for name in (DEFAULT_FAMILY, *services.other_rollouts) if name != family],
        panel=None if found is None else panel_of(found, visit.session.operator.role),
        labels=LABELS,
        visit=visit,
        is_stepped_up=visit.session.is_stepped_up(services.clock()),
    )


def turn_rollout(request: Request, visit: _In) -> Response:
    """Hold the release back, or let it go further; for that, its role is asked and whoever it is just now."""
    services, turning = _services(request), visit.form.get("turn", "")
    family = visit.form.get("family", DEFAULT_FAMILY)
    desk = _rollout_desk(services, family)
    found = None if desk is None else desk.read()
    if desk is None or found is None or turning not in TURNINGS:
        return _page(request, "problem", 422, problem="expected a release and what to do with it")
    if visit.form.get("seq") != str(found.manifest.seq):
        return _page(request, "problem", 409, problem="another release took its place meanwhile; look again")
    if not may_turn(visit.session.operator.role, turning):
        return _page(request, "problem", 403, problem="to widen a release takes an administrator")
    if turning in WIDENING and not visit.session.is_stepped_up(services.clock()):
        return _page(request, "prove", 403, visit=visit, problem="Show your token again to widen a release.")
    desk.turn(turning, by=visit.name)
    return RedirectResponse("/rollout" if family == DEFAULT_FAMILY else f"/rollout?family={family}", 303)


def _rollout_desk(services: ConsoleServices, family: str) -> RolloutDesk | None:
    return services.rollout if family == DEFAULT_FAMILY else services.other_rollouts.get(family)


def show_drift(request: Request, visit: _In) -> Response:
    """Models in use: whether they hear differently than they did."""
    desk = _services(request).drift
    if desk is None:
        raise DataError("no-reports", "this console was opened without the server's reports")
    return _page(request, "drift", panel=drift_panel(desk), visit=visit)


def show_runs(request: Request, visit: _In) -> Response:
    """The newest runs, those that wait for a person among them."""
    desk = _desk(request)
    n_waiting = len(desk.approvals.waiting())
    return _page(request, "runs", runs=desk.runs.newest(_SHOWN_AT_ONCE), n_waiting=n_waiting, visit=visit)


def show_decision(run_id: str, request: Request, visit: _In) -> Response:
    """What one run was decided on: what got better and worse, to read and to hear."""
    services, desk = _services(request), _desk(request)
    run = desk.runs.get(run_id)
    return _page(
        request,
        "decision",
        **values_of(desk.reader.read(run)),
        has_sound=True,
        is_waiting=run.state == "waiting",
        subject_sha256=_subject_of(desk, run_id),
        visit=visit,
        is_stepped_up=visit.session.is_stepped_up(services.clock()),
    )


def _subject_of(desk: DecisionDesk, run_id: str) -> str:
    """The question that whoever reads this page answers."""
    return next((one.question.subject_sha256 for one in desk.approvals.of_run(run_id) if one.answer is None), "")


def play_golden(clip: str, request: Request, visit: _In) -> Response:
    """One golden recording."""
    sound = _desk(request).open_golden(clip, visit.name)
    return Response(sound.content, media_type=sound.media_type)


def answer(request: Request, visit: _In) -> Response:
    """Approve, veto or have judged again what waits; to release, whoever it is showed so within five minutes."""
    services, said = _services(request), _ANSWERS.get(visit.form.get("answer", ""))
    if said is None:
        return _page(request, "problem", 422, problem="expected a run and an answer")
    if said == "approved" and not visit.session.is_stepped_up(services.clock()):
        return _page(request, "prove", 403, visit=visit, problem="Show your token again to release a model.")
    note = visit.form.get("note", "").strip()[:_MAX_WHY_CHARACTERS] or None
    _desk(request).approvals.answer(
        visit.form.get("run_id", ""), said, by=visit.name, note=note, subject_sha256=visit.form.get("subject") or None
    )
    return RedirectResponse("/runs", 303)


def prove(request: Request, visit: _In) -> Response:
    """Show the token again."""
    if not _services(request).sessions.prove(visit.secret, visit.form.get("token", "")):
        return _page(request, "prove", 403, visit=visit, problem="That is not the token you signed in with.")
    return RedirectResponse("/", 303)


def sign_out(request: Request, visit: _In) -> Response:
    """End the session."""
    _services(request).sessions.end(visit.secret)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
    return answer


def show_sign_in(request: Request, form: _Anybody) -> Response:
    """Ask for a token."""
    return _page(request, "sign_in", problem=None)


def sign_in(request: Request, form: _Anybody) -> Response:
    """Begin a session for a valid token of a role that reviews."""
    secret = _services(request).sessions.begin(form.get("token", "").strip())
    if secret is None:
        return _page(request, "sign_in", 403, problem="That token opens nothing here: wrong, expired, or another role.")
    return enter(secret, RedirectResponse("/", 303))


def go_to_provider(request: Request, form: _Anybody) -> Response:
    """Sign in where the organisation does."""
    return send_away(_provider(request), _page, request, "sign-in")


def prove_at_provider(request: Request, visit: _In) -> Response:
    """Show there again who one is."""
    return send_away(_provider(request), _page, request, "prove", visit.secret)


def come_back(request: Request, form: _Anybody) -> Response:
    """The provider's answer."""
    return take_back(_provider(request), _services(request).sessions, _page, request)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, each once; nothing of a body that is too long or no form."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise PageError(Response("too long", status_code=413, media_type="text/plain"))
    fields = parse_qs(bytes(body).decode(errors="replace"), keep_blank_values=True, max_num_fields=10)
    return {name: values[0] for name, values in fields.items() if len(values) == 1}


def _services(request: Request) -> ConsoleServices:
    services: ConsoleServices = request.app.state.services
    return services


def _desk(request: Request) -> DecisionDesk:
    desk = _services(request).decisions
    if desk is None:
        raise DataError("no-runs", "this console was opened without the server's runs")
    return desk


def _provider(request: Request) -> Provider:
    provider = _services(request).provider
    assert provider is not None  # without one there are no such routes
    return provider


def _page(request: Request, name: str, status: int = 200, **values: Any) -> Response:  # noqa: ANN401 - for the template
    nonce, has_provider = request.scope["state"]["nonce"], _services(request).provider is not None
    return HTMLResponse(
        _PAGES.get_template(f"{name}.html.j2").render(nonce=nonce, has_provider=has_provider, **values),
        status_code=status,
    )


def _answer_of(error: Exception) -> Response:
    assert isinstance(error, PageError)
    return error.response
