"""The line that says how far a command is."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from projectone.server.work.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_now_and_then_and_always_the_last() -> None:
    stream, now_s = io.StringIO(), 0.0
    line = ProgressLine(stream, clock=lambda: now_s)
    for n_done in range(1, 19):
        now_s = float(n_done)
        line.show(f"{n_done} of 18", is_last=n_done == 18)
    assert stream.getvalue().split("\n") == ["1 of 18", "6 of 18", "11 of 18", "16 of 18", "18 of 18", ""]


def test_a_terminal_is_left_showing_the_end() -> None:
    stream = Terminal()
    line = ProgressLine(stream, clock=lambda: 0.0)
    for n_done in range(1, 19):
        line.show(f"{n_done} of 18", is_last=n_done == 18)
    assert stream.getvalue() == "\r1 of 18\r18 of 18"


def test_a_watcher_who_goes_away_stops_nothing() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        line = ProgressLine(stream, clock=lambda: 0.0)
        line.say("seen")
        os.close(reading)
        line.say("not seen")
        line.show("nor this")
        print("nor that", file=stream)  # what others say there


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_under_the_log_stops_nothing() -> None:
    with Path("/dev/full").open("w") as stream:
        line = ProgressLine(stream, clock=lambda: 0.0)
        line.say("lost")
        line.show("lost, too")
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # for the closing
        os.close(null)
