"""The figures of the first answer can be taken anywhere, and say whether what was found is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY


def test_the_first_answer_is_timed_and_what_memory_finds_is_counted(real_data: Path) -> None:
    command = [sys.executable, "benchmarks/first_turn.py", "--quick", "--json", "--counted"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    for figures in result["figures"].values():
        assert figures["recall against exact"] == 1.0
        assert (figures["stale after forgetting"], figures["stale after their time"]) == (0, 0)
        assert min(figures[name] for name in figures if name.endswith("ms")) > 0
    assert set(result["ratios"]) == {"first turn p95 ms / goal", "classifier p95 ms / goal"}
