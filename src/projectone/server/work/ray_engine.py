"""Clips looked at by a Ray cluster: an `Engine` for corpora beyond one machine.

Each actor owns one sealed process, in which clips are decoded: what a stranger sent is never opened in a process of
Ray's, which may reach files and the network. The keys stay with the process that asks: it opens the seals, so clips lie
in Ray's memory while they are under way. Questions and answers are plain JSON in batches as Ray Data makes them, so
`dataset.map_batches(SealedLooks, ...)` is the same work for a dataset of one's own.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from dataclasses import asdict
from functools import partial
from typing import Any, Final

import numpy as np

from projectone.errors import SettingsError
from projectone.server.corpus.validation import Findings
from projectone.server.pipeline.ports import Look
from projectone.server.work.look import Page, Question
from projectone.server.work.sealed_pool import SealedPool
from projectone.waveform.fingerprint import Fingerprint

LOCAL: Final = "local"
"""The address that means: a Ray of our own, on this machine."""

Batch = Mapping[str, Sequence[Any]]


class SealedLooks:
    """Looks at batches of clips; a batch in has `question` (`question_to_json`) and `clip` (bytes), one out `look`."""

    def __init__(self) -> None:
        self._pool = SealedPool(1)

    def __call__(self, batch: Batch) -> dict[str, list[str]]:
        """The answers, in the order of the questions (`look_from_json`).

        Raises:
            BrokenExecutor: if the sealed process ended; the next batch gets a new one.
        """
        pairs = zip(batch["question"], batch["clip"], strict=True)
        page = [(Question(**json.loads(question)), bytes(clip)) for question, clip in pairs]
        future = self._pool.submit(page)
        if future is None:
            raise BrokenExecutor("the sealed process ended")
        try:
            return {"look": [look_to_json(look) for look in future.result()]}
        except BrokenExecutor:
            self._pool.close()
            raise


def question_to_json(question: Question) -> str:
    """A question as it goes to an actor."""
    return json.dumps(asdict(question))


def look_to_json(look: Look) -> str:
    """An answer as an actor gives it."""
    found, heard = look.findings, look.fingerprint
    plain: dict[str, Any] = {
        "findings": {"discard": found.discard, "hold": list(found.hold), "measures": dict(found.measures)},
        "content_key": look.content_key,
        "fingerprint": None,
    }
    if heard is not None:
        shapes = {"whole": heard.whole.tobytes().hex(), "core": heard.core.tobytes().hex()}
        plain["fingerprint"] = {**shapes, "whole_s": heard.whole_s, "core_s": heard.core_s}
    return json.dumps(plain)


def look_from_json(text: str) -> Look:
    """What `look_to_json` wrote."""
    plain = json.loads(text)
    found, heard = plain["findings"], plain["fingerprint"]
    if heard is not None:
        whole, core = (np.frombuffer(bytes.fromhex(heard[name]), np.int8) for name in ("whole", "core"))
        heard = Fingerprint(whole=whole, core=core, whole_s=heard["whole_s"], core_s=heard["core_s"])
    findings = Findings(found["discard"], tuple(found["hold"]), found["measures"])
    return Look(findings, plain["content_key"], heard)


class RayEngine:
    """An `Engine` of actors, one for each core of the cluster.

    Args:
        address: ``local``, ``auto`` for the cluster that this machine is part of, or ``ray://HOST:PORT``.
        n_actors: None for one on each core.

    Raises:
        SettingsError: if Ray is not installed.
    """

    def __init__(self, address: str = LOCAL, *, n_actors: int | None = None) -> None:
        try:
            import ray  # only here: whoever does not use it does not have it
        except ImportError as error:
            raise SettingsError("Ray: expected it to be installed; install projectone[ray]") from error
        self._ray: Any = ray
        self._address = address
        self._n_actors = n_actors
        self._is_ours = False
        self._actors: list[Any] = []
        self._turns: Iterator[Any] = iter(())

    @property
    def n_pages(self) -> int:
        """Pages under way that keep the cluster busy: one that is looked at and one that waits, for each actor."""
        return 2 * len(self._started())

    def submit(self, page: Page) -> Future[list[Look]] | None:
        """Begin to look at a page; what ends with the actor that looked at it is a `BrokenExecutor`."""
        self._started()
        batch = {
            "question": [question_to_json(question) for question, _ in page],
            "clip": [clip for _, clip in page],
        }
        answered: Future[list[Look]] = Future()
        answered.set_running_or_notify_cancel()
        next(self._turns).__call__.remote(batch).future().add_done_callback(partial(_hand_over, answered))
        return answered

    def close(self) -> None:
        """End the actors, and Ray where it was started here."""
        actors, self._actors = self._actors, []
        for actor in actors:
            self._ray.kill(actor)
        if self._is_ours:
            self._is_ours = False
            self._ray.shutdown()

    def _started(self) -> list[Any]:
        if not self._actors:
            if not self._ray.is_initialized():
                self._join()
            n_actors = self._n_actors or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
            # A killed one is started anew; what it was looking at is looked at where it was asked.
            kind = self._ray.remote(num_cpus=1, max_restarts=-1)(SealedLooks)
            self._actors = [kind.remote() for _ in range(n_actors)]
            self._turns = itertools.cycle(self._actors)
        return self._actors

    def _join(self) -> None:
        options: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        if self._address != LOCAL:
            options = {"address": self._address}
        self._ray.init(log_to_driver=False, **options)
        self._is_ours = True


def _hand_over(answered: Future[list[Look]], done: Future[dict[str, list[str]]]) -> None:
    """Give on what an actor answered; whatever went wrong there, the clips can be looked at here."""
    if (error := done.exception()) is not None:
        answered.set_exception(BrokenExecutor(str(error)))
    else:
        answered.set_result([look_from_json(text) for text in done.result()["look"]])
