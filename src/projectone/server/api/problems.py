"""One table: an error to an HTTP status and `application/problem+json`. No answer shows a traceback."""

from __future__ import annotations

import errno
import math
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from projectone.contracts.uploads import Problem
from projectone.errors import ConsentError, ContractError, DataError, ProjectOneError, SignatureError, StorageError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 30

# Every other reason of a DataError is 422: the sample itself is at fault.
_STATUS_OF_REASON = {
    "sample-conflict": 409,
    "consent-conflict": 409,
    "consent-in-force": 409,
    "not-waiting": 409,
    "other-question": 409,
    "production-changed": 409,
    "same-production": 409,
    "run-unknown": 404,
    "erased": 410,
    "audio-too-large": 413,
}
_DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT}
_REASON_OF_STATUS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed"}


class Refusal(ProjectOneError):
    """The request is not served. Read the reason; a `retry_after_s` says when it may be."""

    def __init__(self, status: int, reason: str, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


def problem_response(status: int, reason: str, detail: str, *, retry_after_s: float | None = None) -> Response:
    """An error answer."""
    # A lone surrogate in what the other side sent must not keep us from answering.
    shown = detail.encode(errors="replace").decode()[:1000]
    problem = Problem(title=HTTPStatus(status).phrase, status=status, reason=reason, detail=shown)
    headers = {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
    return Response(problem.to_bytes(), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def response_to(error: Exception) -> Response:
    """The answer that stands for an error."""
    if isinstance(error, Refusal):
        return problem_response(error.status, error.reason, str(error), retry_after_s=error.retry_after_s)
    if isinstance(error, DataError):
        return problem_response(_STATUS_OF_REASON.get(error.reason, 422), error.reason, str(error))
    if isinstance(error, ConsentError):
        return problem_response(403, "consent-missing", str(error))
    if isinstance(error, SignatureError):
        return problem_response(401, "signature", str(error))
    if isinstance(error, ContractError):
        return problem_response(422, "contract", str(error))
    if isinstance(error, StorageError | OSError):
        status, reason = (507, "disk-full") if _is_full(error) else (503, "storage")
        return problem_response(
            status, reason, "the server could not keep this; try later", retry_after_s=RETRY_AFTER_S
        )
    return problem_response(500, "internal", "the server failed; nothing was acknowledged")


def _is_full(error: Exception) -> bool:
    """Whether there is no room left, be it for a file or for a row."""
    cause = error if isinstance(error, OSError) else error.__cause__
    refused = getattr(cause, "orig", cause)  # SQLAlchemy wraps what the driver says
    if isinstance(refused, OSError):
        return refused.errno in _DISK_IS_FULL
    return getattr(refused, "sqlite_errorname", "") == "SQLITE_FULL"


def add_problems(app: FastAPI) -> None:
    """Answer every error of `app` in this one form."""

    def answer(_request: Request, error: Exception) -> Response:
        return response_to(error)

    def answer_status(_request: Request, error: Exception) -> Response:
        status = int(getattr(error, "status_code", 400))
        answer = problem_response(status, _REASON_OF_STATUS.get(status, f"http-{status}"), HTTPStatus(status).phrase)
        answer.headers.update(getattr(error, "headers", None) or {})  # such as Allow
        return answer

    def answer_validation(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem_response(422, "request", f"{where}: {first['msg']}")

    for kind in (ProjectOneError, OSError, Exception):
        app.add_exception_handler(kind, answer)
    for status in _REASON_OF_STATUS:
        app.add_exception_handler(status, answer_status)
    app.add_exception_handler(RequestValidationError, answer_validation)
