"""What a device counts of its recordings, what it would say, and what it never counts or says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from projectone.contracts import endpoints
from projectone.contracts.blind_signatures import rsa_key_text, sign_blinded
from projectone.contracts.consent import CONSENT_TEXTS
from projectone.contracts.health import TicketAnswer
from projectone.contracts.quality import QualityReport, QualityTicketRequest, QualityWeek, week_of
from projectone.contracts.questions import HISTOGRAMS_OF, bin_of
from projectone.device.consent import M002_CONSENT, M005_PEOPLE, ConsentLedger
from projectone.device.heard import Heard, Signals
from projectone.device.quality import M012_QUALITY, Counts, Quality
from projectone.device.quality.counts import KEPT_WEEKS
from projectone.device.quality.measures import measure, measure_correction
from projectone.device.quality.quality import LATEST, Sender
from projectone.device.transport import Transport
from projectone.errors import RefusedError, TransportError
from projectone.storage.database import Database

NOW = datetime(2026, 11, 12, 9, tzinfo=UTC)
SPOKEN = Heard("hello world", "1.2.0", (), Signals(-0.12, 0.8, 0.0, 0.0), 0.2)
SOUND = np.concatenate([np.sin(np.arange(32_000) / 7), 0.01 * np.sin(np.arange(16_000) / 7)]).astype(np.float32)
_DATA_POINTS = "CREATE TABLE data_points (sample_id TEXT PRIMARY KEY) STRICT;"


@dataclass
class Site:
    """A device, and a server that signs tickets and keeps what it is told."""

    key: rsa.RSAPrivateKey
    database: Database
    now: datetime = NOW
    asked: list[bytes] = field(default_factory=list)
    told: list[bytes] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.quality = Quality(
            Counts(self.database),
            ConsentLedger(self.database),
            cast(Transport, SimpleNamespace(call=self.call)),
            Sender(channel="stable", tier="f16", app_version="0.1.0", contributor_id="p", introduce=lambda: None),
            word_distance=lambda: lambda said, heard: 0.5,
            clock=lambda: self.now,
            source=random.Random(1),
        )
        self.quality.switch(is_on=True, method="cli")

    def call(self, method: str, path: str, *, body: bytes = b"", before_bytes_leave: Any = None, **_: Any) -> Any:
        if before_bytes_leave is not None:
            before_bytes_leave()
        if path == endpoints.QUALITY_TICKETS:
            self.asked.append(body)
        elif path == endpoints.QUALITY_REPORTS:
            self.told.append(body)
        if self.fails:
            raise self.fails.pop(0)
        week = week_of(self.now - timedelta(weeks=1))
        if path == endpoints.quality_week(week):
            return SimpleNamespace(
                body=QualityWeek(week=week, ticket_key=rsa_key_text(self.key.public_key())).to_bytes()
            )
        blinded = QualityTicketRequest.from_bytes(body).blinded if path == endpoints.QUALITY_TICKETS else None
        signed = None if blinded is None else TicketAnswer(blind_signature=sign_blinded(self.key, blinded))
        return SimpleNamespace(body=b"" if signed is None else signed.to_bytes())

    def next_week(self) -> None:
        self.now += timedelta(weeks=1)

    @property
    def rows(self) -> int:
        return int(self.database.query("SELECT count(*) AS n FROM quality_counts")[0]["n"])


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def site(key: rsa.RSAPrivateKey, tmp_path: Path) -> Iterator[Site]:
    database = Database(tmp_path / "device.sqlite", (M002_CONSENT, _DATA_POINTS + M005_PEOPLE, M012_QUALITY))
    yield Site(key, database)
    database.close()


def test_a_recording_falls_into_one_class_of_each_histogram_it_tells_of() -> None:
    bins = measure(SPOKEN, SOUND)
    assert set(bins) == set(HISTOGRAMS_OF["speech"]) - {"edit_rate"}
    assert bins["duration"] == bin_of("duration", 3.0) and bins["real_time"] == bin_of("real_time", 0.2 / 3)
    assert bins["signal_to_noise"] == bin_of("signal_to_noise", 40.0)
    assert measure_correction("hello", "hollow", lambda said, heard: 4.0) == {"edit_rate": 7}


def test_a_recording_in_which_nothing_was_heard_says_that_nobody_spoke() -> None:
    bins = measure(Heard(" ", "1.2.0"), SOUND)
    assert bins["no_speech"] == 7 and not {"log_probability", "compression"} & set(bins)


def test_nothing_is_counted_without_consent_and_withdrawing_forgets(site: Site) -> None:
    site.quality.count_heard(SPOKEN, SOUND)
    assert site.rows == 6
    site.quality.switch(is_on=False, method="cli")
    assert site.rows == 0
    site.quality.count_heard(SPOKEN, SOUND)
    site.quality.count_correction("a", "b", model_version="1.2.0")
    assert site.rows == 0
    site.next_week()
    assert site.quality.payload() is None and not site.quality.report()
    assert (site.asked, site.told) == ([], [])


def test_words_that_changed_stop_the_counting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = CONSENT_TEXTS["quality"].model_copy(update={"version": CONSENT_TEXTS["quality"].version + 1})
    monkeypatch.setitem(CONSENT_TEXTS, "quality", changed)
    site.quality.count_heard(SPOKEN, SOUND)
    assert not site.quality.is_on and site.rows == 0


def test_a_week_is_told_of_once_when_it_is_over(site: Site) -> None:
    site.quality.count_heard(SPOKEN, SOUND)
    assert site.quality.payload() is None
    site.next_week()
    first = site.quality.payload()
    assert first is not None and first.told_at is None
    for _ in range(3):
        site.quality.report()
        site.now += LATEST / 2
    assert site.told == [first.body] and len(site.asked) == 1
    again = site.quality.payload()
    assert again is not None and again.told_at is not None
    site.next_week()
    assert site.quality.payload() is None


def test_what_was_drawn_stays_drawn_whatever_the_network_does(site: Site) -> None:
    site.quality.count_heard(SPOKEN, SOUND)
    site.next_week()
    drawn = site.quality.payload()
    site.fails = [TransportError("no network"), TransportError("no network")]
    assert drawn is not None and not site.quality.report() and not site.quality.report()
    site.quality.report()
    site.now += LATEST
    site.fails = [TransportError("the answer was lost")]
    assert not site.quality.report()
    assert site.quality.report()
    assert site.told == [drawn.body] * 2 and len(set(site.asked)) == 1


def test_a_report_that_is_refused_is_not_drawn_again(site: Site) -> None:
    site.quality.count_heard(SPOKEN, SOUND)
    site.next_week()
    site.fails = [RefusedError("closed", status=422, reason="week-closed")]
    assert not site.quality.report()
    assert site.quality.payload() is None and not site.quality.report()
    assert (len(site.asked), site.told) == (0, [])


def test_the_question_does_not_depend_on_what_was_counted(site: Site) -> None:
    """Nobody corrected anything, and is asked about it as often: the answer is any class then."""
    asked = []
    for _ in range(60):
        site.quality.count_heard(SPOKEN, SOUND)
        site.next_week()
        payload = site.quality.payload()
        assert payload is not None
        asked.append(QualityReport.from_bytes(payload.body))
    assert {item.histogram for item in asked} == set(HISTOGRAMS_OF["speech"])
    assert len({item.answer for item in asked if item.histogram == "edit_rate"}) > 1
    assert len({item.nonce for item in asked}) == 60


def test_what_is_older_than_eight_weeks_is_gone(site: Site) -> None:
    for _ in range(KEPT_WEEKS + 3):
        site.quality.count_heard(SPOKEN, SOUND)
        site.next_week()
    assert len(site.quality.histograms()) == KEPT_WEEKS
