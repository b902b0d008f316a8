"""The list of recordings: by day, found by words, with what became of each."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from starlette.testclient import TestClient
from tests.fakes.device_rooms import tone
from tests.unit.device.web.conftest import Window

from projectone.device.clips import read_clip
from projectone.device.heard import Word
from projectone.device.recordings import Recording
from projectone.device.web.shelf import Shown, by_day


@pytest.fixture(scope="module")
def pages(window: Window) -> TestClient:
    def record(text: str, hours_ago: int, probability: float) -> Recording:
        words = tuple(Word(word, 0.1 * i, 0.1 * (i + 1), probability) for i, word in enumerate(text.split()))
        return window.client._rooms.recordings.add(
            read_clip(tone(0.3, pitch_hz=300 + 10 * hours_ago)),
            text=text,
            model_version="1.0.0",
            recorded_at=datetime.now(UTC) - timedelta(hours=hours_ago),
            words=words,
        )

    record("pay the bill", 2, 0.4)
    window.client.correct(record("call me at nine", 1, 0.4).recording_id, "call Ana at nine")
    record("good <night>", 0, 0.9)
    return window.unguarded


def listed(pages: TestClient, query: str) -> list[str]:
    return re.findall(r'<span class="said">([^<]*)</span>', pages.get(f"/recordings{query}").text)


def links(page: str) -> dict[str, str]:
    """Where the pages before and after are."""
    return {label: href for href, label in re.findall(r'<a class="button" href="([^"]*)" rel="[a-z]+">(\w+)</a>', page)}


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("", ["good &lt;night&gt;", "call Ana at nine", "pay the bill"]),
        ("?words=ana", ["call Ana at nine"]),
        ("?words=me+nine", ["call Ana at nine"]),
        ("?words=<script>", []),
        ("?show=unsure", ["pay the bill"]),
        ("?show=corrected", ["call Ana at nine"]),
        ("?show=sent", []),
        ("?show=corrected&words=bill", []),
        ("?show=nonsense", ["good &lt;night&gt;", "call Ana at nine", "pay the bill"]),
    ],
)
def test_recordings_are_found(pages: TestClient, query: str, texts: list[str]) -> None:
    assert listed(pages, query) == texts


def test_a_filter_finds_what_lies_far_behind_the_newest(pages: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.device.web.stretches.ON_A_PAGE", 1)
    assert listed(pages, "") == ["good &lt;night&gt;"]
    assert listed(pages, "?show=unsure") == ["pay the bill"]
    assert listed(pages, "?words=bill") == ["pay the bill"]


def test_a_long_list_comes_page_by_page_the_newest_first(pages: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.device.web.stretches.ON_A_PAGE", 2)
    first, second = pages.get("/recordings").text, pages.get("/recordings?skip=2").text
    assert listed(pages, "") == ["good &lt;night&gt;", "call Ana at nine"]
    assert listed(pages, "?skip=2") == ["pay the bill"]
    assert links(first) == {"Earlier": "/recordings?skip=2#found"}
    assert links(second) == {"Later": "/recordings#found"}
    assert "Recordings 1 to 2 of 3</p>" in first and "Recordings 3 to 3 of 3</p>" in second
    assert "<title>Recordings · " in first and "<title>Recordings from number 3 on · " in second
    assert listed(pages, "?skip=99") == ["pay the bill"]  # what is deleted elsewhere leaves nobody on an empty page
    assert pages.get("/recordings?skip=nonsense").status_code == 400


def test_what_was_looked_for_goes_along_from_page_to_page(pages: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectone.device.web.stretches.ON_A_PAGE", 1)
    page = pages.get("/recordings?words=at+a&show=corrected").text
    assert links(page) == {}  # the control: one page holds what was found
    page = pages.get("/recordings?words=l").text
    assert links(page) == {"Earlier": "/recordings?words=l&amp;skip=1#found"}
    assert "Recordings 1 to 1, and there are more</p>" in page
    assert listed(pages, "?words=l&skip=1") == ["pay the bill"]


def test_who_has_few_recordings_sees_no_pages(pages: TestClient) -> None:
    page = pages.get("/recordings").text
    assert links(page) == {} and "3 recordings</p>" in page


def test_what_was_looked_for_stands_in_the_form_again(pages: TestClient) -> None:
    page = pages.get('/recordings?words="><b>&show=unsure').text
    assert 'value="&#34;&gt;&lt;b&gt;"' in page
    assert 'value="unsure" checked' in page


def test_doubt_and_corrections_are_said_in_words(pages: TestClient) -> None:
    page = pages.get("/recordings").text
    assert "3 unsure" in page
    assert page.count("</svg>corrected<span") == 1


def test_days_have_the_names_that_people_use() -> None:
    today = date(2026, 3, 2)

    def on(day: date) -> Shown:
        return Shown("id", "text", "10:00", day, 1.0, False, 0, "uncorrected")

    days = [today, today - timedelta(days=1), date(2026, 1, 31), date(2025, 12, 31), date(2025, 12, 31)]
    found = by_day([on(day) for day in days], today)
    assert [day.label for day in found] == [
        "Today",
        "Yesterday",
        "Saturday, 31 January",
        "Wednesday, 31 December 2025",
    ]
    assert len(found[-1].recordings) == 2
