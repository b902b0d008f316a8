"""A corrected intent as it crosses: a sentence and a label, each of which keeps a policy."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from projectone.contracts.assist import NONE_OF_THESE, IntentCorrection, clean_label, label_of
from projectone.contracts.base import sha256_hex
from projectone.contracts.corrections import FAMILY_OF_KIND, SCOPE_OF_KIND, Correction, Sample
from projectone.errors import ContractError, DataError

PLAIN: dict[str, Any] = {
    "sample_id": uuid.UUID(int=1),
    "contributor_id": "c-1",
    "text": "how warm will it be",
    "label": "weather",
    "consent_receipt_id": uuid.UUID(int=2),
    "corrected_at": datetime(2026, 11, 22, 12, tzinfo=UTC),
}


def intent(**changes: Any) -> IntentCorrection:
    return IntentCorrection.model_validate(PLAIN | changes)


def test_an_intent_is_a_sample_whose_payload_is_its_sentence() -> None:
    sample: Sample = intent(guessed="timer", guessed_by="1.0.0")
    assert sample.payload_sha256 == sha256_hex(b"how warm will it be")
    assert (sample.target, sample.guess, sample.guess_by) == ("weather", "timer", "1.0.0")
    assert (SCOPE_OF_KIND[sample.kind], FAMILY_OF_KIND[sample.kind]) == ("intents", "intents")


def test_none_of_these_is_kept_and_comes_back_and_is_not_the_same_as_no_guess() -> None:
    sample = intent(label=None)
    assert sample.target == NONE_OF_THESE and label_of(sample.target) is None and label_of("weather") == "weather"
    assert sample.guess is None
    assert intent(guessed=None, guessed_by="1.0.0").guess == NONE_OF_THESE


@pytest.mark.parametrize(
    "label", [NONE_OF_THESE, "", " weather", "weather ", "a\nb", "=SUM(A1)", "-weather", "a\u202eb", "w" * 97, "a\x00"]
)
def test_what_cannot_be_the_name_of_an_intent_is_refused(label: str) -> None:
    with pytest.raises(ValueError):
        intent(label=label)
    with pytest.raises(DataError):
        clean_label(label)


@pytest.mark.parametrize("label", ["weather", "Refund_not_showing_up", "reverted_card_payment?", "Wetter", "天气", "1"])
def test_names_that_people_give_to_intents_are_taken(label: str) -> None:
    assert intent(label=label).label == label


@pytest.mark.parametrize("text", ["a" * 501, "", " ? ", "a\x07b", "a\u200eb", "e" + "\u0301" * 5])
def test_a_sentence_that_nobody_could_have_said_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        intent(text=text)


def test_the_sentence_of_a_minor_may_not_be_taken() -> None:
    intent(is_adult=True).require_usable()
    with pytest.raises(DataError) as refused:
        intent(is_adult=False).require_usable()
    assert refused.value.reason == "minor"


def test_neither_kind_of_sample_passes_for_the_other() -> None:
    with pytest.raises(ContractError):
        Correction.from_bytes(intent().to_bytes())
    assert IntentCorrection.from_bytes(intent().to_bytes()) == intent()
