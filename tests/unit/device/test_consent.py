"""The ledger of consents."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.device.conftest import Rooms

from projectone.contracts.consent import CONSENT_TEXTS
from projectone.device.consent import ConsentLedger
from projectone.device.migrations import MIGRATIONS
from projectone.errors import ConsentError, StorageError
from projectone.storage.database import Database

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_nothing_is_allowed_at_first(rooms: Rooms) -> None:
    assert set(rooms.consent.in_force().values()) == {None}
    with pytest.raises(ConsentError, match="consent grant corrections"):
        rooms.consent.require("corrections")


def test_one_purpose_does_not_cover_another(rooms: Rooms) -> None:
    rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW)
    assert rooms.consent.require("corrections").granted_at == NOW
    with pytest.raises(ConsentError):
        rooms.consent.require("voice_donation")


def test_agreeing_again_gives_the_same_receipt(rooms: Rooms) -> None:
    first = rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW)
    assert rooms.consent.grant("corrections", contributor_id="c-1", method="demo", now=NOW) == first


def test_agreeing_after_a_withdrawal_is_another_consent(rooms: Rooms) -> None:
    first = rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW)
    withdrawn = rooms.consent.withdraw("corrections", now=NOW)
    assert withdrawn is not None
    assert (withdrawn.receipt_id, withdrawn.withdrawn_at) == (first.receipt_id, NOW)
    second = rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW)
    assert second.receipt_id != first.receipt_id
    with pytest.raises(ConsentError, match="withdrawn"):
        rooms.consent.require("corrections", first.receipt_id)


def test_changed_words_need_a_new_answer(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    old = rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW)
    changed = CONSENT_TEXTS["corrections"].model_copy(update={"version": 99})
    monkeypatch.setitem(CONSENT_TEXTS, "corrections", changed)
    with pytest.raises(ConsentError, match="words have changed"):
        rooms.consent.require("corrections")
    assert rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW).receipt_id != old.receipt_id


@pytest.mark.parametrize("statement", ["DELETE FROM consent_events", "UPDATE consent_events SET event = 'granted'"])
def test_the_ledger_is_not_rewritten(statement: str, rooms: Rooms) -> None:
    rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW)
    rooms.consent.withdraw("corrections", now=NOW)
    with pytest.raises(StorageError, match="only ever added to"):
        rooms.database.execute(statement)
    assert rooms.consent.current("corrections") is None


def test_withdrawing_what_was_never_given_is_nothing(rooms: Rooms) -> None:
    assert rooms.consent.withdraw("corrections", now=NOW) is None
    with pytest.raises(ConsentError):
        rooms.consent.require("corrections", uuid.uuid4())


def test_the_history_keeps_every_receipt_with_its_withdrawal(rooms: Rooms) -> None:
    first = rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW)
    rooms.consent.withdraw("corrections", now=NOW)
    second = rooms.consent.grant("corrections", contributor_id="c-1", method="demo", now=NOW)
    assert rooms.consent.history() == [second, first.model_copy(update={"withdrawn_at": NOW})]


def test_what_a_person_said_of_their_age_is_kept_with_the_consent(rooms: Rooms) -> None:
    adult = rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW)
    minor = rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW, is_adult=False)
    assert minor.receipt_id != adult.receipt_id
    assert (rooms.consent.is_adult(adult.receipt_id), rooms.consent.is_adult(minor.receipt_id)) == (True, False)
    assert rooms.consent.grant("corrections", contributor_id="c-1", method="cli", now=NOW, is_adult=False) == minor


def test_a_consent_from_before_the_question_says_nothing_about_age(tmp_path: Path) -> None:
    before = Database(tmp_path / "device.sqlite", MIGRATIONS[:4])
    before.execute(
        "INSERT INTO consent_events (receipt_id, contributor_id, scope, event, text_version, method, happened_at)"
        " VALUES (?, 'c-1', 'corrections', 'granted', 1, 'cli', ?)",
        (str(uuid.UUID(int=1)), NOW.isoformat()),
    )
    before.close()
    database = Database(tmp_path / "device.sqlite", MIGRATIONS)
    ledger = ConsentLedger(database)
    assert [receipt.text_version for receipt in ledger.history()] == [1]
    assert ledger.is_adult(uuid.UUID(int=1)) is None
    with pytest.raises(ConsentError, match="words have changed"):  # the first words did not ask
        ledger.require("corrections")
    database.close()
