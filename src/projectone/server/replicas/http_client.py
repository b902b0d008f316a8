"""Asks the service over HTTP. A question has no effect but its answer, so that one which got none is asked again."""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import Final, Self

import httpx2

from projectone.errors import ContractError, RefusedError, TransportError
from projectone.server.replicas.models import KINDS, Kind

_AGAIN_S: Final = 0.2
_BUSY: Final = 503
_REFUSED: Final = {401: "token", 413: "too-large"}


class HttpReplicas:
    """An `Asking` over the wire. It may be used by several threads.

    Args:
        url: Of the service.
        token: That it asks for.
        patience_s: How long a question is asked again while the service cannot be reached or is full.
        transport: In the place of the network, for tests.
    """

    def __init__(
        self, url: str, token: str, *, patience_s: float = 30.0, transport: httpx2.BaseTransport | None = None
    ) -> None:
        self._patience_s = patience_s
        self._http = httpx2.Client(
            base_url=url,
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
            timeout=patience_s,
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def kinds(self) -> tuple[Kind, ...]:
        """What is served there.

        Raises:
            TransportError: as `ask`.
        """
        found = json.loads(self._call("GET", "/v1", b""))["kinds"]
        return tuple(kind for kind in KINDS if kind in found)

    def ask(self, kind: Kind, body: bytes) -> bytes:
        """The answer; as `Asking.ask`.

        Raises:
            TransportError: if nobody answered in `patience_s`.
            RefusedError: if the token is wrong, or the question too large.
        """
        return self._call("POST", f"/v1/{kind}", body)

    def _call(self, method: str, path: str, body: bytes) -> bytes:
        until_s = time.monotonic() + self._patience_s
        while True:
            problem: Exception | None = None
            try:
                answer = self._http.request(method, path, content=body)
            except httpx2.TransportError as error:
                problem = error
            else:
                if not self._is_nobody(answer):
                    return self._content(answer)
            if time.monotonic() + _AGAIN_S >= until_s:
                raise TransportError(f"{path}: no answer in {self._patience_s:g} s") from problem
            time.sleep(_AGAIN_S)

    @staticmethod
    def _is_nobody(answer: httpx2.Response) -> bool:
        """Whether nobody could be asked there; a generator that says no is somebody."""
        return answer.status_code == _BUSY and b'"kind": "generation"' not in answer.content

    @staticmethod
    def _content(answer: httpx2.Response) -> bytes:
        reason = _REFUSED.get(answer.status_code)
        if reason is not None:
            raise RefusedError(f"the service refused: {reason}", status=answer.status_code, reason=reason)
        if answer.headers.get("content-type", "") != "application/json":
            raise ContractError(f"expected an answer in JSON, got HTTP {answer.status_code}")
        return answer.content
