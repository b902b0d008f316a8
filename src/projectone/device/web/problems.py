"""One table: an error to a status, as problem JSON for scripts and as a page for people. No traceback is shown."""

from __future__ import annotations

import errno
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from projectone.contracts.uploads import Problem
from projectone.device.web.context import WebContext
from projectone.errors import (
    ArtifactError,
    ConsentError,
    DataError,
    LeaseError,
    ProjectOneError,
    SettingsError,
    StorageError,
    TransportError,
    error_document,
)

MEDIA_TYPE = "application/problem+json"
# Every other reason of a DataError is 422: what was sent is at fault.
_STATUS_OF_REASON = {
    "bad-request": 400,
    "recording-unknown": 404,
    "sample-unknown": 404,
    "ask-unknown": 404,
    "not-corrected": 404,
    "not-said": 404,
    "live-unknown": 404,
    "corrected-elsewhere": 409,
    "live-gap": 409,
    "live-other": 409,
}
# The first that fits counts.
_STATUS_OF: tuple[tuple[type[ProjectOneError], int], ...] = (
    (ConsentError, 403),
    (LeaseError, 409),
    (SettingsError, 409),
    (ArtifactError, 409),
    (TransportError, 503),
    (StorageError, 507),
)
_TITLES = {
    404: "There is nothing here",
    403: "Not without your consent",
    409: "Not now",
    503: "The server cannot be reached",
    507: "The disk refused",
}
# For people: the terminal's words name ids and commands.
_DETAIL_OF_REASON = {
    "recording-unknown": "This recording is not on this device. It may have been deleted in another window.",
    "sample-unknown": "This is not on the list any more. It may have been taken back in another window.",
    "ask-unknown": "This was forgotten, perhaps in another window.",
    "label-unknown": "The classifier knows no such meaning. Choose one of the list, or none of these.",
    "not-corrected": "What you meant by this was taken back before.",
    "not-said": "This was taken back before, perhaps in another window.",
    "not-warned-of": "The safety classifier does not warn of this, so there is nothing to say.",
    "live-unknown": "This recording is finished or was discarded, perhaps in another window.",
}
_REASON_OF = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}


def problem_of(error: Exception) -> Problem:
    """What is said about an error."""
    if isinstance(error, HTTPException):
        status, reason, detail = error.status_code, _REASON_OF.get(error.status_code, "bad-request"), error.detail
        if status == 404:
            detail = "This page does not exist, or what it showed was taken back."
    elif isinstance(error, ProjectOneError):
        status, detail = _status_of(error), str(error)
        described = error_document(error)["error"]
        reason = described.get("reason", described["kind"])
        detail = _DETAIL_OF_REASON.get(reason, detail)
    elif isinstance(error, OSError):
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        status, reason, detail = 507, "disk-full" if is_full else "system", error.strerror or str(error)
    else:
        status, reason, detail = 500, "internal", "Something went wrong here. The terminal shows more."
    # A lone surrogate in what was sent must not keep us from answering.
    shown = detail.encode(errors="replace").decode()[:1000]
    return Problem(title=_TITLES.get(status, HTTPStatus(status).phrase), status=status, reason=reason, detail=shown)


def _status_of(error: ProjectOneError) -> int:
    if isinstance(error, DataError):
        return _STATUS_OF_REASON.get(error.reason, 422)
    return next((status for kind, status in _STATUS_OF if isinstance(error, kind)), 500)


def problem_handlers(context: WebContext) -> dict[Any, Callable[[Request, Exception], Response]]:
    """For `Starlette(exception_handlers=...)`."""

    def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if request.url.path.startswith("/api/"):
            return Response(problem.to_bytes(), problem.status, media_type=MEDIA_TYPE)
        return context.page(request, "problem", title=problem.title, http_status=problem.status, problem=problem)

    return dict.fromkeys((HTTPException, ProjectOneError, OSError, Exception), answer)
