"""A training process is killed with SIGKILL, again and again: the model comes out bit for bit the same."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.fakes.tiny_whisper import save_tiny

from projectone.server.training.engines.run import adapter_folder
from projectone.storage.files import digest_of

pytestmark = pytest.mark.slow


def run(
    base: Path, work: Path, out: Path, *, method: str = "full", killed_at: str = "", is_forgetful: bool = False
) -> str:
    """A run to its end, or until it kills itself at the place `killed_at`. Gives what it said last."""
    place = "forgetful" if is_forgetful else killed_at
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.training_run", str(base), str(work), str(out), method, place],
        cwd=REPOSITORY,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": "."},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if killed_at else 0)
    return done.stdout.splitlines()[-1]


def test_a_run_killed_at_many_places_ends_in_the_same_bytes(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    whole = run(base, tmp_path / "work", tmp_path / "out")
    assert whole.startswith("done ")
    # Before the first step, between checkpoints, at one, in a judgement, among the shares, before the model is saved.
    places = ["prepare 0", "train 2", "train 4", "judge 5", "train 8", "interpolate 10", "save 10"]
    for place in places:
        assert run(base, tmp_path / "work2", tmp_path / "out2", killed_at=place) == place
        assert not (tmp_path / "out2").exists()
    assert run(base, tmp_path / "work2", tmp_path / "out2") == whole
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "out2")]
    assert weights[0] == weights[1]


def test_control_a_run_that_goes_on_from_weights_alone_ends_in_other_bytes(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    whole = run(base, tmp_path / "work", tmp_path / "out")
    assert run(base, tmp_path / "work2", tmp_path / "out2", killed_at="train 8") == "train 8"
    again = run(base, tmp_path / "work2", tmp_path / "out2", is_forgetful=True)
    assert again.startswith("done ")
    assert again != whole


def test_adapters_killed_at_many_places_end_in_the_same_bytes(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    whole = run(base, tmp_path / "work", tmp_path / "out", method="lora")
    for place in ("train 2", "judge 5", "train 8"):
        assert run(base, tmp_path / "work2", tmp_path / "out2", method="lora", killed_at=place) == place
        assert not (tmp_path / "out2").exists()
    run(base, tmp_path / "work2", tmp_path / "out2", method="lora", killed_at="before the adapter")
    assert (tmp_path / "out2").exists()
    assert not adapter_folder(tmp_path / "out2").exists()
    assert run(base, tmp_path / "work2", tmp_path / "out2", method="lora") == whole
    model, again = tmp_path / "out", tmp_path / "out2"
    for first, second in ((model, again), (adapter_folder(model), adapter_folder(again))):
        digests = [{path.name: digest_of(path) for path in folder.iterdir()} for folder in (first, second)]
        assert digests[0] == digests[1]


def test_a_second_stage_killed_at_many_places_ends_in_the_same_bytes(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    whole = run(base, tmp_path / "work", tmp_path / "out", method="sequence")
    # In the first stage, before the second, between its checkpoints, at one, and among the shares after it.
    for place in ("train 4", "sequence 0", "sequence 2", "sequence 6", "interpolate 10"):
        assert run(base, tmp_path / "work2", tmp_path / "out2", method="sequence", killed_at=place) == place
        assert not (tmp_path / "out2").exists()
    assert run(base, tmp_path / "work2", tmp_path / "out2", method="sequence") == whole


def test_the_model_is_not_made_again_after_a_kill_between_saving_and_noting_it(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    assert run(base, tmp_path / "work", tmp_path / "out", killed_at="before the note").startswith("save ")
    model = tmp_path / "out" / "model.safetensors"
    written = model.stat().st_mtime_ns
    assert run(base, tmp_path / "work", tmp_path / "out") == f"done {digest_of(model)}"
    assert model.stat().st_mtime_ns == written
