"""Replicas on a Ray of this machine: the same answers, more under load, fewer after it, and no question lost.

`make ray` installs what it needs. What has to happen is waited for; nothing hangs on how long it takes.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.fakes.tiny_whisper import say

from projectone.assist.generation.protocol import GenerationRequest
from projectone.assist.protocols import Judgement
from projectone.assist.vectors.protocol import Owner
from projectone.errors import DataError, SettingsError
from projectone.server.replicas import wire
from projectone.server.replicas.asking import LocalModels
from projectone.server.replicas.models import KINDS, ModelPlaces
from projectone.server.replicas.served import ServedClassifier, ServedEmbedder, ServedGenerator, ServedSpeech
from projectone.server.replicas.sizing import Sizing

if TYPE_CHECKING:
    from projectone.server.replicas.ray_serve import RayReplicas

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own
HAS_RAY = importlib.util.find_spec("ray") is not None
_PATIENCE_S = 240.0
TEXTS = ["play some song", "is it warm weather", "zzz"]


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_it_is_said_what_to_install() -> None:
    with pytest.raises(SettingsError, match=r"projectone\[ray\]"):
        importlib.import_module("projectone.server.replicas.ray_serve")


@pytest.mark.parametrize(
    "wrong",
    [{"min_replicas": 3, "max_replicas": 2}, {"max_replicas": 0, "min_replicas": 0}, {"max_batch": 0}, {"n_cpus": -1}],
)
def test_a_size_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Sizing(**wrong)


@pytest.fixture(scope="module")
def replicas(places: ModelPlaces) -> Iterator[RayReplicas]:
    """Two kinds that answer from one replica, and a classifier that has one to two."""
    if not HAS_RAY:
        pytest.skip("Ray is not installed: make ray")
    from projectone.server.replicas.ray_serve import RayReplicas

    few = Sizing(max_replicas=1, n_cpus=0.1)
    grows = Sizing(max_replicas=2, n_cpus=0.1, target_ongoing=2, upscale_delay_s=1, downscale_delay_s=2)
    sizings = {kind: grows if kind == "classify" else few for kind in KINDS}
    started = RayReplicas(places, n_cpus=2, sizings=sizings, patience_s=_PATIENCE_S)
    yield started
    started.close()


def until(what: Callable[[], bool]) -> None:
    end_s = time.monotonic() + _PATIENCE_S
    while not what():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.1)


class Load:
    """Questions from several threads, one after the other in each; every answer is kept."""

    def __init__(self, replicas: RayReplicas, n_threads: int) -> None:
        self.answers: list[list[Judgement]] = []
        self.errors: list[Exception] = []
        self.n_asked = 0
        self._classifier = ServedClassifier(replicas)
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(n_threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._is_over.is_set():
            with self._lock:
                self.n_asked += 1
            try:
                answer = self._classifier.classify(TEXTS)
            except Exception as error:
                self.errors.append(error)
            else:
                with self._lock:
                    self.answers.append(answer)


@pytest.mark.slow
def test_a_local_ray_gives_the_same_answers(replicas: RayReplicas, local: LocalModels) -> None:
    assert ServedClassifier(replicas).classify(TEXTS) == ServedClassifier(local).classify(TEXTS)
    assert np.array_equal(ServedEmbedder(replicas).embed(TEXTS), ServedEmbedder(local).embed(TEXTS))
    assert ServedSpeech(replicas).transcribe(say("red blue")) == ServedSpeech(local).transcribe(say("red blue"))
    request = GenerationRequest(owner=Owner("here", "anna"), prompt="what now")
    answers = [ServedGenerator(asking, model_version="1").generate(request) for asking in (replicas, local)]
    assert answers[0].text == answers[1].text
    with pytest.raises(DataError):
        wire.answer_from_bytes(replicas.ask("classify", b"no question"))


@pytest.mark.slow
def test_replicas_come_with_load_one_is_killed_and_no_question_is_lost(
    replicas: RayReplicas, local: LocalModels, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = ServedClassifier(local).classify(TEXTS)
    begun_s = time.monotonic()
    said = []

    def note(what: str) -> None:
        said.append(f"{time.monotonic() - begun_s:6.1f} s  {what}")

    assert replicas.n_replicas("classify") == 1
    with Load(replicas, 12) as load:
        until(lambda: replicas.n_replicas("classify") == 2)
        note(f"two replicas under load, {len(load.answers)} answered")
        seen: set[int] = set()

        def both_answer() -> bool:
            seen.add(replicas.facts("classify")["pid"])
            return len(seen) == 2

        until(both_answer)
        os.kill(min(seen), signal.SIGKILL)
        note(f"one of {len(seen)} killed with SIGKILL")
        n_then = len(load.answers)
        until(lambda: len(load.answers) > n_then + 200)
        until(lambda: replicas.n_replicas("classify") == 2 and replicas.facts("classify")["pid"] not in seen)
        note(f"two replicas again, {len(load.answers)} answered")
    assert load.errors == []
    assert len(load.answers) == load.n_asked
    assert all(answer == expected for answer in load.answers)
    until(lambda: replicas.n_replicas("classify") == 1)
    note(f"one replica after the load; {load.n_asked} asked, {len(load.answers)} answered, {replicas.n_again} twice")
    assert ServedClassifier(replicas).classify(TEXTS) == expected
    with capsys.disabled():
        print("", *said, sep="\n")


@pytest.mark.slow
def test_questions_that_come_together_are_computed_together(replicas: RayReplicas) -> None:
    with Load(replicas, 8) as load:
        until(lambda: len(load.answers) > 200)
    facts = replicas.facts("classify")
    assert facts["computed"] < facts["answered"]
