"""How clips come to the processes that look at them: by memory, and by the pipe where that is full."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.fakes.caller import a_clip

from projectone.server.work import sealed_pool
from projectone.server.work.look import Question, look_at_page
from projectone.server.work.sealed_pool import SharedMemory, warm_up


def test_what_does_not_fit_into_the_shared_memory_is_sent_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    page = [(Question(str(seed), "seven"), a_clip(seed, duration_s=0.2)) for seed in range(3)]
    n_bytes = len(page[0][1])
    monkeypatch.setattr(sealed_pool, "_SLOT_BYTES", 2 * n_bytes + 1)
    shared = SharedMemory(5 * n_bytes)
    monkeypatch.setattr(sealed_pool, "_shared", shared)
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
