"""A training process is killed with SIGKILL, again and again: the model comes out bit for bit the same."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.fakes.tiny_whisper import save_tiny

pytestmark = pytest.mark.slow


def start(base: Path, work: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.training_run", str(base), str(work), str(out)],
        cwd=REPOSITORY,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": "."},
        stdout=subprocess.PIPE,
        text=True,
    )


def run_until(process: subprocess.Popen[str], line: str | None) -> str:
    """Kill the process as soon as it says `line`; without one let it end. Gives what it said last."""
    assert process.stdout is not None
    said = ""
    with process.stdout:
        for raw in process.stdout:
            said = raw.strip()
            if said == line:
                process.send_signal(signal.SIGKILL)
                break
    process.wait()
    return said


def test_a_run_killed_at_many_places_ends_in_the_same_bytes(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    whole = run_until(start(base, tmp_path / "work", tmp_path / "out"), None)
    assert whole.startswith("done ")
    # Before the first step, between checkpoints, at one, in a judgement, among the shares, before the model is saved.
    places = ["prepare 0", "train 2", "train 4", "judge 5", "train 8", "interpolate 10", "save 10"]
    for place in places:
        process = start(base, tmp_path / "work2", tmp_path / "out2")
        assert run_until(process, place) == place
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "out2").exists()
    assert run_until(start(base, tmp_path / "work2", tmp_path / "out2"), None) == whole
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "out2")]
    assert weights[0] == weights[1]


def test_the_model_is_not_made_again_after_a_kill_between_saving_and_noting_it(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    whole = run_until(start(base, tmp_path / "work", tmp_path / "out"), None)
    (tmp_path / "work" / "result.json").unlink()  # as if the kill had come right before it was written
    assert run_until(start(base, tmp_path / "work", tmp_path / "out"), None) == whole
