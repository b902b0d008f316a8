"""A consent after ISO/IEC TS 27560, and the words of every version."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime

import pytest

from projectone.contracts import consent
from projectone.contracts.base import sha256_hex
from projectone.contracts.consent import CONSENT_TEXTS, CONSENT_WORDS, ConsentReceipt, ConsentText, words_of
from projectone.contracts.consent_records import consent_record, limits_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def receipt(**changes: object) -> ConsentReceipt:
    plain = {
        "receipt_id": uuid.UUID(int=1),
        "contributor_id": "c-1",
        "scope": "corrections",
        "text_version": 1,
        "method": "cli",
        "granted_at": NOW,
    }
    return ConsentReceipt.model_validate(plain | changes)


def test_each_version_of_each_text_is_there_once_and_none_is_skipped() -> None:
    for scope, newest in CONSENT_TEXTS.items():
        assert [text.version for text in CONSENT_WORDS if text.scope == scope] == list(range(1, newest.version + 1))


def test_the_first_words_are_those_that_people_agreed_to() -> None:
    # A digest, so that nobody corrects a comma in words that somebody has signed.
    words = {scope: words_of(scope, 1) for scope in CONSENT_TEXTS}
    assert {scope: consent_digest(text) for scope, text in words.items()} == FIRST_WORDS


def test_later_words_are_dated_no_earlier() -> None:
    for scope in CONSENT_TEXTS:
        days = [text.since for text in CONSENT_WORDS if text.scope == scope]
        assert days == sorted(days)


def test_a_receipt_keeps_its_words_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    before = consent_record(receipt(), server=None, samples={})
    newer = ConsentText(scope="corrections", version=99, since=date(2026, 12, 1), text="other words")
    monkeypatch.setattr(consent, "CONSENT_WORDS", (*CONSENT_WORDS, newer))
    assert consent_record(receipt(), server=None, samples={}) == before
    later = consent_record(receipt(text_version=99), server=None, samples={})
    assert later["privacy_notice"] == {"version": 99, "effective_date": "2026-12-01", "text": "other words"}


def test_words_newer_than_the_program_are_said_to_be_unknown() -> None:
    assert consent_record(receipt(text_version=1000), server=None, samples={})["privacy_notice"]["text"] is None


def test_limits_are_spans_before_a_withdrawal_and_dates_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    dated = ConsentText(
        scope="corrections", version=99, since=date(2026, 12, 1), text="words", backups_days=30, retrain_days=90
    )
    monkeypatch.setattr(consent, "CONSENT_WORDS", (*CONSENT_WORDS, dated))
    assert "30 days after a withdrawal" in limits_of(receipt(text_version=99))[0]
    withdrawn = limits_of(receipt(text_version=99, withdrawn_at=NOW))
    assert "until 2026-12-21" in withdrawn[0]
    assert "until 2027-02-19" in withdrawn[1]
    assert "do not name" in limits_of(receipt(text_version=1))[0]


def test_a_record_is_json_with_the_fields_of_the_standard() -> None:
    sample_id = uuid.UUID(int=2)
    record = consent_record(receipt(withdrawn_at=NOW), server="https://speech.example.org", samples={sample_id: "sent"})
    assert json.loads(json.dumps(record)) == record
    header = {"schema_version", "record_id", "pii_principal_id", "privacy_notice", "language"}
    assert set(record) == header | {"purposes", "party_identification", "events", "x_projectone"}
    assert [event["event_state"] for event in record["events"]] == ["given", "withdrawn"]
    assert record["x_projectone"]["samples"] == [{"sample_id": str(sample_id), "state": "sent"}]


def consent_digest(text: ConsentText | None) -> str:
    assert text is not None
    return sha256_hex(text.text.encode())[:16]


FIRST_WORDS = {
    "corrections": "0e160ac8be97d83a",
    "voice_donation": "e6eb4f26c9b482a8",
    "evaluation": "55bab7c95f22eea2",
    "quality": "47a0c807315b7235",
    "intents": "7ebe8d299f81524a",
    "hosted_answers": "c13bffef9bd3725c",
}
