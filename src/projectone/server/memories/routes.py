"""Memories over HTTP. The token says which product asks, the path whose memory it is: there is no call without both.

POST /v1/memories/USER remembers, GET lists, DELETE forgets the person; POST .../recall looks for what a text means,
POST .../first-answer chooses the approved answer, DELETE .../ID forgets one. PUT .../contributor says whose consents
the person gave, DELETE .../contributor that they are nobody's.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projectone.assist.first_turn import FirstTurn
from projectone.assist.memory import MAX_CHARACTERS, About, Kind, names_in
from projectone.assist.vectors.protocol import Owner
from projectone.contracts.base import Name, plain_json
from projectone.errors import ContractError, DataError, ProjectOneError, error_document
from projectone.server.memories.hosted import HostedMemories
from projectone.server.memories.tenants import Tenants

MAX_BODY_BYTES: Final = 32_000
MAX_LISTED: Final = 100
_MAX_NAMES: Final = 12
_BEARER: Final = "Bearer "
_UNDECODED: Final = "\ufffd"
"""What servers put in the place of every byte that is no UTF-8: in it the names of two people are the same."""
_Short = Annotated[str, Field(min_length=1, max_length=96)]
_Text = Annotated[str, Field(max_length=4 * MAX_CHARACTERS)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


_Kind = TypeVar("_Kind", bound=_Asked)


class _ToRemember(_Asked):
    text: _Text
    kind: Kind = "said"
    said_at: AwareDatetime | None = None
    names: Annotated[tuple[_Short, ...], Field(max_length=_MAX_NAMES)] | None = None
    intent: _Short | None = None
    memory_id: UUID | None = None


class _ToRecall(_Asked):
    text: _Text
    k: Annotated[int, Field(strict=True, ge=1, le=MAX_LISTED)] = 5


class _ToAnswer(_Asked):
    text: _Text


class _ToLink(_Asked):
    contributor_id: Name


class Refused(Exception):
    """What is answered instead: a status, a reason for programs, words for people."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


Routes = list[Route]
Answering = Callable[[Owner, Request, bytes], tuple[int, dict[str, Any]]]


class MemoryRoutes:
    """The routes, to be served beside those of the models.

    Args:
        memories: What is asked.
        tenants: Whose token it is.
        first_turn: What chooses approved answers now; None where none are approved.
        clock: Now, with its zone.
    """

    def __init__(
        self,
        memories: HostedMemories,
        tenants: Tenants,
        *,
        first_turn: Callable[[], FirstTurn | None] = lambda: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._memories = memories
        self._tenants = tenants
        self._first_turn = first_turn
        self._clock = clock

    def routes(self) -> Routes:
        """For the service's application."""
        theirs = "/v1/memories/{user}"
        made = (
            (theirs, "POST", self._remember),
            (theirs, "GET", self._list),
            (theirs, "DELETE", self._forget),
            (f"{theirs}/recall", "POST", self._recall),
            (f"{theirs}/first-answer", "POST", self._answer_first),
            (f"{theirs}/contributor", "PUT", self._link),
            (f"{theirs}/contributor", "DELETE", self._unlink),
            (f"{theirs}/{{memory_id}}", "DELETE", self._drop),
        )
        return [Route(path, self._endpoint(does), methods=[method]) for path, method, does in made]

    def tenant_of(self, bearer: str) -> str | None:
        """Whose token this is; None if nobody's."""
        return self._tenants.of(bearer)

    def _endpoint(self, does: Answering) -> Callable[[Request], Awaitable[Response]]:
        def answer(request: Request, body: bytes | None) -> tuple[int, dict[str, Any]]:
            owner = self._owner(request)
            if body is None:
                raise Refused(413, "too-large", f"expected at most {MAX_BODY_BYTES} bytes")
            return does(owner, request, body)

        async def endpoint(request: Request) -> Response:
            body = await _read(request)
            try:
                status, content = await run_in_threadpool(answer, request, body)
            except Refused as refused:
                status, content = refused.status, _problem(refused)
            except ProjectOneError as error:
                status, content = 422 if isinstance(error, DataError) else 503, error_document(error)
            return Response(json.dumps(content), status, media_type="application/json")

        return endpoint

    def _owner(self, request: Request) -> Owner:
        given = request.headers.get("authorization", "")
        tenant = self.tenant_of(given.removeprefix(_BEARER)) if given.startswith(_BEARER) else None
        if tenant is None:
            raise Refused(401, "token", "expected a tenant's token")
        # Decoded before it is routed, a slash in a name would make one person's path another's.
        if b"%2f" in request.scope.get("raw_path", b"").lower():
            raise Refused(422, "user", "user: expected a name without '/'")
        user = request.path_params["user"]
        # Given as it is, it is refused too: an application that decoded a name badly sends it for all its people.
        if _UNDECODED in user:
            raise Refused(422, "user", "user: expected UTF-8, and no U+FFFD")
        try:
            return Owner(tenant, user)
        except ValueError as error:
            raise Refused(422, "user", str(error)) from error

    def _remember(self, owner: Owner, _: Request, body: bytes) -> tuple[int, dict[str, Any]]:
        asked, now = _parsed(_ToRemember, body), self._clock()
        names = names_in(asked.text) if asked.names is None else asked.names
        about = About(kind=asked.kind, said_at=asked.said_at or now, names=names, intent=asked.intent)
        memory = self._memories.remember(owner, asked.text, about, now, memory_id=asked.memory_id)
        return (200, {"memory": None}) if memory is None else (201, {"memory": memory.facts()})

    def _list(self, owner: Owner, request: Request, _: bytes) -> tuple[int, dict[str, Any]]:
        limit = request.query_params.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit[:9]) <= MAX_LISTED:
            raise Refused(422, "limit", f"limit: expected 1 to {MAX_LISTED}")
        now = self._clock()
        found = [memory.facts() for memory in self._memories.newest(owner, int(limit), now)]
        return 200, {"memories": found, "count": self._memories.count(owner, now)}

    def _recall(self, owner: Owner, _: Request, body: bytes) -> tuple[int, dict[str, Any]]:
        asked = _parsed(_ToRecall, body)
        found = self._memories.recall(owner, asked.text, asked.k, self._clock())
        return 200, {"memories": [{**each.memory.facts(), "distance": each.distance} for each in found]}

    def _answer_first(self, owner: Owner, _: Request, body: bytes) -> tuple[int, dict[str, Any]]:
        first_turn = self._first_turn()
        if first_turn is None:
            raise Refused(404, "no-policies", "no answers are approved on this server")
        return 200, first_turn.select(_parsed(_ToAnswer, body).text, owner, self._clock()).facts()

    def _forget(self, owner: Owner, _: Request, __: bytes) -> tuple[int, dict[str, Any]]:
        return 200, {"n_forgotten": self._memories.forget(owner, self._clock(), by=owner.tenant)}

    def _link(self, owner: Owner, _: Request, body: bytes) -> tuple[int, dict[str, Any]]:
        self._memories.link(owner, _parsed(_ToLink, body).contributor_id, self._clock())
        return 200, {"linked": True}

    def _unlink(self, owner: Owner, _: Request, __: bytes) -> tuple[int, dict[str, Any]]:
        self._memories.link(owner, None, self._clock())
        return 200, {"linked": False}

    def _drop(self, owner: Owner, request: Request, _: bytes) -> tuple[int, dict[str, Any]]:
        try:
            memory_id = UUID(request.path_params["memory_id"])
        except ValueError as error:
            raise Refused(422, "memory-id", "memory: expected its id") from error
        return 200, {"n_forgotten": self._memories.drop(owner, [memory_id], self._clock())}


async def _read(request: Request) -> bytes | None:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            return None
    return body


def _parsed(kind: type[_Kind], body: bytes) -> _Kind:
    try:
        plain_json(body)
    except (ValueError, RecursionError) as error:
        raise Refused(422, "not-as-agreed", "question: expected JSON, each name once") from error
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        # What was given is somebody's: only names of fields that are ours are said.
        first = error.errors(include_input=False, include_url=False)[0]
        named = [str(part) for part in first["loc"][:1] if part in kind.model_fields]
        raise Refused(422, "not-as-agreed", f"{named[0] if named else 'question'}: {first['type']}") from error


def _problem(refused: Refused) -> dict[str, Any]:
    problem = error_document(ContractError(str(refused)))
    return {"error": {**problem["error"], "reason": refused.reason}}
