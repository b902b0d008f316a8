"""What is counted of understanding and answering, under which model, and what a week then says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from tests.unit.device.quality.test_quality import SOUND, SPOKEN, Site, key, site  # noqa: F401 - fixtures

from projectone.assist.first_turn import Choice, Kind
from projectone.assist.generation.protocol import REASONS, Answer, Attempt
from projectone.assist.protocols import Judgement
from projectone.assist.safety import SafetyJudgement
from projectone.contracts.questions import ANSWERERS, HISTOGRAMS_OF, N_BINS, OUTCOMES, REPLIES
from projectone.device.quality import Understanding
from projectone.device.quality.measures import measure_week
from projectone.device.quality.understanding import measure_answer, measure_judgement, measure_meaning

NOW = datetime(2026, 11, 12, 9, tzinfo=UTC)
UNDERSTOOD = Judgement("timer", "timer", 0.93, 0.65, sketch=5)


def answer(by: str, *reasons: str, cached: str = "no") -> Answer:
    failed = tuple(Attempt("hosted", cast(Any, reason), "", 0.1) for reason in reasons)
    return Answer(text="x", by=by, model_version="1", seed=0, failed=failed, cached=cast(Any, cached))


def choice(kind: Kind) -> Choice:
    return Choice("hello", "Hello.", "", None, None, (), 1.0, kind)


def test_a_sentence_falls_into_one_class_of_each_histogram_it_tells_of() -> None:
    assert measure_judgement(UNDERSTOOD, 0.009) == {
        "fit": 5,
        "probability": 5,
        "outcome": OUTCOMES.index("understood"),
        "judging_time": 4,
        "sketch": 5,
    }
    elsewhere = Judgement(None, "timer", 0.1, 0.1)
    assert measure_judgement(elsewhere, 9.0) == {"fit": 0, "probability": 0, "outcome": 2, "judging_time": 7}


@pytest.mark.parametrize(
    ("understood", "meant", "outcome"),
    [("a", "a", "right"), (None, None, "right"), ("a", "b", "another"), ("a", None, "should-be-none"),
     (None, "b", "should-be-one")],
)  # fmt: skip
def test_what_was_meant_is_one_of_four_things(understood: str | None, meant: str | None, outcome: str) -> None:
    assert measure_meaning(understood, meant) == {"outcome": OUTCOMES.index(outcome)}


@pytest.mark.parametrize(
    ("given", "who"),
    [
        (answer("local"), "local"),
        (answer("hosted", "timeout"), "hosted"),
        (answer("hosted", cached="near"), "kept"),
        (answer("template"), "no-model"),
        (answer("template", "garbage", "timeout"), "late"),
        (answer("template", "breaker-open"), "down"),
        (answer("template", "unsafe"), "unfit"),
        (answer("template", "no-consent"), "not-allowed"),
    ],
)
def test_an_answer_says_who_gave_it_and_why_nobody_else_did(given: Answer, who: str) -> None:
    assert measure_answer(given) == {"answered": ANSWERERS.index(who)}


def test_every_reason_has_its_class_and_every_first_reply() -> None:
    found = {measure_answer(answer("template", reason))["answered"] for reason in REASONS}
    assert found == {ANSWERERS.index(who) for who in ANSWERERS if who not in ("kept", "local", "hosted")}
    assert set(REPLIES) == set(cast(Any, Kind).__args__)


@pytest.mark.parametrize(
    ("right", "understood", "none", "another", "should_be_none", "should_be_one", "class_"),
    [(0, 10, 0, 0, 0, 0, 0), (3, 10, 0, 0, 0, 0, 0), (0, 9, 1, 1, 0, 0, 3), (0, 9, 1, 0, 1, 1, 5),
     (0, 1, 0, 1, 1, 1, 7), (0, 60, 0, 1, 0, 0, 1)],
)  # fmt: skip
def test_a_week_says_once_how_much_of_it_was_corrected(
    right: int, understood: int, none: int, another: int, should_be_none: int, should_be_one: int, class_: int
) -> None:
    found = measure_week((right, understood, none, another, should_be_none, should_be_one, 0, 0))
    assert found == {"corrected": tuple(int(place == class_) for place in range(N_BINS))}


def test_a_week_without_a_sentence_has_nothing_to_say_of_corrections() -> None:
    assert measure_week((0, 0, 0, 2, 0, 0, 0, 0)) == {"corrected": (0,) * N_BINS}


def test_a_week_of_many_corrections_is_told_as_such_by_the_toss_of_the_coin(site: Site) -> None:  # noqa: F811
    object.__setattr__(site.quality._sender, "installed", lambda: {"intents": "2.0.0"})
    counting, answers = Understanding(site.quality, lambda: "2.0.0"), []
    for _ in range(200):
        for _ in range(4):
            counting.judged("2.0.0", 0.01, UNDERSTOOD)
            counting.meant("2.0.0", "timer", "alarm")
        site.next_week()
        payload = site.quality.payload()
        assert payload is not None
        if payload.report.histogram == "corrected":
            answers.append(payload.report.answer)
    assert 10 <= len(answers) <= 42  # 25, and 3.6 standard deviations
    assert answers.count(7) > len(answers) / 3  # nine of sixteen


def test_nothing_is_measured_without_consent_nor_counted_without_a_classifier(site: Site) -> None:  # noqa: F811
    asked: list[str] = []
    counting = Understanding(site.quality, lambda: asked.append("version"))
    counting.replied(choice("intent"))
    assert (site.rows, asked) == (0, ["version"])
    site.quality.switch(is_on=False, method="cli")
    Understanding(site.quality, lambda: "1.0.0").replied(choice("intent"))
    # Consent is asked for before anything of the sentence is looked at.
    counting.judged("1.0.0", 0.01, cast(Judgement, None))
    counting.meant("1.0.0", "a", "b")
    counting.answered(cast(Answer, None))
    assert (site.rows, asked) == (0, ["version"])


def test_models_of_two_families_are_counted_apart_though_they_bear_one_version(site: Site) -> None:  # noqa: F811
    counting = Understanding(site.quality, lambda: SPOKEN.model_version)
    site.quality.count_heard(SPOKEN, SOUND)
    counting.judged(SPOKEN.model_version, 0.01, UNDERSTOOD)
    counting.meant(SPOKEN.model_version, "timer", "alarm")
    counting.replied(choice("otherwise"))
    counting.answered(answer("local"))
    speech, intents = site.quality.histograms()
    assert (speech.family, intents.family) == ("speech", "intents")
    assert {name: sum(counts) for name, counts in intents.counts.items()} == {
        "fit": 1, "probability": 1, "sketch": 1, "outcome": 2, "first_reply": 1, "answered": 1, "judging_time": 1,
        "corrected": 1,
    }  # fmt: skip
    assert set(speech.counts) == set(HISTOGRAMS_OF["speech"])


def drawn(site: Site, weeks: int, installed: Sequence[tuple[str, str]], *, is_asked: bool) -> list[Any]:  # noqa: F811
    object.__setattr__(site.quality._sender, "installed", lambda: dict(installed))
    counting = Understanding(site.quality, lambda: "2.0.0")
    reports = []
    for _ in range(weeks):
        site.quality.count_heard(SPOKEN, SOUND)
        if is_asked:
            counting.judged("2.0.0", 0.01, UNDERSTOOD)
        site.next_week()
        payload = site.quality.payload()
        assert payload is not None
        reports.append(payload.report)
    return reports


def test_a_week_says_one_thing_of_one_family_and_draws_which(site: Site) -> None:  # noqa: F811
    reports = drawn(site, 80, [("speech", "1.2.0"), ("intents", "2.0.0")], is_asked=True)
    assert {(item.channel, item.model_version, item.edges_version, item.tier) for item in reports} == {
        ("stable", "1.2.0", 1, "f16"),
        ("stable.intents", "2.0.0", 2, "float16"),
        ("stable.intents", "2.0.0", 3, "float16"),
    }
    n = Counter(item.channel for item in reports)
    assert 25 <= n["stable"] <= 55  # 40, and 3.4 standard deviations
    assert {item.histogram for item in reports} == {*HISTOGRAMS_OF["speech"], *HISTOGRAMS_OF["intents"]}
    # Half of them say the truth, and every eighth of the rest by chance.
    parts = [item.answer for item in reports if item.histogram in ("sketch", "fit", "probability")]
    assert parts.count(5) > len(parts) / 4


def test_whether_a_classifier_was_asked_does_not_decide_whether_its_questions_are(site: Site) -> None:  # noqa: F811
    reports = drawn(site, 60, [("speech", "1.2.0"), ("intents", "2.0.0")], is_asked=False)
    silent = [item for item in reports if item.channel == "stable.intents"]
    assert 15 <= len(silent) <= 45 and {item.model_version for item in silent} == {"2.0.0"}
    assert len({item.answer for item in silent}) == N_BINS  # any class: silence tells nothing
    # Without a classifier nobody is asked about one.
    assert {item.channel for item in drawn(site, 10, [("speech", "1.2.0")], is_asked=False)} == {"stable"}


def read(is_flagged: bool, probability: float) -> SafetyJudgement:
    return SafetyJudgement(is_flagged, probability)


def test_a_text_that_was_read_for_safety_is_counted_and_a_week_says_how_many_were_warned_of(site: Site) -> None:  # noqa: F811
    for is_flagged, probability in ((True, 0.95), (False, 0.03), *[(False, 0.3)] * 8):
        site.quality.count_read("3.0.0", 0.005, read(is_flagged, probability))
    (safety,) = site.quality.histograms()
    assert (safety.family, safety.model_version) == ("safety", "3.0.0")
    assert safety.counts["alarm"] == (9, 1, 0, 0, 0, 0, 0, 0)
    assert safety.counts["alarm_probability"] == (0, 1, 0, 0, 8, 0, 0, 1)
    assert safety.counts["reading_time"] == (0, 0, 0, 10, 0, 0, 0, 0)
    assert safety.counts["warned"] == (0, 0, 0, 1, 0, 0, 0, 0)  # one of ten
    site.quality.switch(is_on=False, method="cli")
    assert site.rows == 0
    site.quality.count_read("3.0.0", 0.005, cast(SafetyJudgement, None))  # without consent it is not even looked at
    assert site.rows == 0


def test_a_week_of_three_kinds_of_models_still_says_one_thing(site: Site) -> None:  # noqa: F811
    installed = {"speech": "1.2.0", "intents": "2.0.0", "safety": "3.0.0"}
    object.__setattr__(site.quality._sender, "installed", lambda: installed)
    reports = []
    for _ in range(90):
        site.quality.count_read("3.0.0", 0.005, read(is_flagged=True, probability=0.95))
        site.next_week()
        payload = site.quality.payload()
        assert payload is not None
        reports.append(payload.report)
    n = Counter(item.channel for item in reports)
    assert set(n) == {"stable", "stable.intents", "stable.safety"}
    assert 15 <= n["stable.safety"] <= 45  # 30, and 3.4 standard deviations
    ours = [item for item in reports if item.channel == "stable.safety"]
    assert {(item.model_version, item.edges_version, item.tier) for item in ours} == {("3.0.0", 4, "float16")}
    assert {item.histogram for item in ours} == set(HISTOGRAMS_OF["safety"])
