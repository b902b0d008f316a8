"""The first answer: one of an approved set, with a reason, the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest
from tests.unit.assist.approved import EMBEDDER, approved

from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.first_turn import Choice, FirstTurn
from projectone.assist.memory import About, Recalled, Remembered
from projectone.assist.policies import Policies
from projectone.assist.protocols import Judgement
from projectone.assist.vectors.protocol import Owner

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ANA = Owner("product", "ana")


class Says:
    """A classifier of one word."""

    def __init__(self, label: str | None) -> None:
        self._label = label

    def classify(self, texts: Sequence[str]) -> list[Judgement]:
        return [Judgement(self._label, self._label or "weather", 0.93, 0.8) for _ in texts]


def before(text: str, *, intent: str | None = None, distance: float = 0.1) -> Recalled:
    return Recalled(Remembered(UUID(int=1), text, About("asked", NOW, intent=intent), None), distance)


def choose(
    text: str, label: str | None = None, *, said: Sequence[Recalled] = (), flags: bool = False, distance: float = 0.6
) -> Choice:
    def recall(owner: Owner, text: str, k: int, now: datetime) -> Sequence[Recalled]:
        assert (owner, now) == (ANA, NOW)
        return said

    turn = FirstTurn(
        Policies(approved(distance=distance), HashingEmbedder(384).embed, embedded_by=EMBEDDER),
        classifier=Says(label),
        recall=recall,
        flags=lambda text: flags,
    )
    first, again = turn.select(text, ANA, NOW), turn.select(text, ANA, NOW)
    assert {**first.facts(), "took_ms": 0} == {**again.facts(), "took_ms": 0}
    return first


def test_what_the_classifier_understood_leads_to_the_policy_for_it() -> None:
    choice = choose("tell me of the sky", "report_lost_card")
    assert (choice.response_id, choice.intent) == ("card-1", "report_lost_card")
    assert choice.policy is not None and (choice.policy.policy_id, choice.policy.version) == ("card", 2)
    assert choice.reason == "It sounds like 'report_lost_card' (93 % sure), which policy 'card', version 2, is for."


def test_what_it_did_not_understand_leads_to_the_nearest_example() -> None:
    choice = choose("i lost my card again")
    assert choice.response_id == "card-1"
    assert "none of the things that the classifier knows" in choice.reason and "0.60 is the most" in choice.reason


def test_no_policy_applies_and_the_nearest_one_is_named() -> None:
    choice = choose("i lost my card again", distance=0.01)
    assert (choice.response_id, choice.policy) == ("otherwise", None)
    assert "No policy applies: the nearest is 'card'" in choice.reason


def test_an_intent_without_a_policy_is_answered_by_text_or_not_at_all() -> None:
    assert choose("will it rain", "book_flight").response_id == "weather-first"
    assert "for which there is no policy" in choose("a song please", "book_flight").reason


def test_the_safety_check_comes_first() -> None:
    choice = choose("i lost my card", "report_lost_card", flags=True)
    assert (choice.response_id, choice.reason) == ("unsafe", "The safety check raised its hand.")


@pytest.mark.parametrize(
    ("label", "said", "wanted"),
    [
        ("weather", [], "weather-first"),
        ("weather", [before("will it rain")], "weather-1"),
        ("report_lost_card", [], "card-1"),
        ("report_lost_card", [before("my card is gone")], "card-again"),
        ("report_lost_card", [before("gone", distance=0.9)], "card-1"),
        ("report_lost_card", [before("gone", distance=0.9, intent="report_lost_card")], "card-again"),
    ],
)
def test_memory_decides_among_the_answers_of_a_policy(label: str, said: list[Recalled], wanted: str) -> None:
    choice = choose("so", label, said=said)
    assert choice.response_id == wanted
    assert ("2026-11-22" in choice.reason) == wanted.endswith(("-again", "weather-1"))


def test_a_recording_was_not_said_before_itself() -> None:
    about = About("said", NOW, recording_id="r1")
    itself = Recalled(Remembered(UUID(int=1), "my card is gone", about, None), 0.0)
    turn = FirstTurn(
        Policies(approved(), HashingEmbedder(384).embed, embedded_by=EMBEDDER),
        classifier=Says("report_lost_card"),
        recall=lambda owner, text, k, now: [itself],
    )
    assert turn.select("my card is gone", ANA, NOW, recording_id="r1").response_id == "card-1"
    assert turn.select("my card is gone", ANA, NOW, recording_id="r2").response_id == "card-again"


def test_without_classifier_memory_and_safety_it_still_answers() -> None:
    turn = FirstTurn(Policies(approved(), HashingEmbedder(384).embed, embedded_by=EMBEDDER))
    choice = turn.select("will it rain", ANA, NOW)
    assert choice.response_id == "weather-first" and choice.reason.startswith("No classifier was asked.")
