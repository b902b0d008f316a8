"""Ways to choose weights, on a run of one weight whose errors are known."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import pytest
from tests.fakes.benchmark_scripts import load_script

from projectone.server.training.state import Best, DevScore


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    return load_script("selection", monkeypatch)


def dev(n_wrong: int, *, loss: float) -> DevScore:
    errors = tuple(int(clip < n_wrong) for clip in range(30))
    return DevScore(wer=n_wrong / 100, general_wer=None, loss=loss, errors=errors, n_words=100)


def test_every_way_is_judged_by_the_weights_that_it_chose(script: Any) -> None:
    # The weight is what it says: half learned at the first judgement, all of it at the third. The held-back clips find
    # one word fewer wrong at the first, and no difference between its shares; the loss is lowest at the second.
    scores = {0.5: dev(1, loss=0.3), 0.75: dev(3, loss=0.1), 1.0: dev(2, loss=0.2)}

    def score(weights: dict[str, mx.array]) -> DevScore:
        return scores.get(round(weights["w"].item(), 3), dev(1, loss=0.4))

    judged = [
        Best(step=step, score=scores[value], weights={"w": mx.array([value])}, lowest=scores[value])
        for step, value in enumerate((0.5, 0.75, 1.0))
    ]
    taken = script.Round({"w": mx.array([0.0])}, dev(9, loss=1), judged, score, lambda weights: 1 - weights["w"].item())
    assert script.errors_of(taken) == {
        "before": 1.0,
        "ours": 0.0,
        "lowest error": 0.5,
        "lowest, shared": 0.75,
        "lowest loss": 0.25,
        "last": 0.0,
    }


def test_the_report_sets_ours_beside_the_lowest_error(script: Any) -> None:
    names = ("before", "ours", "lowest error", "lowest, shared", "lowest loss", "last")
    rows = [dict(zip(names, (0.3, 0.1, 0.2, 0.2, 0.1, 0.1), strict=True))] * 2
    report = script.report_on(rows)
    assert report["ratios"] == {"lowest_error": 0.5}
    assert "| ours | 10.0 | 10.0 |" in script.table_of(report)
