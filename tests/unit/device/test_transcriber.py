"""One model per answer, swapped while it is in use."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.device_rooms import TextEngine, text_model, update
from tests.fakes.release_server import FakeServer

from projectone.device.heard import NO_HINTS, EngineHeard, Heard, Hints
from projectone.device.installed import Installed
from projectone.device.transcriber import Transcriber, TrialClip
from projectone.errors import ArtifactError

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


def test_a_model_that_is_deaf_to_this_user_is_not_taken(tmp_path: Path, server: FakeServer) -> None:
    clips = (TrialClip(SILENCE, "hello there"), TrialClip(SILENCE, "good bye"))
    transcriber = Transcriber(Installed(tmp_path / "models"), TextEngine, trial_clips=lambda: clips)
    server.release(text_model("hello"), seq=1)
    assert update(tmp_path, server, transcriber=transcriber).status == "updated"
    server.release(text_model("deaf"), seq=2)
    report = update(tmp_path, server, transcriber=transcriber)
    assert report.status == "rejected"
    assert "heard nothing" in (report.reason or "")
    assert transcriber.transcribe(SILENCE).text == "hello"
    assert TextEngine.open_engines == 1
    transcriber.close()


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
