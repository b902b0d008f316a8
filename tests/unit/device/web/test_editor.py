"""/recordings/{id} and what lies below /api/recordings/{id}."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.fakes.device_rooms import tone
from tests.unit.device.web.conftest import Window

from projectone.device.clips import read_clip
from projectone.device.heard import Word
from projectone.device.recordings import Recording
from projectone.storage import files

WORDS = (Word("won", 0.0, 0.2, 0.3), Word("two", 0.2, 0.4, 0.9), Word("<b>three", 0.4, 0.5, 0.95))


@pytest.fixture
def recording(window: Window) -> Recording:
    clip = read_clip(tone(0.5))
    return window.client._rooms.recordings.add(
        clip, text="won two <b>three", model_version="1.0.0", recorded_at=datetime.now(UTC), words=WORDS
    )


@pytest.fixture
def pages(window: Window) -> TestClient:
    return window.unguarded


def test_the_page_holds_the_words_the_doubt_and_the_picture(pages: TestClient, recording: Recording) -> None:
    page = pages.get(f"/recordings/{recording.recording_id}").text
    assert re.findall(r'<span class="word( is-doubtful)?" role="option">([^<]+)', page) == [
        (" is-doubtful", "won"),
        ("", "two"),
        ("", "&lt;b&gt;three"),
    ]
    (facts,) = re.findall(r'<script type="application/json" id="facts">(.*)</script>', page)
    found = json.loads(facts)
    assert found["words"][0] == ["won", 0.0, 0.2, 0.3]
    assert max(found["peaks"]) == 100
    assert found["fate"] == "This stays on this device."


def test_a_correction_is_kept_changed_and_taken_back(pages: TestClient, recording: Recording) -> None:
    path = f"/api/recordings/{recording.recording_id}/correction"
    kept = pages.put(path, json={"text": "one two three"}).json()
    assert (kept["corrected_text"], kept["state"]) == ("one two three", "kept")
    assert kept["fate"] == "Your correction is kept on this device, and is not sent."
    again = pages.put(path, json={"text": "one two trees", "others_present": True}).json()
    assert (again["corrected_text"], again["others_present"]) == ("one two trees", True)
    undone = pages.delete(path).json()
    assert (undone["corrected_text"], undone["state"]) == (None, "uncorrected")
    assert pages.delete(path).status_code == 404


def test_the_second_of_two_windows_does_not_write_over_what_it_never_saw(
    pages: TestClient, recording: Recording
) -> None:
    path = f"/api/recordings/{recording.recording_id}/correction"
    assert pages.put(path, json={"text": "one two three", "instead_of": None}).status_code == 200
    refused = pages.put(path, json={"text": "one too three", "instead_of": None})
    assert (refused.status_code, refused.json()["reason"]) == (409, "corrected-elsewhere")
    assert "'one two three'" in refused.json()["detail"]
    assert pages.get(f"/api/recordings/{recording.recording_id}").json()["corrected_text"] == "one two three"
    assert pages.put(path, json={"text": "one two tree", "instead_of": "one two three"}).status_code == 200
    stale = pages.request("DELETE", path, json={"instead_of": "one two three"})
    assert (stale.status_code, stale.json()["reason"]) == (409, "corrected-elsewhere")
    assert pages.request("DELETE", path, json={"instead_of": "one two tree"}).status_code == 200
    assert pages.put(path, json={"text": "one", "instead_of": "one two tree"}).status_code == 409


def test_nothing_was_said_and_what_is_too_long_say_why_they_stay_here(window: Window, pages: TestClient) -> None:
    add = window.client._rooms.recordings.add
    short, long = (
        add(read_clip(tone(seconds)), text="thank you", model_version="1.0.0", recorded_at=datetime.now(UTC))
        for seconds in (0.5, 61)
    )
    window.client.grant("corrections", "web")
    for recording, text, fate in ((short, "", "You said that nothing was said."), (long, "thanks", "60 seconds")):
        path = f"/api/recordings/{recording.recording_id}"
        kept = pages.put(f"{path}/correction", json={"text": text}).json()
        assert (kept["corrected_text"], kept["state"]) == (text, "kept")
        assert fate in kept["fate"]
    assert "(nothing was said)" in pages.get("/recordings").text
    pages.delete(f"{path}/correction")
    assert pages.get(path).json()["fate"] == "This stays on this device."


@pytest.mark.parametrize("body", [{}, {"text": 3}, {"text": "a", "others_present": "no"}, [], {"text": "..."}])
def test_what_is_no_correction_is_refused(pages: TestClient, recording: Recording, body: object) -> None:
    answer = pages.put(f"/api/recordings/{recording.recording_id}/correction", json=body)
    assert answer.status_code in (400, 422)
    assert pages.get(f"/api/recordings/{recording.recording_id}").json()["corrected_text"] is None


def test_a_player_gets_the_part_of_the_sound_that_it_asks_for(pages: TestClient, recording: Recording) -> None:
    path = f"/api/recordings/{recording.recording_id}/audio"
    whole = pages.get(path)
    size = len(whole.content)
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    for asked, first, last in [
        ("0-3", 0, 3),
        ("10-", 10, size - 1),
        ("-4", size - 4, size - 1),
        (f"5-{size * 2}", 5, size - 1),
    ]:
        part = pages.get(path, headers={"range": f"bytes={asked}"})
        assert (part.status_code, part.headers["content-range"]) == (206, f"bytes {first}-{last}/{size}")
        assert part.content == whole.content[first : last + 1]
    assert pages.get(path, headers={"range": f"bytes={size}-"}).status_code == 416
    assert pages.get(path, headers={"range": "seconds=1-2"}).status_code == 200


def test_a_recording_is_saved_as_corrected_for_other_programs(pages: TestClient, recording: Recording) -> None:
    path = f"/api/recordings/{recording.recording_id}"
    pages.put(f"{path}/correction", json={"text": "one two three"})
    answer = pages.get(f"{path}/as/srt")
    assert "one two three" in answer.text
    assert re.fullmatch(r'attachment; filename="[\d .-]+\.srt"', answer.headers["content-disposition"])
    assert pages.get(f"{path}/as/txt").text == "one two three\n"
    assert pages.get(f"{path}/as/exe").status_code == 404


def test_a_long_sound_is_checked_once_however_often_a_player_asks(
    pages: TestClient, recording: Recording, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def digest_of(path: Path) -> str:
        read.append(path)
        return files.digest_of(path)

    monkeypatch.setattr("projectone.storage.blobs.digest_of", digest_of)
    path = f"/api/recordings/{recording.recording_id}/audio"
    for start in range(0, 4000, 1000):
        assert pages.get(path, headers={"range": f"bytes={start}-"}).status_code == 206
    assert len(read) <= 1
    kept = window.client._rooms.recordings.sounds.path_of(recording.audio_sha256)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + b"x")
    assert pages.get(path, headers={"range": "bytes=0-3"}).status_code != 206, "a file that changed is looked at again"
    kept.write_bytes(whole)


def test_a_recording_that_does_not_exist_is_said_so(pages: TestClient) -> None:
    assert pages.get("/recordings/00000000-0000-0000-0000-000000000000").status_code == 404
    assert pages.get("/api/recordings/00000000/audio").json()["reason"] == "recording-unknown"
    assert len(pages.get("/api/recordings/last/waveform").json()["peaks"]) == 480


def test_a_recording_is_deleted_for_good(pages: TestClient, recording: Recording) -> None:
    path = f"/api/recordings/{recording.recording_id}"
    assert pages.delete(path).json() == {"may_have_left": False}
    assert [pages.get(path).status_code, pages.delete(path).status_code] == [404, 404]


def test_numbers_without_end_are_refused(pages: TestClient, recording: Recording) -> None:
    digits = "9" * 5000
    assert pages.put(f"/api/live/x?offset={digits}", content=b"").status_code == 400
    audio = f"/api/recordings/{recording.recording_id}/audio"
    assert pages.get(audio, headers={"range": f"bytes={digits}-"}).status_code == 200
