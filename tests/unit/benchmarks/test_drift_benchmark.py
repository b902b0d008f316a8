"""The script of docs/quality.md: it finds what is planted, and nothing where nothing is."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import REPOSITORY

from projectone.contracts.questions import HISTOGRAMS_OF

SCRIPTS = ("drift", "drift_signals", "drift_intents", "drift_safety")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    for name in SCRIPTS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("drift")
    for name in SCRIPTS:
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


def test_people_who_ask_a_classifier_are_asked_about_it_in_half_of_their_weeks(script: Any) -> None:
    rows = [
        script.Measured(harm, "ada", dict.fromkeys(HISTOGRAMS_OF["intents"], 3) | {"answered": answered})
        for harm, answered in (("none", 2), ("the hosted server is down", 5))
    ]
    people = script.populations(rows)
    fleet = script.a_fleet(900, 1, 1, family="intents")
    week = fleet.week(people["none"])
    assert set(week) == set(HISTOGRAMS_OF["intents"])
    assert 380 <= sum(map(sum, week.values())) <= 520
    harmed = people["the hosted server is down"]
    assert script.planted(fleet, people["none"], harmed, 1.0) == (1, "answered")


def test_people_whose_texts_are_read_are_asked_about_it_in_a_third_of_their_weeks(script: Any) -> None:
    rows = [
        script.Measured(harm, "ada", {"alarm": alarm, "alarm_probability": 3, "reading_time": 3})
        for harm, alarms in (("none", (0, 0, 0, 0, 0, 0, 0, 0, 0, 1)), ("it warns of most", (0, 1, 1, 1)))
        for alarm in alarms
    ]
    people = script.populations(rows)
    fleet = script.a_fleet(1200, 1, 1, family="safety")
    week = fleet.week(people["none"])
    assert set(week) == set(HISTOGRAMS_OF["safety"])
    assert 320 <= sum(map(sum, week.values())) <= 480
    assert script.planted(fleet, people["none"], people["it warns of most"], 1.0) == (1, "warned")
    assert script.planted(script.a_fleet(300, 1, 1, family="safety"), people["none"], people["none"], 1.0) is None


def test_harms_leave_the_time_of_a_sentence_alone_and_the_server_down_shows_in_who_answered(script: Any) -> None:
    made = sys.modules["drift_intents"]
    judged = [made.Judged(0, "timer", made.Judgement("timer", "timer", 0.9, 0.7, 3), 0.004)] * 60
    events = {is_down: list(made._events("x", judged, is_down=is_down)) for is_down in (False, True)}
    assert {row.bins["answered"] for row in events[False] if "answered" in row.bins} <= {0, 2, 4, 7}
    down = [row.bins["answered"] for row in events[True] if "answered" in row.bins]
    assert down.count(5) > 30 and 2 not in down
    assert {row.bins["judging_time"] for row in events[True] if "fit" in row.bins} == {3}
