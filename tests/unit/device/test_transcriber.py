"""One model per answer, swapped while it is in use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.device_rooms import VOICE, TextEngine, heard_by, text_model, update
from tests.fakes.release_server import FakeServer

from projectone.device.heard import NO_HINTS, EngineHeard, Heard, Hints
from projectone.device.installed import Installed
from projectone.device.transcriber import Samples, Transcriber
from projectone.errors import ArtifactError, PostponedError

SILENCE = np.zeros(1600, dtype=np.float32)


def test_without_a_model_the_way_to_get_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="projectone update"):
        Transcriber(Installed(tmp_path / "models"), TextEngine).transcribe(SILENCE)


def test_the_model_is_loaded_when_it_is_needed_and_once(tmp_path: Path, server: FakeServer) -> None:
    server.release(text_model("hello"), version="1.2.0")
    update(tmp_path, server)
    loads: list[Path] = []
    started = threading.Barrier(8)

    def load(folder: Path) -> TextEngine:
        loads.append(folder)
        return TextEngine(folder, decode_s=0.002)

    transcriber = Transcriber(Installed(tmp_path / "models"), load)
    assert loads == []

    def work() -> None:
        started.wait()
        assert transcriber.transcribe(SILENCE).model_version == "1.2.0"

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_a_hundred_swaps_under_load_drop_and_mix_nothing(tmp_path: Path, server: FakeServer) -> None:
    """Each release hears its own version, so a mixture of pointer and engine would show."""
    server.release(text_model("1.1.0"), seq=1, version="1.1.0")
    installed = Installed(tmp_path / "models")
    transcriber = Transcriber(installed, lambda folder: TextEngine(folder, decode_s=0.0002))
    update(tmp_path, server, transcriber=transcriber)
    server.release(text_model("1.2.0"), seq=2, version="1.2.0")
    update(tmp_path, server, transcriber=transcriber)
    wrong: list[str] = []
    heard: list[set[str]] = [set() for _ in range(4)]
    is_over = threading.Event()

    def work(number: int) -> None:
        while not is_over.is_set():
            try:
                answer = transcriber.transcribe(SILENCE)
            except BaseException as error:
                wrong.append(repr(error))
                return
            heard[number].add(answer.text)
            if answer.text != answer.model_version:
                wrong.append(f"{answer.model_version} heard {answer.text}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    n_swaps = 0
    while n_swaps < 100 or not (wrong or all(len(texts) == 2 for texts in heard)):
        installed.roll_back()
        transcriber.reload()
        n_swaps += 1
    is_over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert TextEngine.open_engines == 1
    transcriber.close()
    assert TextEngine.open_engines == 0


def test_an_update_swaps_the_model_of_a_running_transcriber(tmp_path: Path, server: FakeServer) -> None:
    transcriber = Transcriber(Installed(tmp_path / "models"), TextEngine)
    for seq, text in ((1, "old"), (2, "new")):
        server.release(text_model(text), seq=seq, version=f"1.{seq}.0")
        update(tmp_path, server, transcriber=transcriber)
        assert transcriber.transcribe(SILENCE).text == text
    assert TextEngine.open_engines == 1
    transcriber.close()


def test_an_answer_under_way_keeps_its_engine(tmp_path: Path, server: FakeServer) -> None:
    is_decoding, may_end = threading.Event(), threading.Event()

    class SlowEngine(TextEngine):
        def transcribe(self, samples: np.ndarray, hints: Hints = NO_HINTS) -> EngineHeard:  # type: ignore[type-arg]
            if not is_trial.is_set():
                is_decoding.set()
                assert may_end.wait(120)
            return super().transcribe(samples, hints)

    is_trial = threading.Event()
    is_trial.set()
    transcriber = Transcriber(Installed(tmp_path / "models"), SlowEngine)
    server.release(text_model("old"), seq=1)
    update(tmp_path, server, transcriber=transcriber)
    is_trial.clear()
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(transcriber.transcribe(SILENCE).text))
    thread.start()
    assert is_decoding.wait(120)
    is_trial.set()
    server.release(text_model("new"), seq=2)
    assert update(tmp_path, server, transcriber=transcriber).status == "updated"
    assert transcriber.transcribe(SILENCE).text == "new"
    assert TextEngine.open_engines == 2
    may_end.set()
    thread.join()
    assert answers == ["old"]
    assert TextEngine.open_engines == 1
    transcriber.close()


class Hearing:
    """A trial that keeps what both models heard, and refuses a new one that hears `bad`."""

    def __init__(self, bad: str = "") -> None:
        self.bad = bad
        self.heard: list[tuple[str, str]] = []

    def hear_before(self, version: str, hear: Callable[[Samples], str]) -> None:
        self.heard.append((version, hear(SILENCE)))

    def hear_after(self, hear: Callable[[Samples], str]) -> None:
        self.heard.append(("new", hear(SILENCE)))
        if self.heard[-1][1] == self.bad:
            raise ArtifactError("worse here")


def test_the_model_in_use_is_heard_before_the_new_one_and_stays_if_that_is_worse(
    tmp_path: Path, server: FakeServer
) -> None:
    trial = Hearing(bad="new")
    transcriber = Transcriber(Installed(tmp_path / "models"), TextEngine, begin_trial=lambda slot, may_go_on: trial)
    server.release(text_model("old"), seq=1, version="1.0.0")
    assert update(tmp_path, server, transcriber=transcriber).status == "updated"
    server.release(text_model("new"), seq=2)
    assert update(tmp_path, server, transcriber=transcriber).status == "rejected"
    assert trial.heard == [("new", "old"), ("1.0.0", "old"), ("new", "new")]
    assert transcriber.transcribe(SILENCE).text == "old"
    assert TextEngine.open_engines == 1
    transcriber.close()


def test_a_process_that_has_loaded_nothing_loads_one_model_after_the_other(tmp_path: Path, server: FakeServer) -> None:
    server.release(text_model("old"), seq=1, version="1.0.0")
    update(tmp_path, server)
    TextEngine.open_engines = 0
    most = 0

    class CountedEngine(TextEngine):
        def __init__(self, folder: Path) -> None:
            nonlocal most
            super().__init__(folder)
            most = max(most, TextEngine.open_engines)

    trial = Hearing()
    server.release(text_model("new"), seq=2)
    transcriber = Transcriber(Installed(tmp_path / "models"), CountedEngine, begin_trial=lambda slot, may_go_on: trial)
    assert update(tmp_path, server, transcriber=transcriber).status == "updated"
    assert (trial.heard, most) == ([("1.0.0", "old"), ("new", "new")], 1)
    transcriber.close()


def test_without_memory_for_two_the_old_model_goes_first_and_who_asks_meanwhile_waits(
    tmp_path: Path, server: FakeServer
) -> None:
    asked, waiting = threading.Event(), threading.Event()
    answers: list[str] = []

    class Loading(TextEngine):
        def __init__(self, folder: Path) -> None:
            if (folder / VOICE).read_text() == "new":
                assert TextEngine.open_engines == 0
                assert transcriber.is_in_gap
                asked.set()
                assert waiting.wait(120)
            super().__init__(folder)

    def ask() -> None:
        assert asked.wait(120)
        waiting.set()
        answers.append(transcriber.transcribe(SILENCE).text)

    transcriber = Transcriber(Installed(tmp_path / "models"), Loading, has_room=lambda folder: False)
    server.release(text_model("old"), seq=1)
    update(tmp_path, server, transcriber=transcriber)
    thread = threading.Thread(target=ask)
    thread.start()
    server.release(text_model("new"), seq=2)
    assert update(tmp_path, server, transcriber=transcriber).status == "updated"
    thread.join()
    assert answers == ["new"]
    assert not transcriber.is_in_gap
    transcriber.close()


def test_going_back_holds_one_model_at_a_time_where_memory_is_short(tmp_path: Path, server: FakeServer) -> None:
    most: list[int] = []

    class Counted(TextEngine):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            most.append(TextEngine.open_engines)

    installed = Installed(tmp_path / "models")
    transcriber = Transcriber(installed, Counted, has_room=lambda folder: False)
    for seq in (1, 2):
        server.release(text_model(f"model {seq}"), seq=seq, version=f"1.{seq}.0")
        update(tmp_path, server, transcriber=transcriber)
    installed.roll_back()
    transcriber.reload()
    assert transcriber.transcribe(SILENCE).text == "model 1"
    assert max(most) == 1
    transcriber.close()


def test_a_model_that_waits_for_its_trial_does_not_hold_up_who_wants_to_transcribe(
    tmp_path: Path, server: FakeServer
) -> None:
    server.release(text_model("old"), seq=1)
    update(tmp_path, server)
    server.release(text_model("new"), seq=2)

    def postpone(may_go_on: Callable[[], bool]) -> None:
        raise PostponedError("later")

    report = update(tmp_path, server, try_new_model=postpone)
    assert (report.status, "later" in (report.reason or "")) == ("staged", True)
    assert heard_by(tmp_path) == "old"
    fetched = len(server.ranges)
    assert update(tmp_path, server).status == "updated"
    assert heard_by(tmp_path) == "new"
    assert len(server.ranges) == fetched


def test_a_transcription_says_when_each_word_was_said_and_what_it_took(tmp_path: Path, server: FakeServer) -> None:
    server.release(text_model("one two"))
    counted: list[tuple[Heard, float]] = []
    transcriber = Transcriber(
        Installed(tmp_path / "models"),
        TextEngine,
        on_heard=lambda heard, sound_s: counted.append((heard, sound_s)),
        timer=iter([10.0, 12.5, 20.0, 21.0]).__next__,
    )
    update(tmp_path, server, transcriber=transcriber)
    heard = transcriber.transcribe(SILENCE)
    assert [(word.text, word.start_s, word.end_s) for word in heard.words] == [("one", 0, 0.05), ("two", 0.05, 0.1)]
    assert heard.computing_s == 2.5
    partial = transcriber.transcribe(SILENCE, is_partial=True)
    assert (partial.text, partial.words) == ("one two", ())
    assert counted == [(heard, 0.1)]
    transcriber.close()


def test_an_engine_is_told_the_terms_of_this_moment(tmp_path: Path, server: FakeServer) -> None:
    given: list[Hints] = []

    class AttentiveEngine(TextEngine):
        def transcribe(self, samples: np.ndarray, hints: Hints = NO_HINTS) -> EngineHeard:  # type: ignore[type-arg]
            given.append(hints)
            return super().transcribe(samples, hints)

    terms: list[str] = []
    transcriber = Transcriber(Installed(tmp_path / "models"), AttentiveEngine, terms=lambda: terms)
    server.release(text_model("hello"))
    update(tmp_path, server, transcriber=transcriber)
    transcriber.transcribe(SILENCE)
    terms.append("Ana")
    transcriber.transcribe(SILENCE)
    assert [hints.terms for hints in given] == [(), (), ("Ana",)]  # the first is the trial
    transcriber.close()
