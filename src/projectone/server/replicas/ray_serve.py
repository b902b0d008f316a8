"""Replicas of the models on a Ray cluster, one deployment for each kind, behind the same bytes.

A question has no effect but its answer. So one that was with a replica when it died is asked again, of another one, and
nobody hears of it. What a replica is given and gives is bytes: errors cross as words.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from typing import Any, Final

from projectone.errors import SettingsError, TransportError
from projectone.server.replicas.asking import answer_all
from projectone.server.replicas.models import Kind, ModelPlaces, load_model, warm_up
from projectone.server.replicas.sizing import SIZINGS, Sizing

try:
    import ray
    from ray import serve
    from ray.exceptions import RayActorError, RayError
    from ray.serve.exceptions import RayServeException
except ImportError as error:
    raise SettingsError(f"replicas on a cluster need pip install 'projectone[ray]' ({error})") from error

LOCAL: Final = "local"
"""The address that means: a Ray of our own, on this machine."""

_APP: Final = "projectone-"
_AGAIN_S: Final = 0.05
_LONGEST_S: Final = 120.0
_STORE_BYTES: Final = 80 * 2**20
_log = logging.getLogger(__name__)


class Replica:
    """One loaded model on some machine of the cluster. It is asked only once it has computed something."""

    def __init__(self, kind: Kind, places: dict[str, str | None], max_batch: int, batch_wait_s: float) -> None:
        self._kind = kind
        self._model = load_model(kind, ModelPlaces.from_words(places))
        warm_up(kind, self._model)
        self.n_answered = 0
        self.n_computed = 0
        batched = serve.batch(max_batch_size=max_batch, batch_wait_timeout_s=batch_wait_s)
        self._together: Any = batched(self._compute)

    async def ask(self, body: bytes) -> bytes:
        """The answer to one question; computed with others that came just now."""
        answer: bytes = await self._together(body)
        self.n_answered += 1
        return answer

    async def _compute(self, bodies: list[bytes]) -> list[bytes]:
        self.n_computed += 1
        # On a thread: meanwhile the replica takes questions in and answers that it is well.
        return await asyncio.to_thread(answer_all, self._kind, self._model, bodies)

    async def facts(self) -> dict[str, Any]:
        """Which replica this is, and how many questions it answered in how many computations."""
        return {"pid": os.getpid(), "answered": self.n_answered, "computed": self.n_computed}


class RayReplicas:
    """Starts the deployments, and asks them. It may be used by several threads.

    Args:
        places: Which models; the folders lie at the same paths on every machine of the cluster.
        address: ``local``, ``auto`` for the cluster that this machine is part of, or ``ray://HOST:PORT``.
        sizings: How many replicas of each kind; `SIZINGS` for what is not named.
        n_cpus: Of a local Ray; as many as there are by default.
        patience_s: How long a question is asked again while replicas die, start or are full.
    """

    def __init__(
        self,
        places: ModelPlaces,
        *,
        address: str = LOCAL,
        sizings: Mapping[Kind, Sizing] | None = None,
        n_cpus: int | None = None,
        patience_s: float = _LONGEST_S,
    ) -> None:
        self.kinds = places.kinds
        self._patience_s = patience_s
        self._sizings = {**SIZINGS, **(sizings or {})}
        self._is_ours = not ray.is_initialized()
        self.n_again = 0
        if self._is_ours:
            _join(address, n_cpus)
        # Whoever asks is in this process: no port is opened.
        serve.start(proxy_location="Disabled")
        try:
            targets = [
                serve.RunTarget(self._app(kind, places), name=_APP + kind, route_prefix=None) for kind in self.kinds
            ]
            self._handles = dict(zip(self.kinds, serve.run_many(targets), strict=True))
        except BaseException:
            self.close()
            raise

    def ask(self, kind: Kind, body: bytes) -> bytes:
        """The answer of some replica; as `Asking.ask`.

        Raises:
            TransportError: if none answered in `patience_s`.
        """
        if kind not in self._handles:
            from projectone.server.replicas.wire import error_to_bytes

            return error_to_bytes(SettingsError(f"{kind}: no model is served for it"))
        until_s = time.monotonic() + self._patience_s
        while True:
            left_s = until_s - time.monotonic()
            try:
                answer: bytes = self._handles[kind].ask.remote(body).result(timeout_s=max(0.001, left_s))
                return answer
            except (RayActorError, RayServeException) as error:
                # The replica is gone, or all of them are full.
                if time.monotonic() + _AGAIN_S >= until_s:
                    raise TransportError(f"{kind}: no replica answered in {self._patience_s:g} s") from error
                self.n_again += 1
                _log.info("%s: asked again after %s", kind, type(error).__name__)
                time.sleep(_AGAIN_S)
            except TimeoutError as error:
                raise TransportError(f"{kind}: no replica answered in {self._patience_s:g} s") from error
            except RayError as error:
                raise TransportError(f"{kind}: the cluster failed: {type(error).__name__}") from error

    def n_replicas(self, kind: Kind) -> int:
        """How many of a kind answer now."""
        found = serve.status().applications[_APP + kind].deployments["Replica"].replica_states
        return int(found.get("RUNNING", 0))

    def facts(self, kind: Kind) -> dict[str, Any]:
        """Of the replica that answers this time: its process, and how many questions in how many computations."""
        found: dict[str, Any] = self._handles[kind].facts.remote().result(timeout_s=self._patience_s)
        return found

    def close(self) -> None:
        """End the deployments, and Ray where it was started here."""
        serve.shutdown()
        if self._is_ours:
            ray.shutdown()

    def _app(self, kind: Kind, places: ModelPlaces) -> Any:  # noqa: ANN401 - Serve's
        sizing = self._sizings[kind]
        deployment = serve.deployment(name="Replica", **sizing.deployment())(Replica)
        return deployment.bind(kind, places.as_words(), sizing.max_batch, sizing.batch_wait_s)


def _join(address: str, n_cpus: int | None) -> None:
    if address == LOCAL:
        ray.init(
            num_cpus=n_cpus,
            include_dashboard=False,
            object_store_memory=_STORE_BYTES,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )
    else:
        ray.init(address=address, log_to_driver=False)
