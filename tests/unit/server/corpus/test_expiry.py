"""Every purpose has its time: what is over is erased, whatever the job goes through."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from tests.unit.server.corpus.conftest import START, Corpus

from projectone.contracts.consent import CONSENT_SCOPES, ConsentReceipt, ConsentScope
from projectone.server.corpus import expiry as expiring
from projectone.server.corpus.consents import erase
from projectone.server.corpus.expiry import EXPIRED, Expiry, Keep
from projectone.server.corpus.tables import SAMPLES
from projectone.server.database import Engine, open_engine, reading, writing

KEEP: Keep = {
    "corrections": timedelta(days=30),
    "voice_donation": timedelta(days=90),
    "evaluation": timedelta(days=365),
}
N_DAYS = 400
KILLED_DAYS = range(120, 390, 27)  # ten days on which a correction is due


class Killed(BaseException):
    """Nothing catches it: as if the process had died there."""


@pytest.fixture
def engine(corpus: Corpus) -> Engine:
    return open_engine(f"sqlite:///{corpus.blobs.folder.parent}/rows.sqlite")


def grant(corpus: Corpus, scope: ConsentScope) -> ConsentReceipt:
    receipt = ConsentReceipt(
        receipt_id=uuid.uuid4(),
        contributor_id=scope,
        scope=scope,
        text_version=1,
        method="cli",
        granted_at=START,
    )
    return corpus.catalog.grant(receipt, START)


def keep_one(corpus: Corpus, engine: Engine, receipt: ConsentReceipt, day: int, **values: object) -> None:
    """A sample as if it had been received that day."""
    sample_id = uuid.uuid4()
    columns: dict[str, object] = {
        "sample_id": sample_id,
        "contributor_id": receipt.contributor_id,
        "consent_receipt_id": receipt.receipt_id,
        "device_id": "",
        "kind": "correction",
        "upload_sha256": "1",
        "correction_sha256": "2",
        "clip_sha256": corpus.blobs.put([sample_id.bytes]),
        "words": b"sealed",
        "language": "en",
        "duration_s": 1.0,
        "recorded_at": START,
        "received_at": START + timedelta(days=day),
        "state": "used",
    }
    with writing(engine) as connection:
        connection.execute(insert(SAMPLES).values(**columns | values))


def n_past_their_time(engine: Engine, day: int) -> int:
    """Rows that still hold words, by their dates alone."""
    with reading(engine) as connection:
        rows = connection.execute(select(SAMPLES.c.contributor_id, SAMPLES.c.received_at, SAMPLES.c.words)).all()
    now = START.replace(tzinfo=None) + timedelta(days=day)
    return sum(
        words is not None and now - received >= (KEEP[person] or timedelta.max) for person, received, words in rows
    )


@pytest.mark.slow
@pytest.mark.parametrize("is_enforced", [True, False])
def test_in_400_days_and_10_kills_no_sample_outlives_its_purpose(
    corpus: Corpus, engine: Engine, monkeypatch: pytest.MonkeyPatch, is_enforced: bool
) -> None:
    receipts = [grant(corpus, scope) for scope in CONSENT_SCOPES]
    expiry, n_found = Expiry(engine, KEEP), 0

    def die(*arguments: Any) -> None:
        raise Killed

    def erase_and_die(*arguments: Any, **options: Any) -> int:
        erase(*arguments, **options)
        raise Killed

    for day in range(N_DAYS):
        keep_one(corpus, engine, receipts[day % 3], day)
        now = START + timedelta(days=day)
        if is_enforced:
            if day in KILLED_DAYS:
                with pytest.raises(Killed), monkeypatch.context() as broken:
                    if day % 2:  # before the rows are committed; else while the bytes go
                        broken.setattr(expiring, "erase", erase_and_die)
                    expiry.expire(now)
                    corpus.catalog.remove_doomed(die)
            expiry.expire(now)
            corpus.catalog.remove_doomed(corpus.blobs.delete)
        n_found += n_past_their_time(engine, day)
    if not is_enforced:  # the control: without the job they stay
        assert n_found > 100
        return
    assert n_found == 0
    with reading(engine) as connection:
        rows = connection.execute(select(SAMPLES.c.state, SAMPLES.c.reason, SAMPLES.c.clip_sha256)).all()
    assert {(state, reason) for state, reason, _ in rows} == {("erased", EXPIRED), ("used", None)}
    assert set(corpus.blobs.keys()) == {clip for _, _, clip in rows if clip is not None}
    assert sum(state == "used" for state, _, _ in rows) == 10 + 30 + 122


def test_what_judges_models_is_kept_for_that_purpose(corpus: Corpus, engine: Engine) -> None:
    receipt = grant(corpus, "corrections")
    keep_one(corpus, engine, receipt, 0)
    keep_one(corpus, engine, receipt, 0, state="held", reason="golden")
    expiry = Expiry(engine, KEEP)
    assert expiry.expire(START + timedelta(days=40)) == 1
    corrections, _, evaluation, _ = expiry.due(START + timedelta(days=340))
    assert (corrections.n_kept, corrections.first_due_at) == (0, None)
    assert (evaluation.n_kept, evaluation.n_due, evaluation.n_soon) == (1, 0, 1)
    assert evaluation.first_due_at == START + timedelta(days=365)
    assert not evaluation.is_late(START + timedelta(days=365))


def test_without_a_time_samples_are_kept_as_long_as_the_consent_holds(corpus: Corpus, engine: Engine) -> None:
    keep_one(corpus, engine, grant(corpus, "corrections"), 0)
    expiry = Expiry(engine, {"corrections": None})
    assert expiry.expire(START + timedelta(days=9_999)) == 0
    assert [due.n_kept for due in expiry.due(START)] == [1, 0, 0, 0]


def test_intents_have_a_time_of_their_own(corpus: Corpus, engine: Engine) -> None:
    keep_one(corpus, engine, grant(corpus, "corrections"), 0)
    keep_one(corpus, engine, grant(corpus, "intents"), 0, kind="intent", duration_s=0.0)
    expiry = Expiry(engine, {"corrections": None, "intents": timedelta(days=7)})
    assert [due.n_due for due in expiry.due(START + timedelta(days=8)) if due.n_due] == [1]
    assert expiry.expire(START + timedelta(days=8)) == 1
    assert [(due.purpose, due.n_kept) for due in expiry.due(START) if due.n_kept] == [("corrections", 1)]


def test_what_should_be_gone_for_days_is_late(corpus: Corpus, engine: Engine) -> None:
    keep_one(corpus, engine, grant(corpus, "corrections"), 0)
    expiry = Expiry(engine, KEEP)
    moments = [START + timedelta(days=day) for day in (29, 31, 32)]
    assert [expiry.due(moment)[0].is_late(moment) for moment in moments] == [False, False, True]


def test_an_expired_sample_leaves_every_dataset_too(corpus: Corpus, engine: Engine) -> None:
    row = corpus.send("ada")
    corpus.catalog.note_sealed("a" * 64, [row.sample_id])
    expiry = Expiry(engine, {"corrections": timedelta(days=1)})
    assert expiry.expire(row.received_at + timedelta(days=1)) == 1
    assert corpus.catalog.withdrawn_datasets() == {"a" * 64}
    gone: list[str] = []
    assert corpus.catalog.remove_doomed(gone.append) == 2
    assert sorted(gone) == sorted(["a" * 64, row.clip_sha256])
