"""The script of docs/quality.md: it finds what is planted, and nothing where nothing is."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import REPOSITORY

from projectone.contracts.questions import HISTOGRAMS_OF


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    for name in ("drift", "drift_signals"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("drift")
    for name in ("drift", "drift_signals"):
        sys.modules.pop(name, None)


def signals(script: Any) -> list[Any]:
    """Two speakers whose recordings lie in the middle; harmed, they lie at one end in one histogram."""
    rows = []
    for harm, moved in (("none", 3), ("noise, 10 dB", 0)):
        for speaker in ("ada", "bob"):
            for place in (2, 3, 4):
                bins = dict.fromkeys(HISTOGRAMS_OF["speech"], place) | {"signal_to_noise": moved}
                rows.append(script.Measured(harm, speaker, bins))
    return rows


def test_a_planted_drift_is_found_where_it_is(script: Any) -> None:
    people = script.populations(signals(script))
    found = script.planted(script.a_fleet(500, 2, 1), people["none"], people["noise, 10 dB"], 1.0)
    assert found == (1, "signal_to_noise")
    assert script.planted(script.a_fleet(100, 2, 1), people["none"], people["none"], 1.0) is None


def test_a_coin_hides_whose_report_it_is(script: Any) -> None:
    found = script.attack(signals(script), n_devices=2, n_weeks=5)
    assert found["devices"] == 2 and found["reports"] == 10
    assert 0 <= found["named_by_one_class"] <= 1
