"""The classes, the weeks, and the coin: what one report can give away."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from projectone.contracts.quality import (
    EPSILON,
    MAX_RATIO,
    TRUTH_SHARE,
    QualityReport,
    draw_answer,
    estimated_shares,
    monday_of,
    quality_ticket_message,
    week_of,
    weeks_before,
)
from projectone.contracts.questions import (
    ANSWERERS,
    CLASS_NAMES,
    EDGES,
    HISTOGRAMS,
    HISTOGRAMS_OF,
    N_BINS,
    OUTCOMES,
    REPLIES,
    TITLES,
    UNITS,
    WORSE,
    Histogram,
    bin_of,
    class_names,
    edges_version,
    family_asked,
)
from projectone.errors import ContractError

REPORT = QualityReport(
    week="2026-W46",
    channel="stable",
    model_version="1.2.0",
    tier="float16",
    app_version="0.1.0",
    histogram="duration",
    answer=3,
    nonce="0" * 64,
)


def chances(counts: tuple[int, ...], truth_share: float = TRUTH_SHARE) -> np.ndarray:
    """The probability of each answer, counted exactly: over the coin, the class that is drawn, the recording."""
    found = np.full(N_BINS, (1 - truth_share) / N_BINS)
    return found + truth_share * (np.array(counts) / sum(counts) if any(counts) else np.full(N_BINS, 1 / N_BINS))


@pytest.mark.parametrize("histogram", HISTOGRAMS)
def test_every_histogram_has_eight_classes_in_words(histogram: Histogram) -> None:
    assert len(class_names(histogram)) == N_BINS and TITLES[histogram] and WORSE[histogram] in (-1, 0, 1)
    assert (histogram in EDGES) == bool(UNITS[histogram]) == (histogram not in CLASS_NAMES)
    if histogram in EDGES:
        edges = EDGES[histogram]
        assert sorted(edges) == list(edges) and len(edges) == N_BINS - 1
        assert bin_of(histogram, edges[0] - 1) == 0 and bin_of(histogram, edges[-1]) == N_BINS - 1


def test_each_family_has_questions_of_its_own() -> None:
    assert {family: len(names) for family, names in HISTOGRAMS_OF.items()} == {"speech": 7, "intents": 8, "safety": 4}
    assert len(set(HISTOGRAMS)) == len(HISTOGRAMS) == 19
    assert {family_asked(name) for name in HISTOGRAMS_OF["intents"]} == {"intents"}
    assert max(map(len, (OUTCOMES, REPLIES, ANSWERERS))) <= N_BINS


INTENTS = REPORT.model_copy(update={"channel": "stable.intents", "edges_version": 2, "histogram": "fit"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"channel": "stable"},
        {"histogram": "duration"},
        {"edges_version": 1},
        {"edges_version": 3},
        {"histogram": "corrected"},  # which came with version 3
        {"channel": "stable", "histogram": "duration"},
    ],
)
def test_a_question_is_asked_of_the_family_of_its_line_alone(wrong: dict[str, object]) -> None:
    assert QualityReport.from_bytes(INTENTS.to_bytes()) == INTENTS
    with pytest.raises(ContractError):
        QualityReport.from_bytes(INTENTS.model_copy(update=wrong).to_bytes())


def test_a_question_keeps_the_version_it_came_with() -> None:
    """What an older app says of the older questions is what a newer one says, byte for byte."""
    assert {edges_version(name) for name in HISTOGRAMS_OF["speech"]} == {1}
    assert {name: edges_version(name) for name in HISTOGRAMS_OF["intents"] if edges_version(name) != 2} == {
        "corrected": 3
    }
    assert {edges_version(name) for name in HISTOGRAMS_OF["safety"]} == {4}
    asked = INTENTS.model_copy(update={"edges_version": 3, "histogram": "corrected"})
    assert QualityReport.from_bytes(asked.to_bytes()) == asked
    read = INTENTS.model_copy(update={"channel": "stable.safety", "edges_version": 4, "histogram": "warned"})
    assert QualityReport.from_bytes(read.to_bytes()) == read


def test_no_week_makes_an_answer_more_than_nine_times_likelier_than_another_week_does() -> None:
    weeks = [tuple(40 if place == one else 0 for place in range(N_BINS)) for one in range(N_BINS)]
    weeks += [(0,) * N_BINS, (1,) * N_BINS, (5, 3, 0, 0, 0, 0, 0, 1)]
    ratios = [np.max(chances(one) / chances(other)) for one in weeks for other in weeks]
    assert max(ratios) == pytest.approx(MAX_RATIO) == pytest.approx(math.exp(EPSILON))
    # The control: without the coin an answer rules weeks out altogether.
    assert min(chances(weeks[0], 1.0)) == 0 < max(chances(weeks[1], 1.0))


@pytest.mark.parametrize("counts", [(40, 0, 0, 0, 0, 0, 0, 0), (0,) * 8, (1, 1, 0, 0, 0, 0, 0, 2)])
def test_answers_are_drawn_as_stated(counts: tuple[int, ...]) -> None:
    source = random.Random(3)
    n = 8_000
    found = np.bincount([draw_answer(counts, source) for _ in range(n)], minlength=N_BINS)
    expected = n * chances(counts)
    assert np.sum((found - expected) ** 2 / expected) < 24.3  # chi-square, 7 degrees: once in a thousand


def test_the_shares_of_many_are_found_again() -> None:
    source, truth = random.Random(4), (8, 4, 2, 1, 1, 0, 0, 0)
    answers = np.bincount([draw_answer(truth, source) for _ in range(20_000)], minlength=N_BINS)
    assert np.allclose(estimated_shares([int(n) for n in answers]), np.array(truth) / 16, atol=0.02)
    assert sum(estimated_shares([0] * N_BINS)) == pytest.approx(1)


def test_weeks_are_those_of_the_calendar() -> None:
    assert week_of(datetime(2026, 11, 22, 23, 59, tzinfo=UTC)) == "2026-W47"
    assert week_of(datetime(2027, 1, 1, tzinfo=UTC)) == "2026-W53"
    assert monday_of("2026-W47") == datetime(2026, 11, 16, tzinfo=UTC)
    assert weeks_before("2027-W01", 1) == "2026-W53" and weeks_before("2026-W53", -1) == "2027-W01"
    moments = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(800)]
    assert sorted(map(week_of, moments)) == list(map(week_of, moments))


@pytest.mark.parametrize("week", ["2026-W00", "2026-W54", "2026-47", "W47", "2026-W47 ", "9" * 40])
def test_what_is_no_week_is_refused(week: str) -> None:
    with pytest.raises(ContractError):
        QualityReport.from_bytes(REPORT.to_bytes().replace(b"2026-W46", week.encode()))


def test_a_ticket_is_over_the_very_bytes() -> None:
    body = REPORT.to_bytes()
    assert QualityReport.from_bytes(body) == REPORT
    assert quality_ticket_message(body) != quality_ticket_message(body.replace(b'"answer":3', b'"answer":4'))
