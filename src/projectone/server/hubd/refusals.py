"""What the Hub answers when the answer is no, in the form the client turns into its own exceptions."""

from __future__ import annotations

from typing import Literal

from projectone.errors import ProjectOneError

ErrorCode = Literal["RepoNotFound", "RevisionNotFound", "EntryNotFound"]

# The client reads any other 401 on an API path as "repository not found" and hides the true cause.
BAD_TOKEN_MESSAGE = "Invalid credentials in Authorization header"


class Refusal(ProjectOneError):
    """A request that is refused: the caller of the Hub must change it.

    Attributes:
        status: HTTP status.
        code: Picks the client's exception class (``X-Error-Code``); None where the status says enough.
        fields: Further members of the JSON answer.
        extra_headers: Further headers of the answer.
    """

    def __init__(self, status: int, message: str, *, code: ErrorCode | None = None, **fields: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.fields = fields
        self.extra_headers: dict[str, str] = {}

    def headers(self) -> dict[str, str]:
        """The headers the client reads; a header holds ASCII without line ends, whatever the message quotes."""
        message = str(self).encode("ascii", "backslashreplace").decode().replace("\r", " ").replace("\n", " ")
        headers = {"X-Error-Message": message, **self.extra_headers}
        if self.code is not None:
            headers["X-Error-Code"] = self.code
        return headers


def no_such_repo(*, is_anonymous: bool) -> Refusal:
    """One answer for a missing and for an invisible repository, so that nobody learns which it is."""
    return Refusal(401 if is_anonymous else 404, "Repository not found", code="RepoNotFound")


def collected() -> Refusal:
    """Bytes that nobody referred to went between their arrival and the row that would have held them."""
    return Refusal(503, "The upload was collected as garbage before it was used; send it again")


def no_such_revision(revision: str) -> Refusal:
    """This repository has no such branch, tag or commit."""
    return Refusal(404, f"Invalid rev id: {revision!r}", code="RevisionNotFound")


def no_such_entry(path: str) -> Refusal:
    """This revision has no such file or folder."""
    return Refusal(404, f"Entry not found: {path!r}", code="EntryNotFound")
