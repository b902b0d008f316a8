"""Looking at many clips: the same answers on any number of processes, each clip decoded once, memory bounded."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from tests.fakes.caller import a_clip
from tests.fakes.looking_here import LooksHere, look_at_page
from tests.hostile.audio_families import speechlike

from projectone.contracts.base import sha256_hex
from projectone.errors import DataError, DigestMismatchError
from projectone.server.corpus.validation import Findings, check_sample
from projectone.server.evaluation.golden import sound_key, to_pcm16
from projectone.server.pipeline.ports import Look
from projectone.server.work import look as looks
from projectone.server.work import looking, sealed_pool
from projectone.server.work.look import Page, Question, look
from projectone.server.work.looking import Looker
from projectone.server.work.sealed_pool import SealedPool
from projectone.waveform.fingerprint import fingerprint_of
from projectone.waveform.wav import encode_wav, parse_wav

SILENCE = encode_wav(np.zeros(8_000, dtype=np.float32))


class Store:
    """Clips by digest, and how often each was read."""

    def __init__(self) -> None:
        self.clips: dict[str, bytes] = {}
        self.n_reads = 0

    def add(self, content: bytes, text: str = "seven") -> Question:
        sha256 = sha256_hex(content)
        self.clips[sha256] = content
        return Question(sha256, text)

    def read(self, sha256: str) -> bytes:
        self.n_reads += 1
        if sha256 not in self.clips:
            raise DataError("clip-missing", "gone")
        if sha256_hex(self.clips[sha256]) != sha256:
            raise DigestMismatchError("blob", expected=sha256, actual="other")
        return self.clips[sha256]


@pytest.fixture
def store() -> Store:
    return Store()


def answer_here(store: Store, question: Question) -> Look:
    """What every engine has to say."""
    try:
        return look(store.read(question.clip_sha256), question)
    except DataError as error:
        return Look(Findings(error.reason))


def test_a_look_says_what_the_checks_say_and_names_the_sound() -> None:
    clip = a_clip()
    samples = parse_wav(clip).samples[:, 0]
    assert look(clip, Question("x", "seven")) == Look(check_sample(samples, "seven"), sound_key(to_pcm16(samples)))
    assert look(b"no sound", Question("x", "seven")).findings.discard == "wav-not-riff"
    assert look(SILENCE, Question("x", "seven")).findings.discard == "silence"


def test_a_look_says_what_a_clip_sounds_like_if_that_is_asked_and_the_clip_is_sound() -> None:
    clip = a_clip()
    asked = Question("x", "seven", wants_fingerprint=True)
    found = look(clip, asked).fingerprint
    assert found is not None
    assert np.array_equal(found.whole, fingerprint_of(parse_wav(clip).samples[:, 0]).whole)
    assert look(clip, Question("x", "seven")).fingerprint is None
    assert look(SILENCE, asked).fingerprint is None


def test_what_is_missing_or_damaged_is_said_and_asked_again_the_next_time(store: Store) -> None:
    gone = Question("0" * 64, "seven")
    rotten = store.add(a_clip())
    good, store.clips[rotten.clip_sha256] = store.clips[rotten.clip_sha256], b"rot"
    with Looker(store.read) as looker:
        assert [answer.findings.discard for answer in looker.look_at([gone, rotten])] == [
            "clip-missing",
            "clip-damaged",
        ]
        store.clips[rotten.clip_sha256] = good
        assert [answer.findings.discard for answer in looker.look_at([rotten])] == [None]


def test_a_clip_is_decoded_once_for_each_text(store: Store) -> None:
    one = store.add(a_clip())
    other = Question(one.clip_sha256, "eleven")
    with Looker(store.read) as looker:
        first = list(looker.look_at([one, other, one]))
        assert list(looker.look_at([one, other, one])) == first
        assert (looker.n_decoded, store.n_reads) == (2, 2)
        looker.forget_others([one.clip_sha256])
        list(looker.look_at([one, other]))
        assert looker.n_decoded == 2
        looker.forget_others([])
        list(looker.look_at([one, other]))
        assert looker.n_decoded == 4


def test_only_so_many_answers_are_remembered(store: Store) -> None:
    asked = [store.add(a_clip(seed)) for seed in range(5)]
    with Looker(store.read, n_remembered=2) as looker:
        list(looker.look_at(asked))
        list(looker.look_at(asked[-2:]))
        assert looker.n_decoded == 5
        list(looker.look_at(asked[:1]))
        assert looker.n_decoded == 6


@pytest.mark.slow
def test_sealed_processes_give_the_same_answers_in_the_same_order(store: Store) -> None:
    clips = [a_clip(seed, duration_s=0.15) for seed in range(90)]
    clips[7], clips[50] = SILENCE, b"no sound at all"
    clips[8] = encode_wav(speechlike(np.random.default_rng(8), 2.0))
    asked = [store.add(clip) for clip in clips]
    asked[20] = Question("0" * 64, "seven")
    asked += asked[:10]  # under way already, or known
    with Looker(store.read, engine=SealedPool(2)) as there:
        expected = [answer_here(store, question) for question in asked]
        assert list(there.look_at(asked)) == expected
        assert there.n_decoded == 89
        assert list(there.look_at(asked)) == expected
        assert there.n_decoded == 89


@pytest.mark.slow
def test_what_a_killed_process_was_asked_is_answered_all_the_same(store: Store) -> None:
    asked = [store.add(a_clip(seed, duration_s=0.12)) for seed in range(70)]
    with Looker(store.read, engine=(pool := SealedPool(1))) as looker:
        pool.processes().submit(int).result(300)
        (child,) = pool.processes()._processes.values()
        child.kill()
        assert [answer.findings.discard for answer in looker.look_at(asked)] == [None] * 70


@pytest.mark.slow
def test_a_process_that_looks_can_open_nothing() -> None:
    from projectone.server.sandbox.seal import what_is_not_enforced

    if missing := what_is_not_enforced():
        pytest.skip(f"not enforced here: {', '.join(missing)}")
    pool = SealedPool(1)
    try:
        refused = pool.processes().submit(open, "/etc/hostname").exception(300)
    finally:
        pool.close()
    assert isinstance(refused, PermissionError)


class Mortal:
    """An engine that ends whenever a page holds a poisoned clip; the page after that has no process."""

    n_pages = 2

    def __init__(self, *poison: Question, error: type[Exception] = BrokenProcessPool) -> None:
        self.poison = set(poison)
        self.n_deaths = 0
        self.is_dead = False
        self._error = error
        self._has_ended = False

    def submit(self, page: Page) -> Future[list[Look]] | None:
        if self._has_ended:
            self._has_ended = False
            return None
        future: Future[list[Look]] = Future()
        if self.is_dead or self.poison & {question for question, _ in page}:
            self.n_deaths += 1
            self._has_ended = self._error is BrokenProcessPool
            future.set_exception(self._error("a process ended abruptly"))
        else:
            future.set_result(look_at_page(page))
        return future

    def close(self) -> None:
        pass


@pytest.fixture
def decoded_here(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """What was looked at in this process, by whom ever."""
    seen: list[Question] = []

    def spy(content: bytes, question: Question) -> Look:
        seen.append(question)
        return look(content, question)

    for module in (looks, looking):
        monkeypatch.setattr(module, "look", spy, raising=False)
    return seen


def numbers_held(looker: Looker, asked: list[Question]) -> list[int]:
    answers = [answer.findings for answer in looker.look_at(asked)]
    assert {findings.hold for findings in answers} <= {(), ("look-failed",)}
    return [number for number, findings in enumerate(answers) if findings.hold]


def test_a_clip_that_kills_is_never_decoded_by_who_asks(store: Store, decoded_here: list[Question]) -> None:
    asked = [store.add(a_clip(seed, duration_s=0.12)) for seed in range(70)]
    for n_clips, killers in ((70, (5, 25)), (40, (5, 25)), (3, (1,))):
        few = asked[:n_clips]
        with Looker(store.read, engine=Mortal(*(few[killer] for killer in killers))) as looker:
            assert numbers_held(looker, few) == list(killers)
        others = set(few) - {few[killer] for killer in killers}
        assert set(decoded_here) == others, "Mortal decodes them in this process"
        decoded_here.clear()


def test_the_same_killer_given_twice_is_held_twice_and_asked_about_once_in_a_run(
    store: Store, decoded_here: list[Question]
) -> None:
    asked = [store.add(a_clip(seed, duration_s=0.12)) for seed in range(70)]
    asked[60] = asked[65] = asked[41]
    engine = Mortal(asked[41])
    with Looker(store.read, engine=engine) as looker:
        assert numbers_held(looker, asked) == [41, 60, 65]
        assert numbers_held(looker, asked[40:45]) == [1]
        assert engine.n_deaths == 3
        looker.forget_others(question.clip_sha256 for question in asked)  # the next run
        assert numbers_held(looker, asked[40:45]) == [1]
        assert engine.n_deaths == 6
    assert asked[41] not in decoded_here


def test_what_is_forgotten_for_want_of_room_is_asked_of_a_process_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "look", None, raising=False)
    asked = [store.add(a_clip(seed, duration_s=0.12)) for seed in range(40)]
    asked.append(asked[0])
    with Looker(store.read, engine=Mortal(), n_remembered=1) as looker:
        assert numbers_held(looker, asked) == []


def test_of_a_hundred_clips_one_that_kills_whoever_looks_is_held_and_the_others_are_judged(store: Store) -> None:
    asked = [store.add(a_clip(seed, duration_s=0.12)) for seed in range(100)]
    engine = Mortal(asked[41])
    with Looker(store.read, engine=engine) as looker:
        found = [answer.findings for answer in looker.look_at(asked)]
    assert [number for number, findings in enumerate(found) if findings.hold == ("look-failed",)] == [41]
    assert [findings.discard for findings in found] == [None] * 100
    assert engine.n_deaths == 3  # in its page, and twice alone


def test_after_three_clips_that_end_whoever_looks_nobody_looks_at_others_of_their_giver(store: Store) -> None:
    asked = [store.add(a_clip(seed, duration_s=0.12)) for seed in range(100)]
    givers = ["killer" if number % 2 else f"person{number % 6}" for number in range(100)]
    poison = [question for question, giver in zip(asked, givers, strict=True) if giver == "killer"]
    n_deaths = {}
    for max_failed in (3, 100):  # 100 is the control run
        engine = Mortal(*poison)
        with Looker(store.read, engine=engine, max_failed=max_failed) as looker:
            found = [answer.findings for answer in looker.look_at(asked, givers)]
        held = [findings.hold for findings, giver in zip(found, givers, strict=True) if giver == "killer"]
        assert held == [("look-failed",)] * min(max_failed, 50) + [("not-looked-at",)] * (50 - min(max_failed, 50))
        others = [findings for findings, giver in zip(found, givers, strict=True) if giver != "killer"]
        assert {(findings.discard, findings.hold) for findings in others} == {(None, ())}
        n_deaths[max_failed] = engine.n_deaths
    pages_of_the_three, pages_under_way = 2, 3
    assert n_deaths[3] <= 2 * 3 + pages_of_the_three + pages_under_way
    assert n_deaths[100] > 2 * 50


def test_who_was_given_up_takes_nobody_elses_clip_along_and_is_asked_again_in_the_next_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_FIRST_PAGE", 32)  # all of them are asked, and fail, together
    asked = [store.add(a_clip(seed, duration_s=0.12)) for seed in range(6)]
    engine = Mortal(*asked[:3])
    copied = [*asked[:3], asked[4], asked[4], asked[5]]
    givers = ["killer"] * 4 + ["person", "killer"]
    with Looker(store.read, engine=engine) as looker:
        answers = [answer.findings.hold for answer in looker.look_at(copied, givers)]
        assert answers == [*[("look-failed",)] * 3, ("not-looked-at",), (), ("not-looked-at",)]
        assert [answer.findings.hold for answer in looker.look_at([asked[5]], ["killer"])] == [("not-looked-at",)]
        looker.forget_others(store.clips)
        assert [answer.findings.hold for answer in looker.look_at([asked[5]], ["killer"])] == [()]


def test_where_nothing_can_be_looked_at_no_clip_is_blamed(store: Store) -> None:
    asked = [store.add(a_clip(seed, duration_s=0.12)) for seed in range(70)]
    engine = Mortal()
    engine.is_dead = True
    with Looker(store.read, engine=engine) as looker, pytest.raises(BrokenProcessPool):
        list(looker.look_at(asked))


def test_a_clip_at_which_a_process_fails_and_lives_is_held_alone(store: Store) -> None:
    asked = [store.add(a_clip(seed, duration_s=0.12)) for seed in range(3)]
    with Looker(store.read, engine=Mortal(asked[1], error=MemoryError)) as looker:
        assert numbers_held(looker, asked) == [1]
    engine = Mortal(error=MemoryError)
    engine.is_dead = True
    with Looker(store.read, engine=engine) as looker, pytest.raises(MemoryError):
        list(looker.look_at(asked))


def test_a_handful_of_clips_has_a_sealed_process_too(store: Store) -> None:
    asked = [store.add(a_clip(seed, duration_s=0.12)) for seed in range(3)]
    pool = SealedPool()
    with Looker(store.read, engine=pool) as looker:
        assert list(looker.look_at(asked)) == [answer_here(store, question) for question in asked]
        assert len(pool.processes()._processes) == 1


def test_no_more_questions_are_taken_than_answers_are_under_way(store: Store) -> None:
    n_taken = 0

    def many() -> Iterator[Question]:
        nonlocal n_taken
        for seed in range(400):
            n_taken += 1
            yield store.add(a_clip(seed % 30, duration_s=0.12), text=f"word {seed}")

    with Looker(store.read, engine=LooksHere()) as looker:
        ahead = []
        for n_given, _ in enumerate(looker.look_at(many()), start=1):
            ahead.append(n_taken - n_given)
    assert n_given == n_taken == 400
    assert max(ahead) <= (LooksHere.n_pages + 1) * looking._PAGE


def test_a_page_of_long_clips_fits_into_what_a_process_shares() -> None:
    clip_bytes = sealed_pool._SLOT_BYTES // 16
    sizes: list[int] = []

    class Counting(LooksHere):
        def submit(self, page: Page) -> Future[list[Look]]:
            sizes.append(sum(len(content) for _, content in page))
            return super().submit(page)

    asked = [Question(sha256_hex(bytes([number])), "seven") for number in range(40)]
    with Looker(lambda sha256: bytes(clip_bytes), engine=Counting()) as looker:
        assert [answer.findings.discard for answer in looker.look_at(asked)] == ["wav-not-riff"] * 40
    assert sizes == [4 * clip_bytes, 8 * clip_bytes, 16 * clip_bytes, 12 * clip_bytes]
    assert max(sizes) <= sealed_pool._SLOT_BYTES
