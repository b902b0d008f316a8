"""How clips come to the processes that look at them: by memory, and by the pipe where that is full."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest
from tests.fakes.caller import a_clip
from tests.fakes.looking_here import look_at_page

from projectone.contracts.base import sha256_hex
from projectone.server.pipeline.ports import Look
from projectone.server.work import sealed_pool
from projectone.server.work.asking import send
from projectone.server.work.look import Page, Question
from projectone.server.work.looking import Looker
from projectone.server.work.sealed_pool import SealedPool, SharedMemory, warm_up

FOR_EVER = "all(number == 0 for number in iter(int, 1))"


def test_what_does_not_fit_into_the_shared_memory_is_sent_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    page = [(Question(str(seed), "seven"), a_clip(seed, duration_s=0.2)) for seed in range(3)]
    n_bytes = len(page[0][1])
    monkeypatch.setattr(sealed_pool, "_SLOT_BYTES", 2 * n_bytes + 1)
    shared = SharedMemory(5 * n_bytes)
    monkeypatch.setattr(sealed_pool, "_shared", shared)
    monkeypatch.setattr(sealed_pool, "grant_cpu", lambda _: None)  # this process is none that looks
    try:
        sent = sealed_pool._lay(page, shared.view, n_bytes)
        assert [where for _, where in sent[:2]] == [(n_bytes, 2 * n_bytes), (2 * n_bytes, 3 * n_bytes)]
        assert sent[2] == page[2]
        assert sealed_pool._look_at_sent(sent) == look_at_page(page)
        assert {look.findings.discard for look in look_at_page(page)} == {None}
    finally:
        shared.close()


def test_what_a_process_looks_at_before_it_is_sealed_goes_through_everything() -> None:
    seen = warm_up()
    assert (seen.findings.discard, seen.findings.hold) == (None, ())
    assert seen.findings.measures["speech_ratio"] > 0.5
    assert seen.findings.measures["edit_share"] > 0
    assert seen.fingerprint is not None


class Looping(SealedPool):
    """Its processes compute for ever where one clip is among those that they are asked about."""

    loops_at = ""
    n_loops = 0

    def submit(self, page: Page) -> Future[list[Look]] | None:
        if self.loops_at in {question.clip_sha256 for question, _ in page}:
            self.n_loops += 1
            return self.call(eval, FOR_EVER)
        return super().submit(page)


@pytest.mark.slow
def test_a_clip_that_loops_whoever_looks_is_held_and_the_others_are_judged() -> None:
    clips = {sha256_hex(clip): clip for clip in (a_clip(seed, duration_s=0.2) for seed in range(5))}
    questions = [Question(sha256, "seven") for sha256 in clips]
    engine = Looping(1, cpu_s=1)
    engine.loops_at = questions[2].clip_sha256
    with Looker(clips.__getitem__, engine=engine) as looker:
        assert [answer.findings.hold for answer in looker.look_at(questions)] == [(), (), ("look-failed",), (), ()]
    assert engine.n_loops == 3, "in its page, and twice alone"


@pytest.mark.slow
def test_without_a_limit_of_its_own_a_loop_goes_on() -> None:
    """The control run: the same process, and far more time than the others have."""
    for cpu_s, expected in ((1, BrokenProcessPool), (600, TimeoutError)):
        pool = SealedPool(1, cpu_s=cpu_s)
        send(partial(pool.call, int, "1")).result(300)
        (process,) = pool.processes()._processes.values()
        try:
            with pytest.raises(expected):
                send(partial(pool.call, eval, FOR_EVER)).result(60 if cpu_s == 1 else 4)
        finally:
            process.kill()
            pool.close()


@pytest.mark.slow
def test_the_time_of_a_clip_begins_anew_with_each() -> None:
    pool = SealedPool(1, cpu_s=1)
    used_s = 0.0
    try:
        while used_s < 2.5:  # more than one clip may have
            assert send(partial(pool.call, sum, range(2 * 10**7))).result(300)
            used_s = send(partial(pool.call, resource.getrusage, resource.RUSAGE_SELF)).result(300).ru_utime
    finally:
        pool.close()


def test_each_clip_of_a_page_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    page = [(Question(str(seed), "seven"), a_clip(seed, duration_s=0.2)) for seed in range(3)]
    said: list[object] = []

    def look(content: bytes, question: Question) -> str:
        said.append(question.clip_sha256)
        return "looked"

    monkeypatch.setattr(sealed_pool, "grant_cpu", said.append)
    monkeypatch.setattr(sealed_pool, "look", look)
    sealed_pool._look_at_sent(page)
    assert said == [sealed_pool._CPU_S, "0", sealed_pool._CPU_S, "1", sealed_pool._CPU_S, "2"]


WORKER = """
import time
from multiprocessing.forkserver import _forkserver
from projectone.server.work.sealed_pool import SealedPool

if __name__ == "__main__":
    pool = SealedPool(1)
    pool.call(int, "1").result()
    print(_forkserver._forkserver_pid, *pool.processes()._processes, flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends them")
def test_sealed_processes_end_however_their_worker_ended(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        processes = [Path("/proc", pid) for pid in worker.stdout.readline().split()]
        assert len(processes) == 2
        assert all(is_running(process) for process in processes)
        worker.kill()
    deadline = time.monotonic() + 60
    while any(is_running(process) for process in processes):
        assert time.monotonic() < deadline, "they outlived it"
        time.sleep(0.05)


def is_running(process: Path) -> bool:
    try:
        return ") Z" not in (process / "stat").read_text()
    except OSError:
        return False
