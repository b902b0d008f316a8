"""Text while it is spoken: from the newest sound, never in the way of it, and no stable word changes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from projectone.device.live.partials import Listener, Partial, Partials
from projectone.device.live.pauses import Loudness, level_db
from projectone.device.live.spool import BYTES_PER_S, RATE_HZ
from projectone.errors import ArtifactError

PATIENCE_S = 30.0
Samples = npt.NDArray[np.float32]


def spoken(words: str, *, word_s: float = 0.5, pause_s: float = 0.4) -> bytes:
    """A tone for each letter, and silence for each blank."""
    parts = []
    for word in words:
        times = np.arange(round((pause_s if word == " " else word_s) * RATE_HZ)) / RATE_HZ
        pitch_hz = 0 if word == " " else 200 + 25 * (ord(word) - ord("a"))
        parts.append(0.3 * np.sin(2 * np.pi * pitch_hz * times))
    return (np.concatenate(parts) * 32767).astype("<i2").tobytes()


def heard(samples: Samples) -> str:
    """The letters of those tones: an ear that needs a third of a second of each."""
    step = RATE_HZ // 10
    letters = []
    for first in range(0, samples.size - step + 1, step):
        piece = samples[first : first + step]
        loud = float(np.abs(piece).max()) > 0.1
        peak_hz = float(np.abs(np.fft.rfft(piece)).argmax()) * RATE_HZ / step
        letters.append(chr(ord("a") + round((peak_hz - 200) / 25)) if loud else " ")
    runs, last = [], ""
    for letter in [*letters, ""]:
        if last and letter != last[0]:
            runs.append(last)
            last = ""
        last = last + letter if letter else ""
    return " ".join(run[0] for run in runs if run[0] != " " and len(run) >= 3)


def reader(sound: bytes) -> Callable[[int, int], bytes]:
    return lambda first, end: sound[first:end]


def test_every_word_appears_becomes_stable_and_stays() -> None:
    sound = spoken("abc defg hij klmno pqrst uvw xyz ")
    listener = Listener(reader(sound), heard)
    shown: list[str] = []
    for end in [*range(0, len(sound), 9600), len(sound)]:
        partial = listener.listen(end)
        stable = partial.stable.split()
        assert stable[: len(shown)] == shown
        shown = stable
    assert partial.text == " ".join("abcdefghijklmnopqrstuvwxyz")


def test_only_what_is_new_since_the_last_stable_point_is_heard_again() -> None:
    sound = spoken("abcd efgh " * 6)
    lengths_s: list[float] = []

    def listening(samples: Samples) -> str:
        lengths_s.append(samples.size / RATE_HZ)
        return heard(samples)

    listener = Listener(reader(sound), listening)
    for end in range(0, len(sound), 16000):
        listener.listen(end)
    assert len(sound) / BYTES_PER_S > 25
    assert max(lengths_s) <= 9.0


def test_silence_is_not_heard_at_all() -> None:
    def never(samples: Samples) -> str:
        raise AssertionError("there is nothing to hear")

    listener = Listener(reader(bytes(20 * BYTES_PER_S)), never)
    for end in range(0, 20 * BYTES_PER_S, 16000):
        assert listener.listen(end).text == ""


def test_a_machine_that_is_too_slow_leaves_something_out_and_goes_on_with_the_newest() -> None:
    sound = spoken("abcd efgh ijkl mnop qrst uvwx " * 3)
    listener = Listener(reader(sound), heard)
    listener.listen(3 * BYTES_PER_S)
    late = listener.listen(len(sound))
    assert late.n_bytes == len(sound)
    assert "..." in late.text
    assert late.text.endswith("x")


def test_a_gap_in_the_voice_ends_a_window_and_a_level_is_in_decibels() -> None:
    loudness = Loudness(np.concatenate([np.full(RATE_HZ, 0.1), np.zeros(RATE_HZ), np.full(RATE_HZ, 0.1)]))
    assert loudness.last_pause(0.0, 3.0) == pytest.approx(1.5)
    assert loudness.last_pause(1.6, 3.0) is None
    assert not loudness.is_silent
    assert level_db(np.full(100, 16384, dtype="<i2").tobytes()) == pytest.approx(-6.02, abs=0.01)
    assert level_db(bytes(200)) == level_db(b"") == -96.0


class Ear:
    """A model that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.may_answer = threading.Semaphore(0)
        self.is_asked = threading.Semaphore(0)

    def __call__(self, samples: Samples) -> str:
        self.asked.append(samples.size)
        self.is_asked.release()
        assert self.may_answer.acquire(timeout=PATIENCE_S)
        return "seven"


def until(found: Callable[[], Partial], wanted: Callable[[Partial], bool]) -> Partial:
    for _ in range(3000):
        if wanted(partial := found()):
            return partial
        threading.Event().wait(0.01)
    raise AssertionError(f"still {found()}")


def test_pieces_that_come_while_the_model_thinks_are_heard_together_and_nobody_waits() -> None:
    ear, sound = Ear(), spoken("ab")
    partials = Partials(ear)
    partials.follow("one", reader(sound))
    assert ear.is_asked.acquire(timeout=PATIENCE_S)  # the model is woken before anything is said
    for end in range(0, len(sound) + 1, 3200):
        partials.note("one", end)  # comes back at once, the model is still waking
    assert partials.of("one").text == ""
    ear.may_answer.release(5)
    assert until(lambda: partials.of("one"), lambda partial: partial.text != "").n_bytes == len(sound)
    assert ear.asked[1:] == [len(sound) // 2]
    partials.close()


def test_nobody_reads_a_recording_that_was_let_go() -> None:
    ear, read = Ear(), []
    ear.may_answer.release(1000)
    partials = Partials(ear)
    partials.follow("one", lambda first, end: read.append(end) or spoken("ab")[first:end])
    partials.note("one", 32000)
    until(lambda: partials.of("one"), lambda partial: partial.n_bytes > 0)
    partials.forget("one")
    n_read = len(read)
    partials.note("one", 64000)
    partials.follow("two", reader(spoken("ab")))
    partials.note("two", 32000)
    until(lambda: partials.of("two"), lambda partial: partial.n_bytes > 0)
    assert len(read) == n_read
    assert partials.of("one") == Partial()
    partials.close()


def test_a_model_that_is_missing_is_said_and_takes_no_word_away() -> None:
    is_missing = threading.Event()

    def hear(samples: Samples) -> str:
        if is_missing.is_set():
            raise ArtifactError("no model is installed")
        return heard(samples)

    partials = Partials(hear)
    sound = spoken("abcdef ")
    partials.follow("one", reader(sound))
    partials.note("one", 2 * BYTES_PER_S)
    before = until(lambda: partials.of("one"), lambda partial: partial.n_bytes == 2 * BYTES_PER_S)
    is_missing.set()
    partials.note("one", 3 * BYTES_PER_S)
    after = until(lambda: partials.of("one"), lambda partial: partial.problem is not None)
    assert after.problem == "no model is installed"
    assert after.text == before.text != ""
    partials.close()
