"""Ways in: a token that somebody was given, or the provider that knows who they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from projectone.errors import SignatureError, TransportError
from projectone.server.console.identity import Provider, Purpose
from projectone.server.console.sessions import Sessions

COOKIE: Final = "__Host-projectone"
LOGIN_COOKIE: Final = "__Host-projectone-login"
_NOBODY: Final = "You are nobody here: an admin lets you in with `projectone-server tokens create … --identity`."

Page = Callable[..., Response]


def enter(secret: str, answer: Response) -> Response:
    """The answer with the session's cookie; `__Host-`: browsers take it from this host alone, over TLS or locally."""
    answer.set_cookie(COOKIE, secret, secure=True, httponly=True, samesite="strict", path="/")
    return answer


def send_away(provider: Provider, page: Page, request: Request, purpose: Purpose, session: str = "") -> Response:
    """To the provider, with a cookie that knows the way back; it comes along when another site sends the browser."""
    try:
        address, secret = provider.begin(purpose, session)
    except TransportError as error:
        return page(request, "problem", 502, problem=str(error))
    answer = RedirectResponse(address, 303)
    answer.set_cookie(LOGIN_COOKIE, secret, max_age=600, secure=True, httponly=True, samesite="lax", path="/")
    return answer


def take_back(provider: Provider, sessions: Sessions, page: Page, request: Request) -> Response:
    """Back from the provider: into a new session, or with the proof that the old one wanted."""
    try:
        login, identity = provider.finish(request.cookies.get(LOGIN_COOKIE, ""), dict(request.query_params))
    except SignatureError as error:
        return page(request, "problem", 403, problem=str(error))
    except TransportError as error:
        return page(request, "problem", 502, problem=str(error))
    # A page of ours goes on from here: the session's cookie does not come along on another site's redirect.
    answer = page(request, "signed_in")
    answer.delete_cookie(LOGIN_COOKIE, secure=True, httponly=True, samesite="lax")
    if login.purpose == "prove":
        is_proved = sessions.prove_for(login.session, identity)
        return answer if is_proved else page(request, "problem", 403, problem="That is somebody else than signed in.")
    secret = sessions.begin_for(identity)
    return page(request, "problem", 403, problem=_NOBODY) if secret is None else enter(secret, answer)
