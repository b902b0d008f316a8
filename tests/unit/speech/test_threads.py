"""A thread for mlx: one call after the other, and a process that ends as it should."""

from __future__ import annotations

import subprocess
import sys
import threading

import mlx.core as mx
import pytest

from projectone.speech.threads import MlxThread

PROGRAM = """
import projectone.speech
import mlx.core as mx
from projectone.speech.threads import MlxThread
thread = MlxThread("model")
drawn = thread.run(lambda: mx.random.normal((10,)))  # its state on a thread is what aborts a process
assert thread.run(lambda: mx.isfinite(drawn).all().item())
{ending}
"""


def test_what_was_put_off_on_the_thread_can_be_used_there_by_all() -> None:
    thread = MlxThread("model")
    weight = thread.run(lambda: mx.ones((4, 4)) * 2)  # not computed yet
    found: list[float] = []
    users = [
        threading.Thread(target=lambda: found.append(thread.run(lambda: float(weight.sum().item())))) for _ in "ab"
    ]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert found == [32.0, 32.0]
    thread.close()


def test_an_error_goes_to_whoever_asked_and_the_thread_goes_on() -> None:
    thread = MlxThread("model")
    with pytest.raises(ZeroDivisionError):
        thread.run(lambda: 1 // 0)
    assert thread.run(lambda: 3) == 3
    thread.close()
    thread.close()
    with pytest.raises(ValueError, match="closed"):
        thread.run(lambda: 3)


@pytest.mark.parametrize("ending", ["thread.close()", "", "raise SystemExit(0)"])
def test_a_process_that_used_it_ends_well_closed_or_not(ending: str) -> None:
    for _ in range(2):
        subprocess.run([sys.executable, "-c", PROGRAM.format(ending=ending)], check=True)
