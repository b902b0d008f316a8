"""The script of docs/gate.md: its figures are those of the real gate, and it measures what it is told to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY
from tests.fakes.benchmark_scripts import load_script


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    return load_script("gate", monkeypatch)


def test_the_page_gets_a_row_for_each_set_and_far_better_models_are_promoted(script: Any, tmp_path: Path) -> None:
    size = script.Size(sets=((20, 6),), gains=(0.1,), n_equal=10, n_better=5, n_resamples=100)
    report = script.simulate(size, seed=0)
    (row,) = report["rows"]
    assert (row["clips"], row["promoted"]["gate"]["0.1"]) == (120, 1.0)
    assert row["promoted"]["bare"]["0"] > row["promoted"]["gate"]["0"]
    (tmp_path / "gate.md").write_text((REPOSITORY / "docs" / "gate.md").read_text())
    script.write_docs(report, tmp_path)
    assert "| 120 clips of 20 people |" in (tmp_path / "gate.md").read_text()
    assert (tmp_path / "images" / "gate.svg").read_text().count("<svg") == 1


def test_it_measures_how_far_models_differ_that_only_a_seed_tells_apart(script: Any, tmp_path: Path) -> None:
    def note(name: str, errors: list[int], **identity: Any) -> None:
        heard = {"general": {f"c{i}": [f"s{i % 2}", n, 10] for i, n in enumerate(errors)}}
        result = {"errors": {"tuned": heard}} if identity else {"errors": heard}
        (tmp_path / f"{name}.json").write_text(json.dumps({"identity": identity, "result": result}))

    note("before", [2, 0, 2, 0])
    note("a", [2, 0, 2, 0], method="lora", has_replay=True, sequence="off", seed=0)
    note("b", [2, 0, 0, 1], method="lora", has_replay=True, sequence="off", seed=1)
    found = script.measure(tmp_path)
    assert (found["wer"], found["n_pairs"], found["words_per_clip"]) == (0.1, 1, 10.0)
    assert (found["clips_changed"], found["words_changed"], found["right_clips_lost"]) == (0.5, 0.075, 0.5)
