"""`projectone-server corpus retention`, and the worker that keeps to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import update
from tests.unit.server.work.test_corpus import Auditor, auditor  # noqa: F401 - a fixture
from tests.unit.server.work.test_worker import make_office  # noqa: F401 - a fixture

from projectone.server.corpus.tables import SAMPLES
from projectone.server.database import writing
from projectone.server.notifications.outbox import Message


def test_the_worker_erases_what_is_over_and_says_that_it_was_late(
    auditor: Auditor,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    office = auditor.office
    monkeypatch.setenv("PROJECTONE_SERVER_KEEP_CORRECTIONS_DAYS", "10")
    office.reopen(keep_corrections_days=10.0)
    told: list[Message] = []
    monkeypatch.setattr(office.workshop, "senders", {"log": told.append})
    old, young = (office.home.send_many(2, seed=seed) for seed in (3, 4))
    now = datetime.now(UTC)
    with writing(office.home.engine) as connection:
        for ids, days in ((old, 12), (young, 1)):
            these = update(SAMPLES).where(SAMPLES.c.sample_id.in_([UUID(sample_id) for sample_id in ids]))
            connection.execute(these.values(received_at=now - timedelta(days=days)))
    shown = auditor.ask("retention", code=1)
    assert shown["is_late"]
    assert [(item["purpose"], item["kept"], item["due"]) for item in shown["purposes"]] == [
        ("corrections", 4, 2),
        ("voice_donation", 0, 0),
        ("evaluation", 0, 0),
        ("intents", 0, 0),
    ]
    assert "LATE" in auditor.say("retention", code=1)
    assert office.worker.work_once() == []
    assert [message.subject for message in told] == ["Samples were kept longer than promised"]
    assert auditor.ask("retention")["purposes"][0]["kept"] == 2
    assert "corrections          2 samples, each kept 10 days; 0 due now, 2 more within 30 days" in auditor.say(
        "retention"
    )
    assert {row.sample_id for row in office.workshop.catalog.waiting()} == {UUID(sample_id) for sample_id in young}
    assert len(list(office.home.blobs.keys())) == 2
    assert auditor.ask("show", old[0])["reason"] == "expired"
