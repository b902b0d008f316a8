"""How well the model hears, on the page: the words and an example to the byte first, then what leaves and what left."""

from __future__ import annotations

import html
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.device.web.pages import Pages

from projectone.contracts.consent import CONSENT_TEXTS
from projectone.contracts.quality import QualityReport, week_of, weeks_before
from projectone.contracts.questions import HISTOGRAMS
from projectone.device.client import DeviceClient
from projectone.device.migrations import MIGRATIONS
from projectone.device.quality import Counts
from projectone.device.settings import DeviceSettings
from projectone.device.wiring import open_client
from projectone.storage.database import Database

ON = {"is_on": True, "version": CONSENT_TEXTS["quality"].version}


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[DeviceClient]:
    with open_client(DeviceSettings(home=tmp_path / "device")) as client:
        yield client


def count(home: Path, *, weeks_ago: int) -> None:
    """One recording in the class 3 of everything, in an earlier week."""
    database = Database(home / "device.sqlite", MIGRATIONS)
    moment = datetime.now(UTC) - timedelta(weeks=weeks_ago)
    Counts(database).add(dict.fromkeys(HISTOGRAMS, 3), model_version="1.0.0", now=moment)
    database.close()


def test_before_it_is_on_the_words_and_an_example_to_the_byte_are_shown(quiet: DeviceClient) -> None:
    pages = Pages(quiet)
    shown, facts = html.unescape(pages.get("/quality")), pages.get("/api/quality")
    assert (
        CONSENT_TEXTS["quality"].text in pages.words("/quality") and "Nothing is counted, and nothing is sent." in shown
    )
    raw = facts["example"]["raw"]
    assert QualityReport.from_bytes(raw.encode()).to_bytes() == raw.encode()
    assert raw in shown and json.dumps(json.loads(raw), indent=2) in shown
    assert facts["payload"] is None and "An example" in shown


def test_it_is_on_for_the_very_words_that_were_read(quiet: DeviceClient) -> None:
    pages = Pages(quiet)
    status, problem = pages.ask("PUT", "/api/quality", {"is_on": True, "version": 0})
    assert (status, problem["reason"], quiet.quality.is_on) == (422, "words-changed", False)
    assert pages.ask("PUT", "/api/quality", ON)[1]["is_on"] is True
    assert "You agreed to these words" in pages.get("/quality")


def test_what_waits_is_shown_to_the_byte_and_gone_when_it_is_off(quiet: DeviceClient, tmp_path: Path) -> None:
    pages = Pages(quiet)
    pages.ask("PUT", "/api/quality", ON)
    count(tmp_path / "device", weeks_ago=1)
    waiting = quiet.quality.payload()
    assert waiting is not None
    assert pages.get("/api/quality")["payload"]["raw"].encode() == waiting.body
    shown = html.unescape(pages.get("/quality"))
    assert waiting.body.decode() in shown and "Until then you can switch it off" in shown
    assert pages.ask("PUT", "/api/quality", {"is_on": False})[1]["payload"] is None
    assert quiet.quality.histograms() == []


def test_each_picture_has_its_numbers_as_text_and_as_a_table(quiet: DeviceClient, tmp_path: Path) -> None:
    pages = Pages(quiet)
    pages.ask("PUT", "/api/quality", ON)
    count(tmp_path / "device", weeks_ago=0)
    shown = pages.get("/quality")
    assert (
        shown.count('role="img"') == shown.count("<figure") == len(set(HISTOGRAMS) - {"corrected"})
    )  # it has no sentence
    assert 'aria-label="How long a recording was, in s: 2.5 to 3.5: 1"' in shown
    assert '<th scope="row">2.5 to 3.5</th><td class="number">1</td>' in shown


def test_what_was_sent_is_listed_to_the_byte(quiet: DeviceClient, tmp_path: Path) -> None:
    pages = Pages(quiet)
    pages.ask("PUT", "/api/quality", ON)
    week = weeks_before(week_of(datetime.now(UTC)), 1)
    body = QualityReport(
        week=week,
        channel="stable",
        model_version="1.0.0",
        tier="float16",
        app_version="0.1.0",
        histogram="duration",
        answer=2,
        nonce=random.Random(0).randbytes(32).hex(),
    ).to_bytes()
    database = Database(tmp_path / "device" / "device.sqlite", MIGRATIONS)
    Counts(database).keep_draft(week, body, datetime.now(UTC))
    Counts(database).note_told(week, datetime.now(UTC))
    database.close()
    assert [item["raw"].encode() for item in pages.get("/api/quality")["told"]] == [body]
    shown = html.unescape(pages.get("/quality"))
    assert "how long a recording was, 2 to 2.5 s" in shown and shown.count(body.decode()) == 2
