"""A product's side: its people's memories on the server, with the calls of `assist.memory.Memory`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx2

from projectone.assist.memory import About, Recalled, Remembered
from projectone.assist.vectors.protocol import Owner
from projectone.errors import ContractError, DataError, RefusedError, TransportError


class HttpMemories:
    """Memories over the wire; `recall` is what `FirstTurn` asks. It may be used by several threads.

    The server's clock counts; `now` is there because every memory is asked so.

    Args:
        url: Of the service.
        tenant: The product; an owner of another one is refused here, before anything is sent.
        token: That the tenant was given.
        timeout_s: How long an answer may take.
        transport: In the place of the network, for tests.
    """

    def __init__(
        self,
        url: str,
        tenant: str,
        token: str,
        *,
        timeout_s: float = 10.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._tenant = tenant
        self._http = httpx2.Client(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=timeout_s,
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def remember(self, owner: Owner, what: str, about: About, now: datetime) -> Remembered | None:
        """Keep what was said; None if it is not kept. Every call raises what `_call` does."""
        body = {"text": what, "kind": about.kind, "said_at": about.said_at.isoformat(), "memory_id": str(uuid4())}
        found = self._call("POST", owner, "", {**body, "names": about.names, "intent": about.intent})["memory"]
        return None if found is None else _to_memory(found)

    def recall(self, owner: Owner, text: str, k: int, now: datetime) -> list[Recalled]:
        """The owner's memories that are nearest to a text, the nearest first."""
        found = self._call("POST", owner, "/recall", {"text": text, "k": k})["memories"]
        return [Recalled(_to_memory(each), float(each["distance"])) for each in found]

    def newest(self, owner: Owner, limit: int, now: datetime) -> list[Remembered]:
        """The owner's last memories, newest first."""
        return [_to_memory(each) for each in self._call("GET", owner, f"?limit={limit}")["memories"]]

    def count(self, owner: Owner, now: datetime) -> int:
        """How many memories the owner has."""
        return int(self._call("GET", owner, "?limit=1")["count"])

    def drop(self, owner: Owner, ids: Sequence[UUID]) -> int:
        """Forget these memories of the owner for good; gives how many there were."""
        return sum(int(self._call("DELETE", owner, f"/{each}")["n_forgotten"]) for each in ids)

    def forget(self, owner: Owner) -> int:
        """Forget everything of the owner for good; gives how many memories there were."""
        return int(self._call("DELETE", owner, "")["n_forgotten"])

    def link(self, owner: Owner, contributor_id: str | None) -> None:
        """Say whose consents the owner gave: with the last of them their memories go. None: nobody's."""
        body = None if contributor_id is None else {"contributor_id": contributor_id}
        self._call("DELETE" if body is None else "PUT", owner, "/contributor", body)

    def _call(self, method: str, owner: Owner, rest: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask once.

        Raises:
            ValueError: for an owner of another tenant, or one who cannot be named in a path.
            DataError: if the text cannot be kept.
            RefusedError: if the token is nobody's, or the question not as agreed.
            TransportError: if nobody answered, or could; asking again is safe.
        """
        if owner.tenant != self._tenant or owner.is_shared:
            raise ValueError("owner: expected a person of this client's tenant")
        if "/" in owner.user or owner.user in (".", ".."):  # it would be another path
            raise ValueError("owner: expected a user without '/', and not '.' or '..'")
        try:
            path = f"/v1/memories/{quote(owner.user, safe='')}{rest}"
            answer = self._http.request(method, path, json=body)
        except httpx2.TransportError as error:
            raise TransportError(f"memories: no answer ({type(error).__name__})") from error
        try:
            found = json.loads(answer.content)
            problem = found.get("error")
        except (ValueError, AttributeError) as error:
            raise ContractError(f"memories: expected an answer in JSON, got HTTP {answer.status_code}") from error
        if problem is None:
            return dict(found)
        message, reason = str(problem.get("message")), str(problem.get("reason", problem.get("kind")))
        if answer.status_code >= 500:
            raise TransportError(f"memories: {message}")
        if problem.get("kind") == "data":
            raise DataError(reason, message)
        raise RefusedError(message, status=answer.status_code, reason=reason)


def _to_memory(facts: dict[str, Any]) -> Remembered:
    expires_at = facts["expires_at"]
    about = About(
        kind=facts["kind"],
        said_at=datetime.fromisoformat(facts["said_at"]),
        names=tuple(facts["names"]),
        intent=facts["intent"],
    )
    moment = None if expires_at is None else datetime.fromisoformat(expires_at)
    return Remembered(UUID(facts["memory_id"]), facts["text"], about, moment)
